//! Candidates, each once, with what every source says of them.

use std::cmp::Ordering;

use crate::{
    catalogue::Catalogue,
    ids::ItemId,
    ranking::{by_number::ByNumber, source_kind::SourceKind},
};

/// A finite score. What is not finite sinks to the bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(f32);

impl Score {
    /// The lowest score.
    pub const MIN: Self = Self(f32::MIN);

    /// From a number; NaN and infinities become [`Self::MIN`].
    #[must_use]
    pub const fn new(value: f32) -> Self {
        if value.is_finite() { Self(value) } else { Self::MIN }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }

    /// A whole number that is the smaller the better the score.
    pub(crate) const fn descending(self) -> u32 {
        let bits = self.0.to_bits();
        if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
    }
}

/// An item that may stand on the slate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The item.
    pub item: ItemId,
    /// What each source gave, by [`SourceKind::position`]; 0 where it gave nothing.
    pub parts: [f32; SourceKind::COUNT],
    /// The blend of the parts.
    pub score: Score,
    /// The place that a rule gave it, whatever its score.
    pub placed: Option<Placed>,
}

/// A place on the slate, from 1, that does not come from the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// By a pin.
    Pinned {
        /// The place.
        position: u16,
    },
    /// By chance: one of `drawn` out of `of` new items, each as likely as the others.
    Explored {
        /// The place.
        position: u16,
        /// Items drawn.
        drawn: u16,
        /// Items that they were drawn from.
        of: u16,
    },
}

impl Candidate {
    /// A candidate that no source has spoken for yet.
    #[must_use]
    pub const fn new(item: ItemId) -> Self {
        Self { item, parts: [0.0; SourceKind::COUNT], score: Score::MIN, placed: None }
    }

    /// What a source gave.
    #[must_use]
    pub fn part(&self, source: SourceKind) -> f32 {
        self.parts.get(source.position()).copied().unwrap_or(0.0)
    }

    /// Sets what a source gave.
    pub fn set_part(&mut self, source: SourceKind, value: f32) {
        if let Some(part) = self.parts.get_mut(source.position()) {
            *part = value;
        }
    }

    /// The place that a rule gave it, from 1.
    #[must_use]
    pub const fn position(&self) -> Option<u16> {
        match self.placed {
            Some(Placed::Pinned { position } | Placed::Explored { position, .. }) => Some(position),
            None => None,
        }
    }

    /// The probability with which chance put it on the slate; `None` for what does not stand there by chance.
    #[must_use]
    pub fn propensity(&self) -> Option<f64> {
        match self.placed {
            Some(Placed::Explored { drawn, of, .. }) => Some(f64::from(drawn) / f64::from(of)),
            _ => None,
        }
    }

    /// Best first: by score, then by name, which is the same order on every replica.
    pub fn best_first(catalogue: &Catalogue) -> impl Fn(&Self, &Self) -> Ordering + '_ {
        |a, b| b.score.0.total_cmp(&a.score.0).then_with(|| catalogue.by_name(a.item, b.item))
    }
}

/// A set of candidates, kept between requests. Adding is O(1).
#[derive(Debug, Default)]
pub struct CandidateSet {
    candidates: Vec<Candidate>,
    places: ByNumber<u32>, // place + 1, 0 for none
}

impl CandidateSet {
    /// Empties the set. Cost: the number of candidates.
    pub fn clear(&mut self) {
        self.places.drain(|_, _| ());
        self.candidates.clear();
    }

    /// The candidate for `item`, new if need be.
    pub fn entry(&mut self, item: ItemId) -> Option<&mut Candidate> {
        let place = self.places.entry(item.number())?;
        if *place == 0 {
            self.candidates.push(Candidate::new(item));
            *place = self.candidates.len() as u32;
        }
        self.candidates.get_mut(*place as usize - 1)
    }

    /// Sets what `source` says of `item`.
    pub fn add(&mut self, item: ItemId, source: SourceKind, value: f32) {
        if let Some(candidate) = self.entry(item) {
            candidate.set_part(source, value);
        }
    }

    /// The candidate for `item`, if it is in the set.
    pub fn get_mut(&mut self, item: ItemId) -> Option<&mut Candidate> {
        let place = self.place(item)?;
        self.candidates.get_mut(place)
    }

    /// Where an item stands in [`Self::as_slice`], if it is in the set.
    #[must_use]
    pub fn place(&self, item: ItemId) -> Option<usize> {
        (self.places.get(item.number()) as usize).checked_sub(1)
    }

    /// Keeps what `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&Candidate) -> bool) {
        let places = &mut self.places;
        let mut kept = 0_u32;
        self.candidates.retain(|candidate| {
            let keeps = keep(candidate);
            kept += u32::from(keeps);
            if let Some(place) = places.get_mut(candidate.item.number()) {
                *place = if keeps { kept } else { 0 };
            }
            keeps
        });
    }

    /// All candidates, in order of arrival.
    #[must_use]
    pub fn as_slice(&self) -> &[Candidate] {
        &self.candidates
    }

    /// All candidates, to score. Items must stay where they are.
    pub fn as_mut_slice(&mut self) -> &mut [Candidate] {
        &mut self.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_not_finite_sink_and_names_break_ties() {
        let slate = |names: [&str; 5]| {
            let catalogue = Catalogue::default();
            let bu = catalogue.bu_or_new("shop").unwrap();
            let scores = [("a", f32::NAN), ("b", -5.0), ("c", 1.0), ("d", 1.0), ("e", f32::INFINITY)];
            let items = names.map(|name| catalogue.item_or_new(bu, name).unwrap());
            let mut candidates = items.map(|item| {
                let value = scores.iter().find(|(name, _)| catalogue.item_name(item) == Some(name)).unwrap().1;
                Candidate { score: Score::new(value), ..Candidate::new(item) }
            });
            candidates.sort_by(Candidate::best_first(&catalogue));
            candidates.map(|candidate| catalogue.item_name(candidate.item).unwrap().to_owned())
        };
        let numbers = [f32::MAX, 7.5, 1e-9, 0.0, -0.0, -1e-9, -3.0, f32::MIN];
        assert!(numbers.map(|number| Score::new(number).descending()).is_sorted_by(|a, b| a < b));
        let first = slate(["a", "b", "c", "d", "e"]);
        assert_eq!(first[2], "b", "{first:?}");
        assert!(["c", "d"].contains(&&*first[0]) && ["a", "e"].contains(&&*first[4]), "{first:?}");
        assert_eq!(slate(["e", "d", "c", "b", "a"]), first, "whichever came first");
    }

    #[test]
    fn an_item_stands_once_whatever_is_removed() {
        let mut set = CandidateSet::default();
        for round in 0..3 {
            for n in [5, 9, 5, 2, 9] {
                set.add(ItemId::new(n), SourceKind::Trending, n as f32);
                set.add(ItemId::new(n), SourceKind::Interest, 1.0);
            }
            set.retain(|candidate| candidate.item != ItemId::new(9));
            set.add(ItemId::new(2), SourceKind::Trending, 7.0);
            set.add(ItemId::new(9), SourceKind::Popular, 3.0);
            let found: Vec<_> = set.as_slice().iter().map(|c| (c.item.position(), c.part(SourceKind::Trending))).collect();
            assert_eq!(found, [(5, 5.0), (2, 7.0), (9, 0.0)], "round {round}");
            assert!(set.get_mut(ItemId::new(4)).is_none());
            set.clear();
        }
    }
}
