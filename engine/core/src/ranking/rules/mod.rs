//! What the business wants of slates, beside what scores say: pins, boosts, burials, what is never shown, caps, diversity, exploration.
//!
//! These are the checked rules; who reads and validates them lives outside, and how each acts on a slate is in
//! [`crate::ranking::rerank`]. A rule knows units, placements and items by name, so that rules mean the same in every process and may
//! speak of items that are yet to come.

mod matcher;
mod scope;

use std::num::NonZeroU16;

pub(crate) use self::matcher::Seen;
pub use self::{
    matcher::Matcher,
    scope::{Moment, Scope},
};
use crate::{joined::hash_64, key::SourceKey, ranking::candidate::Score};

/// A rule: what is wanted, where and when, and the name under which answers speak of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<T> {
    /// For people.
    pub name: Box<str>,
    /// Where and when it is in force.
    pub scope: Scope,
    /// What is wanted.
    pub what: T,
}

/// A share of a slate, above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f32);

impl Share {
    /// `None` for what is no share.
    #[must_use]
    pub fn new(value: f32) -> Option<Self> {
        (value > 0.0 && value <= 1.0).then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }

    /// Places out of `wanted` that the share amounts to, rounded up: at least one.
    #[must_use]
    pub fn at_most(self, wanted: usize) -> usize {
        const INEXACT: f32 = 1e-4; // 0.3 as a float is a little more than that, which is no place of 50
        (wanted as f32 * self.0 - INEXACT).ceil().max(1.0) as usize
    }

    /// Places out of `wanted` that the share amounts to, to the nearest, but at least one of them.
    #[must_use]
    pub fn about(self, wanted: usize) -> usize {
        ((wanted as f32 * self.0).round().max(1.0) as usize).min(wanted)
    }
}

/// An item at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its id in the business unit of the slate.
    pub item: Box<str>,
    /// Place on the slate, from 1.
    pub position: NonZeroU16,
}

/// A change of scores, in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    factor: f32,
    add: f32,
}

impl Change {
    /// A factor (finite, above 0) and a number to add (finite). `None` when they are not, change nothing, or pull in two directions.
    #[must_use]
    pub fn new(factor: f32, add: f32) -> Option<Self> {
        let is_sound = factor > 0.0 && factor.is_finite() && add.is_finite();
        let raises = factor > 1.0 || add > 0.0;
        let lowers = factor < 1.0 || add < 0.0;
        (is_sound && raises != lowers).then_some(Self { factor, add })
    }

    /// Whether it lifts items rather than sinks them.
    #[must_use]
    pub fn raises(self) -> bool {
        self.factor > 1.0 || self.add > 0.0
    }

    /// The score after it. A factor above 1 lifts scores below 0 too: they are divided by it.
    #[must_use]
    pub(crate) fn of(self, score: Score) -> Score {
        let value = score.value();
        let scaled = if value < 0.0 { value / self.factor } else { value * self.factor };
        // What runs over is still the best, or the worst, there is.
        Score::new((scaled + self.add).clamp(f32::MIN, f32::MAX))
    }
}

/// A change of the scores of some items.
#[derive(Clone, Debug, PartialEq)]
pub struct Boost {
    /// Which items.
    pub items: Matcher,
    /// How their scores change.
    pub change: Change,
}

/// What a cap counts together.
#[derive(Clone, Debug, PartialEq)]
pub enum CapBy {
    /// Items of one category, the most special one; each category has the share to itself.
    Category,
    /// Items of one brand; each brand has the share to itself.
    Brand,
    /// All items that match.
    Items(Matcher),
}

/// The largest share of a slate.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    /// Of what.
    pub by: CapBy,
    /// How much.
    pub share_max: Share,
}

/// How much unlikeness counts against score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diversity {
    /// Weight in (0, 1] of being unlike what stands above; the rest is the score's.
    pub lambda: Share,
}

/// Places kept for new items, which are drawn at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explore {
    /// How much of a slate.
    pub share: Share,
    /// How long ago an item may have been listed, days.
    pub days: f64,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Items at places.
    pub pins: Vec<Rule<Pin>>,
    /// Items lifted or sunk.
    pub boosts: Vec<Rule<Boost>>,
    /// Items that come after all others.
    pub burials: Vec<Rule<Matcher>>,
    /// Items never shown.
    pub hidden: Vec<Rule<Matcher>>,
    /// Largest shares.
    pub caps: Vec<Rule<Cap>>,
    /// Diversity.
    pub diversity: Option<Rule<Diversity>>,
    /// Exploration.
    pub explore: Option<Rule<Explore>>,
}

impl Rules {
    /// How many rules there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let listed = self.pins.len() + self.boosts.len() + self.burials.len() + self.hidden.len() + self.caps.len();
        listed + usize::from(self.diversity.is_some()) + usize::from(self.explore.is_some())
    }

    /// The rules in force at a moment, for a person with these keys. Cost: a look at every rule.
    #[must_use]
    pub fn in_force(&self, moment: &Moment<'_>, keys: &[SourceKey]) -> InForce<'_> {
        // An answer that is no placement's has no places to give away.
        let has_places = moment.placement.is_some();
        InForce {
            pins: if has_places { covering(&self.pins, moment) } else { Vec::new() },
            boosts: covering(&self.boosts, moment),
            burials: covering(&self.burials, moment),
            hidden: covering(&self.hidden, moment),
            caps: covering(&self.caps, moment),
            diversity: covering(&self.diversity, moment).pop(),
            explore: covering(&self.explore, moment).pop().filter(|_| has_places).map(|rule| (rule, Seeds::of(moment, keys))),
        }
    }
}

fn covering<'a, T>(rules: impl IntoIterator<Item = &'a Rule<T>>, moment: &Moment<'_>) -> Vec<&'a Rule<T>> {
    rules.into_iter().filter(|rule| rule.scope.covers(moment)).collect()
}

/// The rules in force for one request, in the order of their file. None by default.
#[derive(Clone, Debug, Default)]
pub struct InForce<'a> {
    pub(crate) pins: Vec<&'a Rule<Pin>>,
    pub(crate) boosts: Vec<&'a Rule<Boost>>,
    pub(crate) burials: Vec<&'a Rule<Matcher>>,
    pub(crate) hidden: Vec<&'a Rule<Matcher>>,
    pub(crate) caps: Vec<&'a Rule<Cap>>,
    pub(crate) diversity: Option<&'a Rule<Diversity>>,
    pub(crate) explore: Option<(&'a Rule<Explore>, Seeds)>,
}

impl InForce<'_> {
    /// Names of the rules that decide what is ranked at all, rather than what becomes of it on the slate. `None` while pins are in force,
    /// as these also hang on the length of the slate.
    #[must_use]
    pub fn of_ranking(&self) -> Option<impl Iterator<Item = &str>> {
        self.pins.is_empty().then(|| self.hidden.iter().map(|rule| &*rule.name))
    }
}

/// What chance hangs on: the same question on the same day is answered alike, on every page, every replica and in every replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// Of day and placement, the same for everybody.
    pub(crate) day: u64,
    /// Of the person besides. Strangers without a key share one.
    pub(crate) person: u64,
}

const DAY_MS: i64 = 86_400_000;

impl Seeds {
    fn of(moment: &Moment<'_>, keys: &[SourceKey]) -> Self {
        let day = moment.now.millis().div_euclid(DAY_MS).to_le_bytes();
        let day = hash_64(&[b"explore", &day, moment.bu.as_bytes(), &[0], moment.placement.unwrap_or_default().as_bytes()]);
        let mut keys: Vec<u128> = keys.iter().map(|key| key.hash().raw()).collect();
        keys.sort_unstable();
        keys.dedup();
        let person = keys.iter().fold(day, |seed, key| hash_64(&[&seed.to_le_bytes(), &key.to_le_bytes()]));
        Self { day, person }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::EventTime, key::KeyKind};

    #[test]
    fn changes_go_one_way_for_every_score() {
        for (factor, add, raises) in [
            (2.0, 0.0, Some(true)),
            (1.0, 0.1, Some(true)),
            (0.5, -0.1, Some(false)),
            (1.0, 0.0, None),
            (2.0, -1.0, None),
            (0.0, 0.0, None),
            (-1.0, 0.0, None),
            (f32::NAN, 0.0, None),
            (1.0, f32::INFINITY, None),
        ] {
            let change = Change::new(factor, add);
            assert_eq!(change.map(Change::raises), raises, "{factor} {add}");
            for score in [-1e30, -2.0, 0.0, 0.3, f32::MAX].map(Score::new) {
                let Some(change) = change else { continue };
                let after = change.of(score).value();
                assert!(if change.raises() { after >= score.value() } else { after <= score.value() }, "{change:?} of {score:?}");
            }
        }
    }

    #[test]
    fn shares_amount_to_places() {
        let share = |value| Share::new(value).unwrap();
        assert_eq!([0.0, -0.1, 1.1, f32::NAN].map(Share::new), [None; 4]);
        assert_eq!((share(0.5).at_most(7), share(0.01).at_most(7), share(1.0).at_most(7)), (4, 1, 7));
        for (percent, wanted) in (1_usize..=100).flat_map(|percent| (1..=200).map(move |wanted| (percent, wanted))) {
            let places = share(percent as f32 / 100.0).at_most(wanted);
            assert_eq!(places, (percent * wanted).div_ceil(100), "{percent} % of {wanted}");
        }
        assert_eq!((share(0.1).about(20), share(0.01).about(20), share(0.5).about(0)), (2, 1, 0));
    }

    #[test]
    fn chance_hangs_on_person_day_and_placement_alone() {
        let key = |id: &str| SourceKey::new("shop", KeyKind::Account, id).unwrap();
        let seeds = |placement, hours: i64, keys: &[&str]| {
            let keys: Vec<_> = keys.iter().map(|id| key(id)).collect();
            Seeds::of(&Moment { bu: "shop", placement: Some(placement), now: EventTime::from_millis(hours * 3_600_000) }, &keys)
        };
        let one = seeds("home", 1, &["a", "b"]);
        assert_eq!(seeds("home", 23, &["b", "a", "b"]), one);
        assert_eq!(seeds("home", 1, &["c"]).day, one.day);
        for other in [seeds("home", 24, &["a", "b"]), seeds("home", -1, &["a", "b"]), seeds("cart", 1, &["a", "b"])] {
            assert!(other.day != one.day && other.person != one.person);
        }
        assert_ne!(seeds("home", 1, &["c"]).person, one.person);
    }
}
