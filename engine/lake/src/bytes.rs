//! Amounts of memory on the command line.

/// Bytes, with a unit or without: 4GiB, 500MB, 1048576.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("write it as 4GiB, 500MB or a number of bytes".into()),
    };
    let number: f64 = number.parse().map_err(|_| "write it as 4GiB, 500MB or a number of bytes".to_owned())?;
    Ok((number * factor) as u64)
}
