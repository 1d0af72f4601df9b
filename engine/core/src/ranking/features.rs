//! What the ranker knows of a candidate: numbers on one scale for every unit, person and day.
//!
//! What sources hold of a candidate is taken as a share of the best candidate's, so that it means the same whether a slate is
//! asked for of a whole unit or under a filter; and in octaves, so that a linear ranker multiplies: *wanted by neighbours* times *hot*
//! times *new* is a sum of logarithms, with exponents that are learnt. How much there is to go by at all is lost in shares: what the
//! person's own past says is therefore also taken as it is, so that little of it leaves the word to demand.
//!
//! Values lie by feature, then by candidate. Cost: some 50 numbers a candidate, and one look at memory.

mod fill;

use crate::ranking::fast;

/// Names of the features in their order: what a trained ranker is bound to.
pub const NAMES: [&str; COUNT] = [
    "neighbours",
    "neighbours_log",
    "neighbours_elsewhere",
    "neighbours_elsewhere_log",
    "together",
    "together_log",
    "latest",
    "latest_log",
    "co_visitation",
    "co_visitation_log",
    "history",
    "history_log",
    "new",
    "new_log",
    "interest",
    "interest_square",
    "demand_7",
    "demand_7_log",
    "demand_180",
    "demand_180_log",
    "demand_1",
    "demand_1_log",
    "demand_30",
    "demand_30_log",
    "had",
    "had_often",
    "had_age",
    "had_last",
    "intended",
    "owned",
    "turned_down",
    "shown",
    "category",
    "price",
    "age",
    "had_1",
    "had_7",
    "had_30",
    "had_180",
    "demand_category",
    "demand_category_log",
    "demand_region",
    "demand_region_log",
    "like_turned_down",
    "neighbours_strength",
    "neighbours_elsewhere_strength",
    "together_strength",
    "latest_strength",
    "co_visitation_strength",
    "content",
    "content_log",
    "content_strength",
];
/// How many features there are.
pub const COUNT: usize = 52;
/// The place of the feature of this name; a name that no feature has does not compile where it is asked in a constant.
#[must_use]
#[expect(clippy::indexing_slicing, clippy::panic, reason = "places are below the lengths; meant for constants")]
pub const fn place(name: &str) -> usize {
    let (wanted, mut feature) = (name.as_bytes(), 0);
    while feature < COUNT {
        let known = NAMES[feature].as_bytes();
        let mut n = 0;
        while n < known.len() && n < wanted.len() && known[n] == wanted[n] {
            n += 1;
        }
        if n == known.len() && n == wanted.len() {
            return feature;
        }
        feature += 1;
    }
    panic!("no feature has this name")
}

/// Features of the candidates of one request.
#[derive(Debug, Default)]
pub struct Features {
    values: Vec<f32>, // a row for each feature; of those that `speak` only
    speak: Flags,
    zeros: Vec<f32>, // a row of those that don't
    candidates: usize,
    places: Vec<usize>,
    hottest: f32,
}

/// Which features are not 0 for all candidates: most speak of few people.
#[derive(Debug)]
struct Flags([bool; COUNT]);

impl Default for Flags {
    fn default() -> Self {
        Self([false; COUNT])
    }
}

impl Flags {
    fn of(&self, feature: usize) -> bool {
        self.0.get(feature).copied().unwrap_or(false)
    }

    /// Sets a flag; gives the one before.
    fn set(&mut self, feature: usize, value: bool) -> bool {
        self.0.get_mut(feature).map(|flag| std::mem::replace(flag, value)).unwrap_or(false)
    }
}

impl Features {
    /// How many candidates it speaks of.
    #[must_use]
    pub const fn candidates(&self) -> usize {
        self.candidates
    }

    /// Demand of the hottest candidate as a share of the unit's hottest item; 1 where nothing is wanted.
    #[must_use]
    pub const fn hottest(&self) -> f32 {
        self.hottest
    }

    /// The values of one feature, by candidate.
    #[must_use]
    pub fn row(&self, feature: usize) -> &[f32] {
        self.spoken(feature).unwrap_or(&self.zeros)
    }

    /// The same, unless all of them are 0.
    pub(crate) fn spoken(&self, feature: usize) -> Option<&[f32]> {
        let row = feature * self.candidates..(feature + 1) * self.candidates;
        self.values.get(row).filter(|_| self.speak.of(feature))
    }

    fn row_mut(&mut self, feature: usize) -> &mut [f32] {
        let row = feature * self.candidates..(feature + 1) * self.candidates;
        let row = self.values.get_mut(row).unwrap_or_default();
        if !self.speak.set(feature, true) {
            row.fill(0.0);
        }
        row
    }

    fn set(&mut self, feature: usize, values: impl Iterator<Item = f32>) {
        let row = feature * self.candidates..(feature + 1) * self.candidates;
        let mut speaks = false;
        for (held, value) in self.values.get_mut(row).unwrap_or_default().iter_mut().zip(values) {
            *held = value;
            speaks |= value != 0.0;
        }
        self.speak.set(feature, speaks);
    }

    /// Makes shares of the best of what a feature holds, and sets the next feature to their logarithms.
    fn set_shares(&mut self, feature: usize, floor: f32) {
        if !self.speak.of(feature) {
            return;
        }
        let rows = self.values.get_mut(feature * self.candidates..(feature + 2) * self.candidates).unwrap_or_default();
        let (shares, logs) = rows.split_at_mut(self.candidates);
        let best = largest(shares);
        if best <= 0.0 {
            return;
        }
        let octaves = (1.0 / floor).log2();
        for (share, log) in shares.iter_mut().zip(logs) {
            *share = (*share / best).max(0.0);
            *log = 1.0 + fast::log2(*share + floor) / octaves;
        }
        self.speak.set(feature + 1, true);
    }

    /// Makes octaves above `little` of what a feature holds.
    fn set_strengths(&mut self, feature: usize, little: f32) {
        if self.speak.of(feature) {
            self.row_mut(feature).iter_mut().for_each(|strength| *strength = fast::log2(1.0 + strength.max(0.0) / little));
        }
    }

    /// Gives the value that a candidate has now.
    fn change(&mut self, feature: usize, at: usize, change: impl FnOnce(f32) -> f32) -> f32 {
        let Some(held) = self.row_mut(feature).get_mut(at) else { return 0.0 };
        *held = change(*held);
        *held
    }

    fn add(&mut self, feature: usize, at: usize, value: f32) -> f32 {
        self.change(feature, at, |held| held + value)
    }

    fn set_to(&mut self, feature: usize, at: usize, value: f32) {
        self.change(feature, at, |_| value);
    }
}

/// The largest of values that are numbers; 0 where none is above. In eight running ones, which become vector instructions.
fn largest(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (eights, rest) = values.as_chunks::<8>();
    let mut best = [0.0_f32; 8];
    for eight in eights {
        best.iter_mut().zip(eight).for_each(|(best, value)| *best = larger(*best, *value));
    }
    best.iter().chain(rest).copied().fold(0.0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_say_who_is_ahead_and_strengths_by_how_much_there_is() {
        const TOGETHER: usize = place("together");
        const STRENGTH: usize = place("together_strength");
        let of = |words: [f32; 3]| {
            let mut features =
                Features { candidates: words.len(), values: vec![0.0; COUNT * words.len()], ..Features::default() };
            features.set(TOGETHER, words.into_iter());
            features.set_shares(TOGETHER, 0.01);
            features.set(STRENGTH, words.into_iter());
            features.set_strengths(STRENGTH, 0.25);
            features
        };
        let (much, little) = (of([2.0, 1.0, 0.0]), of([0.25, 0.125, 0.0]));
        assert_eq!(much.row(TOGETHER), [1.0, 0.5, 0.0]);
        assert_eq!(little.row(TOGETHER), much.row(TOGETHER), "the same order, equally clear");
        let near = |row: &[f32], wanted: [f32; 3]| row.iter().zip(wanted).all(|(held, wanted)| (held - wanted).abs() < 1e-3);
        assert!(near(much.row(STRENGTH), [3.170, 2.322, 0.0]), "{:?}", much.row(STRENGTH));
        assert!(near(little.row(STRENGTH), [1.0, 0.585, 0.0]), "{:?}", little.row(STRENGTH));
        assert!(of([0.0; 3]).spoken(STRENGTH).is_none(), "where nothing is known nothing is computed");
    }
}
