//! What those took who took what the person took: nearest neighbours by line (VMIS-kNN: Ludewig & Jannach 2018; Kersbergen et al.,
//! SIGMOD 2022), over sessions and persons alike, as of this moment.
//!
//! Alike are lines that share items with the person, the more the later and the rarer these are. The most alike give their items,
//! weighed by how alike they are, how early the shared item stands, and how long ago they took theirs. An item done in another
//! unit leads to a line there, and from it around the ring to what the same people do here.
//!
//! Cost: postings of at most [`SIGNALS_MAX`] items, one look at memory for each of [`LINES_MAX`] lines.

use super::sums::{add, offer};
use crate::{
    ids::ItemId,
    neighbours::LineId,
    ranking::{
        candidate::CandidateSet,
        query::{Query, Scratch},
        source_set::SourceSet,
        stage::{Source, SourceKind},
    },
};

/// Items of the person looked at.
const SIGNALS_MAX: usize = 16;
/// Lines that give their items.
const LINES_MAX: usize = 100;
/// By how many days an item in a neighbour's line counts half.
const FADE_DAYS: f32 = 180.0;
const MINUTES_A_DAY: f32 = 1_440.0;

/// Retrieval by neighbours.
#[derive(Debug)]
pub struct Neighbours {
    /// Candidates added at most, for each of the two sums.
    pub candidates_max: usize,
}

impl Source for Neighbours {
    fn kind(&self) -> SourceKind {
        SourceKind::Neighbours
    }

    fn kinds(&self) -> SourceSet {
        SourceSet::of(SourceKind::Neighbours).with(SourceSet::of(SourceKind::NeighboursElsewhere))
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        self.sum(query, scratch, into, SourceKind::Neighbours, false);
        if query.signals.iter().any(|signal| signal.is_elsewhere) {
            self.sum(query, scratch, into, SourceKind::NeighboursElsewhere, true);
        }
    }
}

impl Neighbours {
    fn sum(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet, kind: SourceKind, is_elsewhere: bool) {
        find_alike(query, scratch, is_elsewhere);
        let neighbours = query.state.neighbours();
        let catalogue = query.state.catalogue();
        let Scratch { sums, touched, ranked, alike, .. } = scratch;
        for (weight, place, line) in &*alike {
            let weight = weight * (1.0 - 0.1 * f32::from(*place)).max(0.1);
            let mut give = |line: LineId| {
                neighbours.items(line, query.now, |item: ItemId, age_minutes| {
                    if catalogue.bu_of(item) == Some(query.bu) {
                        let fade = (-age_minutes / MINUTES_A_DAY / FADE_DAYS).exp2().max(1e-3);
                        add(sums, touched, item, weight * fade);
                    }
                });
            };
            if is_elsewhere {
                neighbours.others(*line).for_each(give);
            } else {
                give(*line);
            }
        }
        offer(query, kind, self.candidates_max, (sums, touched, ranked), |item| neighbours.may_name(item), into);
    }
}

/// The lines most like the person, best first; of equal ones those that came up first, which are the later ones.
fn find_alike(query: &Query<'_>, scratch: &mut Scratch, is_elsewhere: bool) {
    let neighbours = query.state.neighbours();
    let Scratch { lines, alike, .. } = scratch;
    lines.clear();
    alike.clear();
    let asked = query.signals.iter().filter(|signal| signal.is_elsewhere == is_elsewhere);
    for (place, signal) in asked.take(SIGNALS_MAX).enumerate() {
        let later = 1.0 - place as f32 / SIGNALS_MAX as f32;
        let mut takers = 0_u32;
        neighbours.takers(signal.item, |_| takers += 1);
        let rare = 1.0 / (1.0 + takers as f32).ln();
        neighbours.takers(signal.item, |line| {
            if !query.profile.lines.contains(&line) {
                lines.entry(line).or_insert_with(|| (0.0, place as u8)).0 += later * rare;
            }
        });
    }
    alike.extend(lines.iter().map(|(line, (weight, place))| (*weight, *place, *line)));
    let best_first = |a: &(f32, u8, LineId), b: &(f32, u8, LineId)| b.0.total_cmp(&a.0).then(b.2.cmp(&a.2));
    if alike.len() > LINES_MAX {
        alike.select_nth_unstable_by(LINES_MAX, best_first);
        alike.truncate(LINES_MAX);
    }
    alike.sort_unstable_by(best_first);
}
