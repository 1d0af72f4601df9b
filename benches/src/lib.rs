//! The seeded worlds in which the benches run: vectors with taste in them, a group of four business units, a model of its items.
//!
//! **Must not know** sockets, the wire or the log: what is measured here is the engine alone. Nothing depends on this crate.
//! Every world is a pure function of its size and [`SEED`], so that two commits measure the same work.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a bench whose world can't be built has failed")]

pub mod cpu;
pub mod generation;
pub mod group;
pub mod hot_item;
pub mod lake_log;
pub mod vectors;

/// Where every world's randomness starts.
pub const SEED: u64 = 20_261_111;

/// How large a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The sizes that `RESULTS.md` speaks of.
    Full,
    /// A fraction, to see that a bench still runs.
    Small,
}

impl Scale {
    /// Full under `cargo bench`, which passes `--bench`; small under `cargo test`, and with `--test`.
    #[must_use]
    pub fn of_this_run() -> Self {
        let has = |flag: &str| std::env::args().any(|argument| argument == flag);
        if has("--bench") && !has("--test") { Self::Full } else { Self::Small }
    }

    /// `full`, or a hundredth of it.
    #[must_use]
    pub const fn size(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Small => full / 100,
        }
    }
}
