//! The port through which ranking sees an index generation.

use crate::ids::{BuId, ItemId};

/// What one immutable generation knows of items. Implemented outside; loaded once per request and passed down.
pub trait Model: Send + Sync {
    /// Name of the generation.
    fn id(&self) -> &str;

    /// Length of item vectors.
    fn dimension(&self) -> usize;

    /// The item's vector, of unit length; `None` for an item the generation has not seen.
    fn vector(&self, item: ItemId) -> Option<&[f32]>;

    /// Calls `take` with up to `count` items of `bu` nearest to `query` by cosine, nearest first, with the cosine.
    fn nearest(&self, bu: BuId, query: &[f32], count: usize, take: &mut dyn FnMut(ItemId, f32));

    /// Calls `take` with the items of `bu` that people took together with `item`, with the strength (above 0).
    fn co_visited(&self, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32));

    /// Calls `take` with the items of `bu` that were popular when the generation was built, most popular first, until it returns false.
    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool);
}
