//! Small trees on what a linear score leaves: gradient boosting of the same likelihood (Friedman 2001), by Newton's step in each leaf.
//!
//! Trees are oblivious ([`Tree`]): three questions each, which the whole of the examples is asked. A question is chosen by what the
//! likelihood gains to second order, from histograms of the features' values in up to [`BINS`] bins. Deterministic, whatever the number of
//! threads. Cost: one addition to a histogram for every feature and candidate outside the feature's usual bin, as most features say nothing
//! of most candidates; and for each further level of a tree those on the smaller side of the question before. Both times what is left is
//! all less these (Ke et al., NeurIPS 2017).

use faces_core::ranking::{Split, TREE_DEPTH, TREE_LEAVES, Tree};
use rayon::prelude::*;

use super::{WIDTH, Weighed};

/// Most examples that trees are grown on, the latest ones.
const EXAMPLES_MAX: usize = 12_000;
/// How much of a leaf's step is taken.
const STEP: f64 = 0.4;
/// Strength with which a leaf is held to 0, in curvature.
const RIDGE: f64 = 20.0;
/// Bins of a feature's values.
const BINS: usize = 32;
/// Fewest values other than 0 that make a feature worth a question.
const SPEAKS_MIN: usize = 100;
/// Values that bins are laid out by, at most.
const SAMPLE_MAX: usize = 100_000;

/// Grows `count` trees around scores of the candidates, by example.
pub(super) fn boost(examples: &[&Weighed<'_>], linear: impl Fn(&Weighed<'_>, &[f32]) -> f32, count: usize) -> Vec<Tree> {
    let examples = &examples[examples.len().saturating_sub(EXAMPLES_MAX)..];
    let (mut values, mut scores) = (vec![Vec::new(); WIDTH], Vec::new());
    for weighed in examples {
        for row in weighed.example.values.chunks_exact(WIDTH) {
            values.iter_mut().zip(row).for_each(|(column, value)| column.push(*value));
            scores.push(f64::from(linear(weighed, row)));
        }
    }
    let columns: Vec<Column> =
        values.into_par_iter().enumerate().filter_map(|(feature, values)| Column::of(feature, &values)).collect();
    let mut trees = Vec::with_capacity(count);
    for _ in 0..count {
        let slopes = slopes(examples, &scores);
        let Some((tree, leaves)) = grow(&columns, &slopes) else { break };
        scores.iter_mut().zip(leaves).for_each(|(score, leaf)| *score += f64::from(tree.leaves[usize::from(leaf)]));
        trees.push(tree);
    }
    trees
}

/// A feature of all candidates, in bins.
struct Column {
    feature: usize,
    /// Between the bins, ascending.
    edges: Vec<f32>,
    /// By candidate.
    bins: Vec<u8>,
    /// The bin of most candidates, and those of the others.
    usual: u8,
    unusual: Vec<u32>,
}

impl Column {
    /// `None` for a feature that says nothing.
    fn of(feature: usize, values: &[f32]) -> Option<Self> {
        let spoken = || values.iter().copied().filter(|value| *value != 0.0);
        let speaks = spoken().count();
        if speaks < SPEAKS_MIN {
            return None;
        }
        let mut sample: Vec<f32> = spoken().step_by(speaks / SAMPLE_MAX + 1).collect();
        sample.sort_unstable_by(f32::total_cmp);
        let quantile = |n: usize| sample[n * (sample.len() - 1) / (BINS - 3)];
        let mut marks: Vec<f32> = (0..BINS - 2).map(quantile).chain([0.0]).collect();
        marks.sort_unstable_by(f32::total_cmp);
        marks.dedup();
        let edges: Vec<f32> = marks.windows(2).map(|pair| f32::midpoint(pair[0], pair[1])).collect();
        let bins: Vec<u8> = values.iter().map(|value| edges.partition_point(|edge| edge < value) as u8).collect();
        let mut counts = [0; BINS];
        bins.iter().for_each(|bin| counts[usize::from(*bin)] += 1);
        let usual = (0..BINS).fold(0, |most, bin| if counts[bin] > counts[most] { bin } else { most }) as u8;
        let unusual = bins.iter().zip(0..).filter(|(bin, _)| **bin != usual).map(|(_, candidate)| candidate).collect();
        (!edges.is_empty()).then_some(Self { feature, edges, bins, usual, unusual })
    }
}

/// First and second derivative of the likelihood by each candidate's score.
fn slopes(examples: &[&Weighed<'_>], scores: &[f64]) -> Vec<[f32; 2]> {
    let mut slopes = Vec::with_capacity(scores.len());
    let (mut rest, mut chances) = (scores, Vec::new());
    for Weighed { example, counts, .. } in examples {
        let (scores, others) = rest.split_at(example.candidates());
        rest = others;
        let taken = example.taken.len();
        let offset = f64::from(example.stands_for).ln();
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        chances.clear();
        chances.extend(scores.iter().enumerate().map(|(n, score)| (score - top + if n < taken { 0.0 } else { offset }).exp()));
        let total: f64 = chances.iter().sum();
        let all: f64 = example.taken.iter().map(|worth| f64::from(*worth)).sum();
        slopes.extend(chances.iter().enumerate().map(|(n, chance)| {
            let (chance, share) = (chance / total, example.taken.get(n).map_or(0.0, |worth| f64::from(*worth) / all));
            [(counts * (share - chance)) as f32, (counts * chance * (1.0 - chance)) as f32]
        }));
    }
    slopes
}

/// Sums of slopes by leaf.
type Sums = [[f64; 2]; TREE_LEAVES];
/// The same by bin.
type Histogram = [Sums; BINS];

/// Some of the candidates.
struct Part {
    candidates: Vec<u32>,
    holds: Vec<bool>, // by candidate
    sums: Sums,
}

impl Part {
    fn of(candidates: Vec<u32>, leaves: &[u8], slopes: &[[f32; 2]]) -> Self {
        let (mut holds, mut sums) = (vec![false; slopes.len()], Sums::default());
        for candidate in candidates.iter().map(|candidate| *candidate as usize) {
            holds[candidate] = true;
            add_slope(&mut sums, leaves[candidate], slopes[candidate]);
        }
        Self { candidates, holds, sums }
    }
}

fn add_slope(sums: &mut Sums, leaf: u8, [slope, curvature]: [f32; 2]) {
    let sum = &mut sums[usize::from(leaf) % TREE_LEAVES];
    *sum = [sum[0] + f64::from(slope), sum[1] + f64::from(curvature)];
}

/// The tree that gains most, question by question, with each candidate's leaf; `None` where no question gains anything.
fn grow(columns: &[Column], slopes: &[[f32; 2]]) -> Option<(Tree, Vec<u8>)> {
    // A question that nothing can answer stands for none.
    let mut splits = [Split { feature: 0, above: f32::MAX }; TREE_DEPTH];
    let mut leaves = vec![0_u8; slopes.len()];
    let all = Part::of((0..slopes.len() as u32).collect(), &leaves, slopes);
    let mut histograms: Vec<Histogram> = columns.par_iter().map(|column| histogram(column, &leaves, slopes, &all)).collect();
    for (level, split) in splits.iter_mut().enumerate() {
        let questions: Vec<(f64, usize)> = histograms.par_iter().map(|of_column| best_question(of_column, 1 << level)).collect();
        // The first of the best, whatever the number of threads.
        let best =
            questions.iter().zip(columns).fold(None, |best: Option<(f64, usize, &Column)>, ((gain, bin), column)| match best {
                Some((most, ..)) if most >= *gain => best,
                _ => (*gain > 0.0).then_some((*gain, *bin, column)).or(best),
            });
        let Some((_, bin, column)) = best else { break };
        *split = Split { feature: column.feature, above: column.edges[bin] };
        let is_above = |candidate: &u32| usize::from(column.bins[*candidate as usize]) > bin;
        if level + 1 < TREE_DEPTH {
            let (above, below): (Vec<u32>, Vec<u32>) = all.candidates.iter().partition(|candidate| is_above(candidate));
            let is_above_smaller = above.len() < below.len();
            let smaller = Part::of(if is_above_smaller { above } else { below }, &leaves, slopes);
            histograms.par_iter_mut().zip(columns).for_each(|(of_column, column)| {
                let of_smaller = histogram(column, &leaves, slopes, &smaller);
                take_apart(of_column, &of_smaller, level, is_above_smaller);
            });
        }
        leaves.iter_mut().zip(0..).for_each(|(leaf, candidate)| *leaf |= u8::from(is_above(&candidate)) << level);
    }
    let mut sums = Sums::default();
    leaves.iter().zip(slopes).for_each(|(leaf, slope)| add_slope(&mut sums, *leaf, *slope));
    let step = sums.map(|[slope, curvature]| (STEP * slope / (curvature + RIDGE)) as f32);
    (splits[0].above < f32::MAX).then_some((Tree { splits, leaves: step }, leaves))
}

fn histogram(column: &Column, leaves: &[u8], slopes: &[[f32; 2]], of: &Part) -> Histogram {
    let mut histogram = [Sums::default(); BINS];
    let mut add = |candidate: u32| {
        let candidate = candidate as usize;
        add_slope(&mut histogram[usize::from(column.bins[candidate]) % BINS], leaves[candidate], slopes[candidate]);
    };
    if column.unusual.len() >= of.candidates.len() {
        of.candidates.iter().copied().for_each(add);
        return histogram;
    }
    column.unusual.iter().copied().filter(|candidate| of.holds[*candidate as usize]).for_each(&mut add);
    let mut rest = of.sums;
    histogram.iter().for_each(|of_bin| subtract(&mut rest, of_bin));
    histogram[usize::from(column.usual)] = rest;
    histogram
}

/// Takes the leaves of a level apart by the answer to its question: `smaller` holds the candidates of one answer.
fn take_apart(histogram: &mut Histogram, smaller: &Histogram, level: usize, is_above_smaller: bool) {
    for (of_bin, smaller) in histogram.iter_mut().zip(smaller) {
        let (below, above) = of_bin.split_at_mut(1 << level);
        for ((below, above), smaller) in below.iter_mut().zip(above).zip(smaller) {
            let larger = [below[0] - smaller[0], below[1] - smaller[1]];
            (*below, *above) = if is_above_smaller { (larger, *smaller) } else { (*smaller, larger) };
        }
    }
}

/// What a question gains, asked of all the first `leaves` leaves, and the last bin that it says no to; the best one.
fn best_question(histogram: &Histogram, leaves: usize) -> (f64, usize) {
    let worth = |[slope, curvature]: [f64; 2]| slope * slope / (curvature + RIDGE);
    let mut totals = Sums::default();
    histogram.iter().for_each(|of_bin| add(&mut totals, of_bin));
    let before: f64 = totals.iter().take(leaves).copied().map(worth).sum();
    let mut below = Sums::default();
    let mut best = (0.0, 0);
    for (bin, of_bin) in histogram.iter().enumerate().take(BINS - 1) {
        add(&mut below, of_bin);
        let halves = below.iter().zip(&totals).take(leaves);
        let after: f64 = halves.map(|(no, all)| worth(*no) + worth([all[0] - no[0], all[1] - no[1]])).sum();
        if after - before > best.0 {
            best = (after - before, bin);
        }
    }
    best
}

fn add(sums: &mut Sums, others: &Sums) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = [sum[0] + other[0], sum[1] + other[1]]);
}

fn subtract(sums: &mut Sums, others: &Sums) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = [sum[0] - other[0], sum[1] - other[1]]);
}
