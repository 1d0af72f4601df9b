//! What searches cost, counted.

/// What searches cost in operations, added up: the same on every machine, unlike time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Rows whose codes were scanned in order, centres of cells and entries of graphs included.
    pub(crate) scanned: u64,
    /// Cells looked at.
    pub(crate) visited: u64,
    /// Rows whose codes were read one by one.
    pub(crate) walked: u64,
    /// Rows of a filter whose codes were read.
    pub(crate) gathered: u64,
    /// Rows whose codes of all columns were read.
    pub(crate) refined: u64,
    /// Rows scored in `f32`.
    pub(crate) scored: u64,
}
