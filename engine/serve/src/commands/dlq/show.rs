//! `faces dlq show`: one letter in full.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use clap::Args;
use faces_ingest::letters::{Address, Letter, Readable, Selection};
use serde_json::{Value, json};

use super::{Row, log_of, printable, read, time_text};
use crate::{clock, config::Config};

/// Bytes of an unreadable payload that are shown.
const HEAD_BYTES: usize = 256;

/// Shows one letter: where it is from, why it was refused, what validation says now, and its payload as far as it can be read.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  faces dlq show faces.events.video/3@1207
  faces dlq show faces.catalog/0@88 --json

The payload is shown as JSON where it can be decoded, up to the fault where it can't; else as its first 256 bytes.")]
pub(super) struct ShowArgs {
    /// Address of the refused record, as `faces dlq list` prints it.
    #[arg(value_name = "TOPIC/PARTITION@OFFSET")]
    address: Address,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs, config: &Config) -> Result<()> {
    let selection = Selection { address: Some(args.address.clone()), payloads: true, ..Selection::default() };
    let reading = read(config, &selection)?;
    let letter = reading.letters.first().with_context(|| {
        format!("there is no letter for {} among {}: `faces dlq list` names those there are", args.address, reading.letters_read)
    })?;
    let (_, topics) = log_of(config)?;
    let now = letter.judge(&topics, &letter.address.topic, clock::now(), &config.kafka.limits());
    let verdict = now.as_ref().map_or_else(|no| format!("{}: {}", no.reason, no.detail), |()| "valid".to_owned());
    let readable = letter.readable(&topics);
    if args.json {
        println!("{}", as_json(letter, &verdict, &readable)?);
    } else {
        print(letter, &verdict, &readable)?;
    }
    Ok(())
}

fn as_json(letter: &Letter, verdict: &str, readable: &Readable) -> Result<Value> {
    let mut value = serde_json::to_value(Row::of(letter))?;
    let payload = letter.payload.as_deref();
    let (decoded, fault) = match readable {
        Readable::Whole(message) => (Some(message), None),
        Readable::Part { message, fault } => (Some(message), Some(fault)),
        Readable::Bytes => (None, None),
    };
    let more = json!({
        "content_type": letter.content_type.as_deref().map(String::from_utf8_lossy),
        "verdict_now": verdict,
        "decoded": decoded,
        "decoding_fault": fault,
        "payload_hex": payload.map(hex),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    Ok(value)
}

fn print(letter: &Letter, verdict: &str, readable: &Readable) -> Result<()> {
    let groups: Vec<&str> = letter.groups.iter().map(String::as_str).collect();
    let row = |name: &str, value: &str| println!("{name:<14}{}", printable(value));
    row("record", &letter.address.to_string());
    row("refused", &time_text(letter.time));
    row("reason", &letter.reason);
    row("detail", &letter.detail);
    row("verdict now", verdict);
    row("key", &letter.key_text());
    let content_type = letter.content_type.as_deref().map(String::from_utf8_lossy);
    row("content-type", content_type.as_deref().unwrap_or("(none: protobuf)"));
    row("copies", &format!("{}, by {}", letter.copies, groups.join(", ")));
    let whole = letter.truncated_from.map(|bytes| format!(", the first of {bytes}: the topic took no more")).unwrap_or_default();
    row("payload", &format!("{} bytes{whole}", letter.size));
    match readable {
        Readable::Whole(message) => println!("{}", serde_json::to_string_pretty(message)?),
        Readable::Part { message, fault } => {
            println!("{}", serde_json::to_string_pretty(message)?);
            row("then", fault);
        }
        Readable::Bytes => print!("{}", dump(letter.payload.as_deref().unwrap_or_default())),
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").ok(); // a string takes everything
        text
    })
}

/// The first bytes, sixteen a line, with what is readable beside them.
fn dump(bytes: &[u8]) -> String {
    let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
    let mut text = String::new();
    for (line, bytes) in head.chunks(16).enumerate() {
        let numbers: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let letters: String = bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        writeln!(text, "{:08x}  {:<48} {letters}", line * 16, numbers.join(" ")).ok();
    }
    if head.len() < bytes.len() {
        writeln!(text, "… {} bytes more", bytes.len() - head.len()).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_shows_numbers_and_letters() {
        let text = dump(b"faces\x00\xff");
        assert!(text.contains("66 61 63 65 73 00 ff") && text.contains("faces.."), "{text}");
        assert!(dump(&[0; 300]).ends_with("44 bytes more\n"));
        assert_eq!(dump(b""), "");
        assert_eq!(hex(b"\x01\xff"), "01ff");
    }
}
