//! One to a few interest vectors out of what a person did: a mean of tastes that lie apart points at neither of them.
//!
//! Greedy leader clustering (Hartigan 1975), as in PinnerSage (Pal et al., KDD 2020) the heaviest groups stand for the person: signals
//! from the heaviest on, each to the group whose mean it is nearest to, or to a new one where none is near. Only where the second
//! group weighs enough, and lies clearly apart from the first, is there more than the one mean of everything.
//!
//! The result hangs on the signals alone: weights, then names, decide which come first. Cost: a dot product a signal and group, at
//! most `GROUPS_MAX` of them; nothing but the mean where all signals point the same way.

use crate::ranking::{query::Query, sources::cosine as dot};

/// Interest vectors of a person, at most.
pub const VECTORS_MAX: usize = 3;
/// Groups kept while signals are looked at; further ones join the nearest.
const GROUPS_MAX: usize = 8;
/// Fewest signals that are taken apart.
const SIGNALS_MIN: usize = 4;
/// Length of the mean of unit vectors from which they point the same way, and nothing is taken apart.
const SAME_WAY: f32 = 0.8;
/// Cosine to a group's mean from which a signal joins it.
const JOINS: f32 = 0.5;
/// Share of the person's weight that a group must have to stand for itself.
const SHARE_MIN: f32 = 0.2;
/// Cosine between two groups below which they lie clearly apart.
const APART: f32 = 0.3;

/// Memory for taking interests apart, kept between requests.
#[derive(Debug, Default)]
pub(crate) struct Tastes {
    rows: Vec<f32>,             // vectors of signals, one after the other
    held: Vec<(f32, u64, u32)>, // weight, name and row of signals that have a vector
    groups: Vec<Group>,
    sums: Vec<f32>, // by group
}

#[derive(Clone, Copy, Debug)]
struct Group {
    place: usize, // in the sums
    weight: f32,
    square: f32, // of the sum's length
}

impl Tastes {
    /// Fills `into` with one to `most` interests of unit length, one after the other, the heaviest first; with nothing where no item
    /// of the person has a vector. One interest is the weighted mean of all the person's items.
    pub(crate) fn interests(&mut self, query: &Query<'_>, most: usize, into: &mut Vec<f32>) {
        into.clear();
        let Some(model) = query.model else { return };
        let dimension = model.dimension();
        into.resize(dimension, 0.0);
        self.rows.clear();
        self.held.clear();
        let mut weight = 0.0;
        if most < 2 {
            model.add_vectors(&mut query.signals.iter().map(|signal| (signal.item, signal.weight)), into);
        }
        for signal in query.signals.iter().filter(|_| most >= 2) {
            let start = self.rows.len();
            self.rows.resize(start + dimension, 0.0);
            let row = self.rows.get_mut(start..).unwrap_or_default();
            if model.add_vector(signal.item, 1.0, row) {
                into.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += signal.weight * value);
                let name = query.state.catalogue().full_name_hash(signal.item);
                self.held.push((signal.weight, name, self.held.len() as u32));
                weight += signal.weight;
            } else {
                self.rows.truncate(start);
            }
        }
        let square = dot(into, into);
        if self.held.len() >= SIGNALS_MIN && square.sqrt() < SAME_WAY * weight && self.take_apart(most, weight, dimension, into) {
            return;
        }
        if !to_unit_length(into, square) {
            into.clear();
        }
    }

    /// Puts the groups that stand for the person in `into`, in place of the mean; false, with nothing done, if it is not two at least.
    fn take_apart(&mut self, most: usize, weight: f32, dimension: usize, into: &mut Vec<f32>) -> bool {
        self.gather(dimension);
        let Self { groups, sums, .. } = self;
        let sum_of = |group: &Group| sums.get(group.place * dimension..(group.place + 1) * dimension).unwrap_or_default();
        groups.sort_by(|a, b| b.weight.total_cmp(&a.weight)); // stable
        let mut kept: [Option<Group>; VECTORS_MAX] = [None; VECTORS_MAX];
        let mut count = 0;
        for group in groups.iter().take_while(|group| group.weight >= SHARE_MIN * weight) {
            let is_apart = kept
                .iter()
                .flatten()
                .all(|other| dot(sum_of(group), sum_of(other)) < APART * (group.square * other.square).sqrt());
            if count < most
                && is_apart
                && let Some(place) = kept.get_mut(count)
            {
                *place = Some(*group);
                count += 1;
            }
        }
        if count < 2 {
            return false;
        }
        into.clear();
        for group in kept.iter().flatten() {
            let start = into.len();
            into.extend_from_slice(sum_of(group));
            if !into.get_mut(start..).is_some_and(|vector| to_unit_length(vector, group.square)) {
                into.truncate(start);
            }
        }
        true
    }

    /// Gathers the signals in groups.
    fn gather(&mut self, dimension: usize) {
        let Self { rows, held, groups, sums } = self;
        groups.clear();
        sums.clear();
        held.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (weight, _, row) in &*held {
            let start = *row as usize * dimension;
            let vector = rows.get(start..start + dimension).unwrap_or_default();
            let nearest = sums.chunks_exact(dimension.max(1)).zip(&*groups).enumerate().map(|(place, (sum, group))| {
                let along = dot(sum, vector);
                (along / group.square.sqrt().max(f32::MIN_POSITIVE), along, place)
            });
            let nearest = nearest.fold((f32::MIN, 0.0, 0), |best, one| if one.0 > best.0 { one } else { best });
            if nearest.0 < JOINS && groups.len() < GROUPS_MAX {
                groups.push(Group { place: groups.len(), weight: *weight, square: weight * weight });
                sums.extend(vector.iter().map(|value| weight * value));
                continue;
            }
            let (_, along, place) = nearest;
            if let (Some(group), Some(sum)) = (groups.get_mut(place), sums.get_mut(place * dimension..(place + 1) * dimension)) {
                group.weight += weight;
                group.square = (group.square + 2.0 * weight * along + weight * weight).max(0.0);
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
}

/// Divides by the length, whose square is given; false for what has none.
fn to_unit_length(vector: &mut [f32], square: f32) -> bool {
    let length = square.sqrt();
    let is_sound = length.is_finite() && length > 1e-9;
    if is_sound {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    is_sound
}
