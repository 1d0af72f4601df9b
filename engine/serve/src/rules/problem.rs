//! What may be wrong with a file of rules, and where in the file a rule stands.

use std::fmt;

/// Where a rule stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The table's header: `[[pin]] 2` or `[diversity]`.
    pub header: String,
    /// Line of the header, from 1.
    pub line: usize,
    /// What the rule is called, if it says so.
    pub name: Option<String>,
}

impl Place {
    /// The name under which answers speak of the rule.
    #[must_use]
    pub fn rule_name(&self) -> Box<str> {
        self.name.clone().unwrap_or_else(|| self.header.replace(['[', ']'], "")).into()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name:?} (line {})", self.header, self.line),
            None => write!(f, "{} (line {})", self.header, self.line),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// What, where, and how to mend it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Where the lines of a text begin, by byte.
pub fn beginnings(text: &str) -> Vec<usize> {
    let after_breaks = text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next);
    std::iter::once(0).chain(after_breaks).collect()
}

/// Lines of a text, by their beginnings.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'t>(pub &'t [usize]);

impl Lines<'_> {
    /// The line that holds the byte at `offset`, from 1.
    #[must_use]
    pub fn at(self, offset: usize) -> usize {
        self.0.partition_point(|beginning| *beginning <= offset)
    }
}
