//! When an answer is due: `grpc-timeout` of the caller, capped by the server.

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

use super::refusal::Refusal;

/// When an answer is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    at: Instant,
    /// Whether the server set it, and not the caller.
    is_ours: bool,
}

impl Due {
    /// From the request's metadata.
    ///
    /// # Errors
    /// [`Refusal::DeadlineExceeded`] if there is no time left at all.
    pub fn of(metadata: &MetadataMap, longest_ms: u64) -> Result<Self, Refusal> {
        let now = Instant::now();
        let due = Self::after(metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()), longest_ms, now);
        if due.at > now { Ok(due) } else { Err(Refusal::DeadlineExceeded) }
    }

    /// From the text of `grpc-timeout`, if there is one, of a request that came in `now`.
    pub fn after(timeout: Option<&str>, longest_ms: u64, now: Instant) -> Self {
        let longest = Duration::from_millis(longest_ms);
        let asked = timeout.and_then(parse);
        Self { at: now + asked.map_or(longest, |asked| asked.min(longest)), is_ours: asked.is_none_or(|asked| asked > longest) }
    }

    /// The moment.
    pub const fn instant(self) -> Instant {
        self.at
    }

    /// Refuses work that nobody waits for any more.
    ///
    /// # Errors
    /// [`Refusal::DeadlineExceeded`] if the moment has come.
    pub fn check(self) -> Result<(), Refusal> {
        if Instant::now() < self.at { Ok(()) } else { Err(Refusal::DeadlineExceeded) }
    }

    /// What the log says to `write`, unless the answer is due first. Without time left it is not begun.
    ///
    /// # Errors
    /// [`Refusal::DeadlineExceeded`] if the caller wanted to wait no longer, [`Refusal::LogUnavailable`] if we don't.
    pub async fn within<T>(self, write: impl Future<Output = T>) -> Result<T, Refusal> {
        self.check()?;
        tokio::time::timeout_at(self.at.into(), write).await.map_err(|_| match self.is_ours {
            true => Refusal::LogUnavailable("it did not acknowledge in time".into()),
            false => Refusal::DeadlineExceeded,
        })
    }
}

/// `grpc-timeout`: at most eight digits and a unit (H, M, S, m, u, n). `None` for what is not of that form.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_every_unit_and_nothing_else() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7_200))),
            ("3M", Some(Duration::from_secs(180))),
            ("15S", Some(Duration::from_secs(15))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0m", Some(Duration::ZERO)),
            ("123456789m", None),
            ("-1m", None),
            ("m", None),
            ("", None),
            ("5x", None),
            ("5é", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
