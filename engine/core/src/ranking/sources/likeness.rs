//! How alike other lines are to the person: sums by line.

use crate::{neighbours::LineId, ranking::by_number::ByNumber};

/// A line that shares items with the person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Alike {
    /// How alike.
    pub(crate) weight: f32,
    /// The line.
    pub(crate) line: LineId,
    /// Place of the person's newest item that both share.
    pub(crate) place: u8,
}

/// Sums of weights, each with the place that came first.
#[derive(Debug, Default)]
pub(crate) struct Likeness(ByNumber<(f32, u8)>);

impl Likeness {
    /// Adds to a line's sum; `place` counts where it is the first. Weights are above 0.
    pub(crate) fn add(&mut self, line: LineId, weight: f32, place: u8) {
        if let Some((sum, first)) = self.0.entry(line.number()) {
            *first = if *sum == 0.0 { place } else { *first };
            *sum += weight;
        }
    }

    /// Empties the sums, the `most` lines that are most alike into `alike`, in no order. Of equal ones some are taken.
    pub(crate) fn drain_best(&mut self, most: usize, alike: &mut Vec<Alike>) {
        alike.clear();
        self.0.drain(|line, (weight, place)| alike.push(Alike { weight, line: LineId::new(line), place }));
        if most < alike.len() {
            // Weights are above 0, so their bits are in their order.
            alike.select_nth_unstable_by_key(most, |one| !one.weight.to_bits());
            alike.truncate(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_line_however_they_collide_and_starts_empty_again() {
        let (mut likeness, mut alike) = (Likeness::default(), Vec::new());
        let line = |n: u32| LineId::from_tag(n + 1).unwrap();
        for round in 0..3 {
            for n in 0..2_048 {
                likeness.add(line(n * 7_919), 1.0, 0);
                likeness.add(line(n * 7_919), 0.5, 1);
            }
            likeness.drain_best(usize::MAX, &mut alike);
            alike.sort_unstable_by_key(|one| one.line);
            let expected: Vec<_> = (0..2_048).map(|n| Alike { weight: 1.5, line: line(n * 7_919), place: 0 }).collect();
            assert_eq!(alike, expected, "round {round}");
        }
    }

    #[test]
    fn the_most_alike_stay() {
        let (mut likeness, mut alike) = (Likeness::default(), Vec::new());
        for n in 0..100 {
            likeness.add(LineId::from_tag(n + 1).unwrap(), f32::from((n * 37 % 100) as u8) + 0.5, 0);
        }
        likeness.drain_best(7, &mut alike);
        let mut weights: Vec<f32> = alike.iter().map(|one| one.weight).collect();
        weights.sort_unstable_by(f32::total_cmp);
        assert_eq!(weights, [93.5, 94.5, 95.5, 96.5, 97.5, 98.5, 99.5]);
        likeness.drain_best(7, &mut alike);
        assert!(alike.is_empty());
    }
}
