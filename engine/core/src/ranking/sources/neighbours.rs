//! What those took who took what the person took: nearest neighbours by line (VMIS-kNN: Ludewig & Jannach 2018; Kersbergen et al.,
//! SIGMOD 2022), over sessions and persons alike, as of this moment.
//!
//! Alike are lines that share items with the person, the more the later and the rarer these are. The most alike give their items,
//! weighed by how alike they are, how early the shared item stands, and how long ago they took theirs. An item done in another
//! unit leads to a line there, and from it around the ring to what the same people do here, above all what they did lately: in a unit
//! where the person did nothing, nothing of theirs says when.
//!
//! Cost: postings of at most [`HERE`]'s items, one look at memory for each of its lines.

use super::likeness::Alike;
use crate::{
    neighbours::Fade,
    ranking::{
        candidate::CandidateSet, fast, query::Query, scratch::Scratch, source_kind::SourceKind, source_set::SourceSet,
        stage::Source,
    },
};

/// Items of the person looked at, and lines that give theirs.
const HERE: Reach = Reach { signals: 6, lines: 60 };
/// The same in other units, which are asked where there is little else to go by, and whose people are often not of the asked unit.
const ELSEWHERE: Reach = Reach { signals: SIGNALS_MAX, lines: 200 };
const SIGNALS_MAX: usize = 16;
/// Items of the person in the asked unit that are enough: with so many, what they did in others adds cost and, on earlier time of
/// three sets, no hits.
const ITEMS_ENOUGH: usize = 10;
/// By how many days an item in a neighbour's line counts half, of neighbours in the asked unit and of those found elsewhere; and what
/// it counts at least.
const HALF_LIFE_DAYS: f32 = 180.0;
const ELSEWHERE_HALF_LIFE_DAYS: f32 = 14.0;
const FADED_MIN: f32 = 1e-3;

/// How far neighbours are looked for.
struct Reach {
    signals: usize,
    lines: usize,
}

/// Retrieval by neighbours.
#[derive(Debug)]
pub struct Neighbours {
    candidates_max: usize,
    fade: Fade,
    fade_elsewhere: Fade,
}

impl Neighbours {
    /// Adds at most `candidates_max` candidates for each of the two sums.
    #[must_use]
    pub fn new(candidates_max: usize) -> Self {
        let fade = |half_life_days| Fade::new(half_life_days, FADED_MIN);
        Self { candidates_max, fade: fade(HALF_LIFE_DAYS), fade_elsewhere: fade(ELSEWHERE_HALF_LIFE_DAYS) }
    }
}

impl Source for Neighbours {
    fn kind(&self) -> SourceKind {
        SourceKind::Neighbours
    }

    fn kinds(&self) -> SourceSet {
        SourceSet::of(SourceKind::Neighbours).with(SourceSet::of(SourceKind::NeighboursElsewhere))
    }

    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet) {
        query.state.neighbours().fetch_items(query.signals.iter().take(ELSEWHERE.signals).map(|signal| signal.item));
        self.sum(query, scratch, into, SourceKind::Neighbours, false);
        let elsewhere = query.signals.iter().filter(|signal| signal.is_elsewhere).count();
        if elsewhere > 0 && query.signals.len() - elsewhere < ITEMS_ENOUGH {
            self.sum(query, scratch, into, SourceKind::NeighboursElsewhere, true);
        }
    }
}

impl Neighbours {
    fn sum(&self, query: &Query<'_>, scratch: &mut Scratch, into: &mut CandidateSet, kind: SourceKind, is_elsewhere: bool) {
        find_alike(query, scratch, is_elsewhere);
        let neighbours = query.state.neighbours();
        let Scratch { sums, alike, given, .. } = scratch;
        neighbours.fetch(alike.iter().map(|one| one.line));
        given.clear();
        for Alike { weight, place, line } in &*alike {
            if is_elsewhere {
                given.extend(neighbours.others(*line).map(|line| (line, *weight)));
            } else {
                given.push((*line, weight * (1.0 - 0.1 * f32::from(*place)).max(0.1)));
            }
        }
        if is_elsewhere {
            neighbours.fetch(given.iter().map(|(line, _)| *line));
        }
        let fade = if is_elsewhere { &self.fade_elsewhere } else { &self.fade };
        for (line, weight) in &*given {
            neighbours.faded(*line, query.now, fade, |item, faded| sums.add(item, weight * faded));
        }
        sums.offer(query, kind, self.candidates_max, |item| neighbours.may_name(item), into);
    }
}

/// The lines most like the person.
fn find_alike(query: &Query<'_>, scratch: &mut Scratch, is_elsewhere: bool) {
    let Reach { signals, lines } = if is_elsewhere { ELSEWHERE } else { HERE };
    let neighbours = query.state.neighbours();
    let Scratch { likeness, alike, .. } = scratch;
    let asked = query.signals.iter().filter(|signal| signal.is_elsewhere == is_elsewhere).take(signals);
    let mut weights = [0.0; SIGNALS_MAX];
    for ((place, signal), weight) in asked.clone().enumerate().zip(&mut weights) {
        let later = if is_elsewhere { 1.0 } else { 1.0 - place as f32 / signals as f32 };
        *weight = later / fast::log2(1.0 + neighbours.taker_count(signal.item).max(1) as f32); // the rarer the more
    }
    neighbours.takers(asked.map(|signal| signal.item), |place, line| {
        if !query.profile.lines.contains(&line) {
            likeness.add(line, weights.get(place).copied().unwrap_or_default(), place as u8);
        }
    });
    likeness.drain_best(lines, alike);
}
