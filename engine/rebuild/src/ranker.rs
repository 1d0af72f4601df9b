//! Training of the ranker: what people took out of what stood for choice.
//!
//! A conditional logit (McFadden 1974; the listwise softmax loss of Cao et al., ICML 2007): for every example the log-likelihood
//! that a taken candidate is chosen before all others, ridge-penalised. It is convex, so Newton's method finds *the* solution:
//! the result depends on the set of examples alone. Segments are fitted around what all people have in common, the more freely the
//! more examples they have. People new to a unit also speak for strangers, with what hangs on the person left out.

use faces_core::ranking::{Ranker, Regime, Segment, features};
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

const WIDTH: usize = features::COUNT;

/// One moment: what stood for choice, and what was taken.
#[derive(Debug, Clone)]
pub struct Example {
    /// Which weights it speaks for.
    pub regime: Regime,
    /// When, milliseconds since 1970.
    pub ts_ms: i64,
    /// Whether the person was only taken for one of the segment: it says nothing of what all people have in common.
    pub is_imagined: bool,
    /// What taking each of the first candidates, which were taken, is worth; above 0.
    pub taken: Vec<f32>,
    /// Features by candidate, [`features::COUNT`] each.
    pub values: Vec<f32>,
    /// Each of the candidates that were not taken stands for so many.
    pub stands_for: f32,
}

/// How rankers are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankerParams {
    /// Most examples, the latest ones.
    pub examples_max: usize,
    /// Of a data lake's log, about so many of the latest events are gone through for them, and of what was before only what concerns
    /// the people in the examples.
    pub replayed_max: usize,
    /// Candidates of an example that were not taken, at most: a random sample.
    pub others_max: usize,
    /// By how many days an example's age it counts half.
    pub half_life_days: f64,
    /// Strength of the penalty on all people's weights, in examples.
    pub ridge: f64,
    /// Strength with which a segment is held to what all people have in common, in examples.
    pub segment_ridge: f64,
}

impl Default for RankerParams {
    fn default() -> Self {
        Self {
            examples_max: 20_000,
            replayed_max: 3_000_000,
            others_max: 60,
            half_life_days: 365.0,
            ridge: 5.0,
            segment_ridge: 50.0,
        }
    }
}

impl RankerParams {
    /// The first thing wrong with the parameters, with the way out.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let above_zero = |value: f64| value.is_finite() && value > 0.0;
        if !(1..=1_000).contains(&self.others_max) {
            return Err("others_max must lie between 1 and 1000");
        }
        if !above_zero(self.half_life_days) {
            return Err("half_life_days must be a number of days above 0");
        }
        if !(above_zero(self.ridge) && above_zero(self.segment_ridge)) {
            return Err("ridge and segment_ridge must be numbers above 0");
        }
        Ok(())
    }
}

const STEPS_MAX: usize = 25;
const GAIN_MIN: f64 = 1e-6;

/// A ranker with what it was judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedRanker {
    /// What ranks.
    pub ranker: Ranker,
    /// By regime, in their order.
    pub verdicts: Vec<Verdict>,
}

/// What came of training, for one regime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The segment.
    pub segment: String,
    /// Whether the unit's hottest items were ruled out.
    pub is_tail: bool,
    /// Examples of the later period that it was judged on.
    pub examples: usize,
    /// What was best of all else in the earlier period: a single feature or, for people new to the unit, what strangers get.
    pub single: String,
    /// Its NDCG@20 in the later period, of examples whose target was retrieved.
    pub single_ndcg: f64,
    /// The blend's.
    pub blend_ndcg: f64,
    /// Lower end of the gain's interval: one-sided 90 %, of people new to the unit 99 %.
    pub gain_low: f64,
    /// Whether the blend is published.
    pub is_blend: bool,
}

/// Fits a ranker to what happened before `now_ms`; `None` without a single example in which something was taken.
///
/// It is fitted to the earlier examples first, and judged on the later ones: where the lower bound of the blend's gain over the best
/// single feature is negative, that feature alone orders the regime; where there are too few to judge by, the fixed blend does. People
/// new to a unit get what strangers get unless the blend is surely better than that too: examples of them are few, and what other units
/// say of them hurts as often as it helps, so that they ask for more certainty than the others. What is published is then fitted to all.
#[must_use]
pub fn fit(examples: &[Example], params: &RankerParams, now_ms: i64) -> Option<TrainedRanker> {
    let is_useful = |example: &&Example| !example.taken.is_empty() && example.others() > 0 && example.ts_ms < now_ms;
    let as_strangers: Vec<Example> = examples.iter().filter(is_useful).filter_map(Example::as_of_stranger).collect();
    let mut useful: Vec<Weighed<'_>> =
        examples.iter().filter(is_useful).map(|example| Weighed::new(example, false, params, now_ms)).collect();
    if useful.is_empty() {
        return None;
    }
    useful.extend(as_strangers.iter().map(|example| Weighed::new(example, true, params, now_ms)));
    useful.sort_by_key(|weighed| (weighed.example.ts_ms, weighed.is_copy)); // stable
    let (earlier, later) = useful.split_at((useful.len() as f64 * EARLIER_SHARE) as usize);
    let scales = scales(useful.iter().filter(|weighed| !weighed.is_copy));
    let weights = fit_regimes(&useful, &scales, params);
    let tried = fit_regimes(earlier, &scales, params);
    let (mut published, mut verdicts) = (weights.map(Some), Vec::new());
    let mut of_strangers = [None; 2]; // fitted to the earlier examples and to all, by whether the head is missing
    for (place, regime) in Regime::all().into_iter().enumerate() {
        let (earlier, later) = (of_regime(earlier, regime), of_regime(later, regime));
        let strangers = of_strangers[usize::from(regime.is_tail)].filter(|_| regime.segment == Segment::Cold);
        let rival = Rival::of(&earlier, strangers);
        let verdict = judge(regime, &later, &tried[place], &rival);
        if verdict.examples < JUDGED_MIN {
            published[place] = None;
        } else if !verdict.is_blend {
            published[place] = Some(rival.published);
        }
        if let (Segment::Stranger, Some(published)) = (regime.segment, published[place]) {
            let tried = if verdict.is_blend { tried[place] } else { rival.tried };
            of_strangers[usize::from(regime.is_tail)] = Some([impersonal(&tried), impersonal(&published)]);
        }
        verdicts.push(verdict);
    }
    Some(TrainedRanker { ranker: Ranker { weights: published, repeat_units: Vec::new() }, verdicts })
}

type Weights = [f32; WIDTH];

/// Examples of a regime; imagined ones only where there are too few real ones to judge by.
fn of_regime<'a, 'b>(examples: &'b [Weighed<'a>], regime: Regime) -> Vec<&'b Weighed<'a>> {
    let all: Vec<_> = examples.iter().filter(|weighed| weighed.example.regime == regime).collect();
    let real: Vec<_> = all.iter().copied().filter(|weighed| !weighed.example.is_imagined).collect();
    if real.len() < JUDGED_MIN { all } else { real }
}

/// What a blend has to be better than.
struct Rival {
    name: &'static str,
    /// Fitted to the earlier examples: what the blend is judged against.
    tried: Weights,
    /// Fitted to all: what stands in for the blend.
    published: Weights,
}

impl Rival {
    /// The best of the earlier period: a single feature, or what strangers get, so that to be known in other units never hurts those
    /// who are new to this one.
    fn of(earlier: &[&Weighed<'_>], strangers: Option<[Weights; 2]>) -> Self {
        let single = best_single(earlier);
        let of_single = Self { name: features::NAMES[single], tried: alone(single), published: alone(single) };
        let worth = |weights: &Weights| earlier.iter().map(|weighed| weighed.example.ndcg(weights)).sum::<f64>();
        match strangers {
            Some([tried, published]) if worth(&tried) >= worth(&of_single.tried) => Self { name: AS_STRANGER, tried, published },
            _ => of_single,
        }
    }
}

/// What the order that strangers get is called in verdicts.
const AS_STRANGER: &str = "as a stranger";

/// Weights without what hangs on the person.
fn impersonal(weights: &Weights) -> Weights {
    std::array::from_fn(|n| if is_impersonal(n) { weights[n] } else { 0.0 })
}

/// Whether a feature says the same of an item whoever asks.
fn is_impersonal(feature: usize) -> bool {
    let name = features::NAMES[feature];
    name == "age" || name.starts_with("new") || name.starts_with("demand_")
}

/// Weights by regime: first of all people; of each regime around those.
fn fit_regimes(examples: &[Weighed<'_>], scales: &[f64], params: &RankerParams) -> [Weights; Regime::COUNT] {
    let real = examples.iter().filter(|weighed| !weighed.example.is_imagined && !weighed.is_copy);
    let all: Vec<&Weighed<'_>> = real.collect();
    let common = newton(&all, scales, &DVector::zeros(WIDTH), params.ridge);
    Regime::all().map(|regime| {
        let of_regime: Vec<&Weighed<'_>> = examples.iter().filter(|weighed| weighed.example.regime == regime).collect();
        let weights =
            if of_regime.is_empty() { common.clone() } else { newton(&of_regime, scales, &common, params.segment_ridge) };
        std::array::from_fn(|n| (weights[n] * scales[n]) as f32)
    })
}

/// A single feature as weights; demand breaks its ties.
fn alone(feature: usize) -> Weights {
    let mut weights = [0.0; WIDTH];
    weights[TIE_BREAK] = 1e-3;
    weights[feature] = 1.0;
    weights
}

/// The feature to order a slate alone: recent demand, the baseline that is hardest to beat with little to learn from, unless another
/// one is surely better.
fn best_single(examples: &[&Weighed<'_>]) -> usize {
    let of = |feature: usize| {
        let weights = alone(feature);
        examples.iter().map(move |weighed| weighed.example.ndcg(&weights))
    };
    let usual: Vec<f64> = of(TIE_BREAK).collect();
    let gain = |feature: usize| Gain::of(of(feature).zip(&usual).map(|(other, usual)| other - usual));
    let sure = SINGLES.into_iter().map(|feature| (gain(feature), feature)).filter(|(gain, _)| gain.low(CONFIDENCE_Z) > 0.0);
    sure.fold((0.0, TIE_BREAK), |best, (gain, feature)| if gain.mean > best.0 { (gain.mean, feature) } else { best }).1
}

/// A mean of differences, with its standard error.
struct Gain {
    mean: f64,
    error: f64,
}

impl Gain {
    fn of(differences: impl Iterator<Item = f64>) -> Self {
        let (mut n, mut sum, mut squares) = (0.0_f64, 0.0, 0.0);
        differences.for_each(|difference| {
            n += 1.0;
            sum += difference;
            squares += difference * difference;
        });
        let mean = sum / n.max(1.0);
        let variance = (squares / n.max(1.0) - mean * mean).max(0.0);
        Self { mean, error: (variance / n.max(1.0)).sqrt() }
    }

    /// Lower end of the interval that reaches so many standard errors down.
    fn low(&self, z: f64) -> f64 {
        self.mean - z * self.error
    }
}

fn judge(regime: Regime, later: &[&Weighed<'_>], blend: &Weights, rival: &Rival) -> Verdict {
    let pairs: Vec<(f64, f64)> =
        later.iter().map(|weighed| (weighed.example.ndcg(blend), weighed.example.ndcg(&rival.tried))).collect();
    let n = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| if pairs.is_empty() { 0.0 } else { pairs.iter().map(of).sum::<f64>() / n };
    let z = if regime.segment == Segment::Cold { NEWCOMERS_Z } else { CONFIDENCE_Z };
    let gain_low = Gain::of(pairs.iter().map(|(blend, single)| blend - single)).low(z);
    Verdict {
        segment: regime.segment.name().to_owned(),
        is_tail: regime.is_tail,
        examples: pairs.len(),
        single: rival.name.to_owned(),
        single_ndcg: mean(&|(_, single)| *single),
        blend_ndcg: mean(&|(blend, _)| *blend),
        gain_low,
        is_blend: pairs.len() >= JUDGED_MIN && gain_low >= 0.0,
    }
}

/// Share of examples that come first, and that the blend is judged by the others.
const EARLIER_SHARE: f64 = 0.7;
/// Fewest examples that a regime may be judged by.
const JUDGED_MIN: usize = 30;
/// One-sided 90 %.
const CONFIDENCE_Z: f64 = 1.2816;
/// One-sided 99 %, for people new to a unit.
const NEWCOMERS_Z: f64 = 2.3263;
/// Features that may order a slate alone, one for each source.
const SINGLES: [usize; 12] = [
    features::place("demand_30_log"),
    features::place("demand_7_log"),
    features::place("demand_180_log"),
    features::place("demand_1_log"),
    features::place("neighbours_log"),
    features::place("neighbours_elsewhere_log"),
    features::place("together_log"),
    features::place("latest_log"),
    features::place("co_visitation_log"),
    features::place("history_log"),
    features::place("interest"),
    features::place("had_30"),
];
/// Demand of the last months.
const TIE_BREAK: usize = features::place("demand_30_log");

/// An example, and how much it counts.
#[derive(Debug, Clone, Copy)]
struct Weighed<'a> {
    example: &'a Example,
    counts: f64,
    /// Whether the moment is among the examples in another form too.
    is_copy: bool,
}

impl<'a> Weighed<'a> {
    /// A moment counts by the most that was taken in it (a purchase more than a look), and the less the longer ago it was.
    fn new(example: &'a Example, is_copy: bool, params: &RankerParams, now_ms: i64) -> Self {
        let days = (now_ms - example.ts_ms) as f64 / 86_400_000.0;
        let worth = f64::from(example.taken.iter().copied().fold(0.0, f32::max));
        Self { example, counts: worth.sqrt() * (-days / params.half_life_days).exp2(), is_copy }
    }
}

impl Example {
    /// What somebody new to a unit took, for the order that strangers get: with what hangs on the person left out. Without it strangers,
    /// and with them all who get what they get, would be learnt from fewer moments than if units knew nothing of each other.
    fn as_of_stranger(&self) -> Option<Self> {
        if self.regime.segment != Segment::Cold || self.is_imagined {
            return None;
        }
        let mut of_stranger = Self { regime: Regime { segment: Segment::Stranger, ..self.regime }, ..self.clone() };
        for row in of_stranger.values.chunks_exact_mut(WIDTH) {
            row.iter_mut().enumerate().filter(|(n, _)| !is_impersonal(*n)).for_each(|(_, value)| *value = 0.0);
        }
        Some(of_stranger)
    }

    /// NDCG@20 of the candidates by some weights, as near as the sample of others tells their rank.
    fn ndcg(&self, weights: &Weights) -> f64 {
        let mut scored: Vec<(f32, bool)> = self
            .values
            .chunks_exact(WIDTH)
            .enumerate()
            .map(|(n, row)| (row.iter().zip(weights).map(|(value, weight)| value * weight).sum(), n < self.taken.len()))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut rank, mut gain) = (0.0_f64, 0.0);
        for (_, is_taken) in scored {
            rank += if is_taken { 1.0 } else { f64::from(self.stands_for) };
            if is_taken && rank <= 20.0 {
                gain += 1.0 / (rank + 1.0).log2();
            }
        }
        gain / (0..self.taken.len().min(20)).map(|n| 1.0 / (n as f64 + 2.0).log2()).sum::<f64>()
    }

    fn candidates(&self) -> usize {
        self.values.len() / WIDTH
    }

    fn others(&self) -> usize {
        self.candidates().saturating_sub(self.taken.len())
    }
}

/// What brings each feature to a standard deviation of 1 inside an example; 0 for one that never varies.
fn scales<'a>(examples: impl Iterator<Item = &'a Weighed<'a>>) -> Vec<f64> {
    let mut squares = vec![0.0; WIDTH];
    let mut count = 0.0;
    for Weighed { example, .. } in examples {
        let n = example.candidates() as f64;
        let mut sums = [0.0; WIDTH];
        let mut sums_of_squares = [0.0; WIDTH];
        for row in example.values.chunks_exact(WIDTH) {
            for (place, value) in row.iter().enumerate() {
                sums[place] += f64::from(*value);
                sums_of_squares[place] += f64::from(*value).powi(2);
            }
        }
        for place in 0..WIDTH {
            squares[place] += sums_of_squares[place] - sums[place].powi(2) / n;
        }
        count += n;
    }
    squares
        .into_iter()
        .map(|square: f64| (square / count).max(0.0).sqrt())
        .map(|sd| if sd > 1e-4 { 1.0 / sd } else { 0.0 })
        .collect()
}

/// Gain, gradient and curvature of the log-likelihood at some weights.
struct Slope {
    likelihood: f64,
    gradient: DVector<f64>,
    curvature: DMatrix<f64>,
}

impl Slope {
    fn zero() -> Self {
        Self { likelihood: 0.0, gradient: DVector::zeros(WIDTH), curvature: DMatrix::zeros(WIDTH, WIDTH) }
    }

    fn plus(mut self, other: Self) -> Self {
        self.likelihood += other.likelihood;
        self.gradient += other.gradient;
        self.curvature += other.curvature;
        self
    }

    fn add(&mut self, weighed: &Weighed<'_>, scales: &[f64], weights: &DVector<f64>, with_curvature: bool) {
        let (example, counts) = (weighed.example, weighed.counts);
        let n = example.candidates();
        let rows = DMatrix::from_fn(WIDTH, n, |feature, candidate| {
            f64::from(example.values[candidate * WIDTH + feature]) * scales[feature]
        });
        let offset = f64::from(example.stands_for).ln();
        let mut scores = rows.tr_mul(weights);
        scores.iter_mut().skip(example.taken.len()).for_each(|score| *score += offset);
        let top = scores.max();
        let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        let chances = scores.map(|score| (score - top).exp() / total);
        let all: f64 = example.taken.iter().map(|worth| f64::from(*worth)).sum();
        let shares = DVector::from_iterator(example.taken.len(), example.taken.iter().map(|worth| f64::from(*worth) / all));
        let log_total = total.ln() + top;
        self.likelihood += counts * scores.iter().zip(&shares).map(|(score, share)| (score - log_total) * share).sum::<f64>();
        let mean = &rows * &chances;
        let taken_mean = rows.columns(0, example.taken.len()) * &shares;
        self.gradient += (taken_mean - &mean) * counts;
        if with_curvature {
            let mut weighted = rows.clone();
            weighted.column_iter_mut().zip(chances.iter()).for_each(|(mut column, chance)| column *= *chance);
            self.curvature.gemm(counts, &weighted, &rows.transpose(), 1.0);
            self.curvature.ger(-counts, &mean, &mean, 1.0);
        }
    }
}

fn slope(examples: &[&Weighed<'_>], scales: &[f64], weights: &DVector<f64>, with_curvature: bool) -> Slope {
    // Chunks of a fixed size, added in their order: the same sums whatever the number of threads.
    let chunks: Vec<Slope> = examples
        .par_chunks(256)
        .map(|chunk| {
            let mut slope = Slope::zero();
            chunk.iter().for_each(|weighed| slope.add(weighed, scales, weights, with_curvature));
            slope
        })
        .collect();
    chunks.into_iter().fold(Slope::zero(), Slope::plus)
}

/// The weights that make what was taken most likely, held to `home` by `ridge`.
fn newton(examples: &[&Weighed<'_>], scales: &[f64], home: &DVector<f64>, ridge: f64) -> DVector<f64> {
    let mut weights = home.clone();
    let penalty = |weights: &DVector<f64>| 0.5 * ridge * (weights - home).norm_squared();
    for _ in 0..STEPS_MAX {
        let at = slope(examples, scales, &weights, true);
        let gradient = &at.gradient - (&weights - home) * ridge;
        let curvature = at.curvature + DMatrix::identity(WIDTH, WIDTH) * ridge;
        let Some(factors) = curvature.cholesky() else { break };
        let step = factors.solve(&gradient);
        let worth = at.likelihood - penalty(&weights);
        let mut length = 1.0;
        let better = loop {
            let next = &weights + &step * length;
            let worth_there = slope(examples, scales, &next, false).likelihood - penalty(&next);
            if worth_there > worth {
                break Some((next, worth_there - worth));
            }
            length *= 0.5;
            if length < 1e-3 {
                break None;
            }
        };
        let Some((next, gain)) = better else { break };
        weights = next;
        if gain < GAIN_MIN * examples.len() as f64 {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng as _, SeedableRng as _},
    };

    use super::*;

    /// Moments in which the candidate with the most of `decides`, blurred by `noise`, is taken.
    fn moments(count: usize, decides: &[usize], noise: f32) -> Vec<Example> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || random.next_u32() as f32 / u32::MAX as f32;
        (0..count)
            .map(|n| {
                let mut rows: Vec<Vec<f32>> = (0..12).map(|_| (0..WIDTH).map(|_| draw()).collect()).collect();
                let mut worth: Vec<f32> =
                    rows.iter().map(|row| decides.iter().map(|f| row[*f]).sum::<f32>() + noise * draw()).collect();
                let best = (0..rows.len()).max_by(|a, b| worth[*a].total_cmp(&worth[*b])).unwrap();
                rows.swap(0, best);
                worth.swap(0, best);
                Example {
                    regime: Regime { segment: Segment::Warm, is_tail: false },
                    ts_ms: n as i64 * 3_600_000,
                    is_imagined: false,
                    taken: vec![1.0],
                    values: rows.concat(),
                    stands_for: 2.0,
                }
            })
            .collect()
    }

    fn verdict(trained: &TrainedRanker) -> &Verdict {
        trained.verdicts.iter().find(|verdict| verdict.segment == "warm" && !verdict.is_tail).unwrap()
    }

    const NOW_MS: i64 = 1 << 40;

    #[test]
    fn it_learns_what_decides_and_the_order_of_examples_does_not_show() {
        let mut examples = moments(400, &[1, 13], 0.1);
        let trained = fit(&examples, &RankerParams::default(), NOW_MS).unwrap();
        let weights = trained.ranker.weights[Regime { segment: Segment::Warm, is_tail: false }.position()].unwrap();
        let others = (0..WIDTH).filter(|n| ![1, 13].contains(n)).map(|n| weights[n].abs()).fold(0.0, f32::max);
        assert!(weights[1] > 3.0 * others && weights[13] > 3.0 * others, "{weights:?}");
        assert!(verdict(&trained).is_blend && verdict(&trained).blend_ndcg > verdict(&trained).single_ndcg, "{trained:?}");
        examples.reverse();
        assert_eq!(fit(&examples, &RankerParams::default(), NOW_MS), Some(trained));
    }

    #[test]
    fn people_new_to_a_unit_get_what_strangers_get_where_no_blend_is_surely_better() {
        const DEMAND: [usize; 2] = [features::place("demand_7_log"), features::place("demand_30_log")];
        let of = |segment: Segment, count: usize| {
            let regime = Regime { segment, is_tail: false };
            let moments = moments(count, &DEMAND, 0.5).into_iter().enumerate();
            moments.map(move |(n, example)| Example { regime, ts_ms: (n * 1_000 / count) as i64, ..example })
        };
        let examples: Vec<_> = of(Segment::Stranger, 400).chain(of(Segment::Cold, 130)).collect();
        let trained = fit(&examples, &RankerParams::default(), NOW_MS).unwrap();
        let [stranger, cold] = [Segment::Stranger, Segment::Cold].map(|segment| {
            let place = Regime { segment, is_tail: false }.position();
            (&trained.verdicts[place], trained.ranker.weights[place].unwrap())
        });
        assert!(stranger.0.is_blend, "{stranger:?}");
        assert_eq!((cold.0.single.as_str(), cold.0.is_blend), (AS_STRANGER, false), "{cold:?}");
        assert_eq!(cold.1, impersonal(&stranger.1));
        assert!(cold.1[0] == 0.0 && stranger.1[0] != 0.0, "what hangs on the person is left out");
    }

    #[test]
    fn where_one_source_decides_it_stands_alone() {
        // Few moments and many features: the blend can only do worse than the one that decides.
        let trained = fit(&moments(150, &[5], 0.0), &RankerParams::default(), NOW_MS).unwrap();
        let found = verdict(&trained);
        assert_eq!((found.single.as_str(), found.is_blend), ("together_log", false), "{found:?}");
        assert!((found.single_ndcg - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn the_future_and_what_teaches_nothing_are_left_out() {
        let examples = moments(60, &[1], 0.0);
        let early = fit(&examples, &RankerParams::default(), 30 * 3_600_000);
        assert_eq!(early, fit(&examples[..30], &RankerParams::default(), 30 * 3_600_000));
        assert_eq!(fit(&examples, &RankerParams::default(), 0), None);
        let nothing_taken: Vec<_> = examples.into_iter().map(|example| Example { taken: Vec::new(), ..example }).collect();
        assert_eq!(fit(&nothing_taken, &RankerParams::default(), NOW_MS), None);
    }
}
