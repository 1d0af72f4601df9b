//! How alike other lines are to the person: sums by line in a small open-addressing table that requests of one thread share.

use crate::neighbours::LineId;

/// A line that shares items with the person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Alike {
    /// How alike; 0 in an empty slot.
    pub(crate) weight: f32,
    /// The line.
    pub(crate) line: LineId,
    /// Place of the person's newest item that both share.
    pub(crate) place: u8,
}

/// The table. Slots are a power of two, at least twice as many as lines that are ever added in one request.
#[derive(Debug)]
pub(crate) struct Likeness {
    slots: Vec<Alike>,
    used: Vec<u32>,
}

/// Lines added in one request at most; further ones are passed over.
const ADDED_MAX: usize = 2_048;

impl Default for Likeness {
    fn default() -> Self {
        Self { slots: vec![Alike::default(); 2 * ADDED_MAX], used: Vec::with_capacity(ADDED_MAX) }
    }
}

impl Likeness {
    /// Adds to a line's sum; `place` counts where it is the first. Weights are above 0.
    pub(crate) fn add(&mut self, line: LineId, weight: f32, place: u8) {
        let mask = self.slots.len() - 1;
        let mut at = (line.position() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> 40 & mask; // Fibonacci hashing
        loop {
            let Some(slot) = self.slots.get_mut(at) else { return };
            if slot.weight == 0.0 {
                if self.used.len() < ADDED_MAX {
                    *slot = Alike { weight, line, place };
                    self.used.push(at as u32);
                }
                return;
            }
            if slot.line == line {
                slot.weight += weight;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Empties the table, the `most` lines that are most alike into `alike`, in no order. Of equal ones some are taken.
    pub(crate) fn drain_best(&mut self, most: usize, order: &mut Vec<u64>, alike: &mut Vec<Alike>) {
        let Self { slots, used } = self;
        order.clear();
        // Weights are above 0, so their bits are in their order.
        order.extend(used.drain(..).filter_map(|at| {
            let weight = slots.get(at as usize)?.weight;
            Some(u64::from(!weight.to_bits()) << 32 | u64::from(at))
        }));
        if most > 0 && most < order.len() {
            order.select_nth_unstable(most - 1);
        }
        let all = order.iter().filter_map(|key| slots.get_mut(*key as u32 as usize).map(std::mem::take));
        alike.clear();
        for (place, one) in all.enumerate() {
            if place < most {
                alike.push(one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_line_however_they_collide_and_starts_empty_again() {
        let (mut likeness, mut order, mut alike) = (Likeness::default(), Vec::new(), Vec::new());
        let line = |n: u32| LineId::from_tag(n + 1).unwrap();
        for round in 0..3 {
            for n in 0..ADDED_MAX as u32 {
                likeness.add(line(n * 7_919), 1.0, 0);
                likeness.add(line(n * 7_919), 0.5, 1);
            }
            likeness.add(line(1), 1.0, 0); // one too many
            likeness.drain_best(usize::MAX, &mut order, &mut alike);
            alike.sort_unstable_by_key(|one| one.line);
            let expected: Vec<_> =
                (0..ADDED_MAX as u32).map(|n| Alike { weight: 1.5, line: line(n * 7_919), place: 0 }).collect();
            assert_eq!(alike, expected, "round {round}");
        }
    }

    #[test]
    fn the_most_alike_stay() {
        let (mut likeness, mut order, mut alike) = (Likeness::default(), Vec::new(), Vec::new());
        for n in 0..100 {
            likeness.add(LineId::from_tag(n + 1).unwrap(), f32::from((n * 37 % 100) as u8) + 0.5, 0);
        }
        likeness.drain_best(7, &mut order, &mut alike);
        let mut weights: Vec<f32> = alike.iter().map(|one| one.weight).collect();
        weights.sort_unstable_by(f32::total_cmp);
        assert_eq!(weights, [93.5, 94.5, 95.5, 96.5, 97.5, 98.5, 99.5]);
        likeness.drain_best(7, &mut order, &mut alike);
        assert!(alike.is_empty());
    }
}
