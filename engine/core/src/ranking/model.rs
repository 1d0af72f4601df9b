//! The port through which ranking sees an index generation.

use crate::{
    ids::{BuId, ItemId},
    ranking::{condition::Condition, ranker::Ranker},
};

/// A question for the nearest items.
#[derive(Clone, Copy, Debug)]
pub struct Near<'a> {
    /// Whose items.
    pub bu: BuId,
    /// Near to what; its length does not matter.
    pub vector: &'a [f32],
    /// How many items at most.
    pub count: usize,
    /// Only items that meet it, as far as the model knows of the catalogue's latest changes.
    pub condition: Option<&'a Condition>,
}

/// Why one item leads to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// People took them together.
    CoVisited,
    /// The catalogue says alike things of them.
    Content,
}

/// What one generation knows of items. Implemented outside; loaded once per request and passed down. Items that can't be served are
/// left out of answers as soon as the model knows.
pub trait Model: Send + Sync {
    /// Name of the generation.
    fn id(&self) -> &str;

    /// Length of item vectors.
    fn dimension(&self) -> usize;

    /// Adds the item's vector (of unit length) times `weight` to `sum`; false for an item without one.
    fn add_vector(&self, item: ItemId, weight: f32, sum: &mut [f32]) -> bool;

    /// [`Self::add_vector`] for each of these items and weights, in their order or in one that hangs on it.
    fn add_vectors(&self, weighed: &mut dyn Iterator<Item = (ItemId, f32)>, sum: &mut [f32]) {
        weighed.for_each(|(item, weight)| _ = self.add_vector(item, weight, sum));
    }

    /// Sets `cosines` to those between `vector` and the vectors of `items`, which are of `bu`, in their order; 0 for an item without one.
    fn cosines(&self, bu: BuId, vector: &[f32], items: &[ItemId], cosines: &mut Vec<f32>);

    /// Calls `take` with the nearest items by cosine, about in that order; how near they are, [`Self::cosines`] says.
    fn nearest(&self, near: &Near<'_>, take: &mut dyn FnMut(ItemId));

    /// Answers many questions at once, where that is cheaper: `take` also gets the place of the question.
    fn nearest_of_each(&self, questions: &[Near<'_>], take: &mut dyn FnMut(usize, ItemId)) {
        for (place, near) in questions.iter().enumerate() {
            self.nearest(near, &mut |item| take(place, item));
        }
    }

    /// Appends all items of `bu` that meet the condition to `items`, as far as the model has followed the catalogue's journal: to the
    /// position returned. `None`, with nothing appended, when it can't tell.
    fn matching(&self, bu: BuId, condition: &Condition, items: &mut Vec<ItemId>) -> Option<u64>;

    /// Calls `take` with the items of `bu` that `item` leads to, with the strength (above 0).
    fn related(&self, relation: Relation, item: ItemId, bu: BuId, take: &mut dyn FnMut(ItemId, f32));

    /// [`Self::related`] for each of these items, strengths multiplied by its weight.
    fn related_to_each(
        &self,
        relation: Relation,
        weighed: &mut dyn Iterator<Item = (ItemId, f32)>,
        bu: BuId,
        take: &mut dyn FnMut(ItemId, f32),
    ) {
        weighed.for_each(|(item, weight)| {
            self.related(relation, item, bu, &mut |other, strength| take(other, weight * strength));
        });
    }

    /// Calls `take` with the items of `bu` that were popular when the generation was built, most popular first, until it returns false.
    fn popular(&self, bu: BuId, take: &mut dyn FnMut(ItemId) -> bool);

    /// The ranker that was trained with the generation, if it was.
    fn ranker(&self) -> Option<&Ranker> {
        None
    }
}
