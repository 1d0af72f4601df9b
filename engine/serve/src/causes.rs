//! Errors as people read them.

/// An error with its causes, each said once: many a text holds its cause already, as the file system's and librdkafka's do.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        known if known.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use anyhow::anyhow;
    use faces_rebuild::GenerationError;

    use super::*;

    #[test]
    fn no_cause_is_said_twice() {
        let full = io::Error::from_raw_os_error(28);
        let written = GenerationError::Io { action: "write", path: PathBuf::from("x"), source: full };
        let told = causes(&anyhow::Error::new(written).context("nothing was published"));
        assert_eq!(told.matches("No space left on device").count(), 1, "{told}");
        assert!(told.starts_with("nothing was published: cannot write x: No space left"), "{told}");
        assert_eq!(causes(&anyhow!("c").context("b").context("a")), "a: b: c");
    }
}
