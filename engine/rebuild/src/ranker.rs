//! Training of the ranker: what people took out of what stood for choice.
//!
//! A conditional logit (McFadden 1974; the listwise softmax loss of Cao et al., ICML 2007): for every example the log-likelihood
//! that a taken candidate is chosen before all others, ridge-penalised. It is convex, so Newton's method finds *the* solution:
//! the result depends on the set of examples alone. Segments are fitted around what all people have in common, the more freely the
//! more examples they have. People new to a unit also speak for strangers, with what hangs on the person left out.
//! For people who are known to the unit small trees are boosted from there (`boosting`), and published where they rank later examples no
//! worse.

mod boosting;
mod judging;
mod logit;

use faces_core::ranking::{Ranker, Regime, Segment, Tree, features};
use nalgebra::DVector;
use serde::{Deserialize, Serialize};

use self::{
    boosting::boost,
    judging::{Fold, JUDGED_FROM, JUDGED_MIN, Judged, Orders, Rival, judged_together, of_regimes, trees_gain},
    logit::{newton, scales},
};

const WIDTH: usize = features::COUNT;
/// More trees than a request has time for.
const TREES_MAX: usize = 256;

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
    /// Trees on what the linear score leaves, for people known to the unit; 0 for none.
    pub trees: usize,
}

impl Default for RankerParams {
    fn default() -> Self {
        Self {
            examples_max: 20_000,
            replayed_max: 3_000_000,
            others_max: 60,
            half_life_days: 365.0,
            ridge: 30.0,
            segment_ridge: 50.0,
            trees: 24,
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
        if self.trees > TREES_MAX {
            return Err("trees must lie between 0 and 256");
        }
        Ok(())
    }
}

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
    /// Examples that it was judged on, each later than what was fitted.
    pub examples: usize,
    /// What is best of all else: a single feature or, for people new to the unit, what strangers get.
    pub single: String,
    /// NDCG@20 of what was best of all else in the earlier examples, on the later ones whose target was retrieved.
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
/// Before, it is fitted to the first 40, 60 and 80 % of the examples, and judged each time on the fifth that comes next: where the lower
/// bound of the blend's gain over the best single feature is negative, that feature alone orders the regime; where there are too few
/// examples to judge by, the fixed blend does. People new to a unit get what strangers get unless the blend is surely better than that
/// too: examples of them are few, and what other units say of them hurts as often as it helps, so that they ask for more certainty than the
/// others. Trees are judged on the same examples, against the linear score alone. What is published is then fitted to all.
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
    let scales = scales(useful.iter().filter(|weighed| !weighed.is_copy));
    let mut before = None;
    let mut folds = JUDGED_FROM.map(|share| {
        let fold = Fold::new(&useful, share, &scales, params, before.as_ref());
        before = Some(fold.tried.fitted.clone());
        fold
    });
    let trees = if trees_gain(&folds) { params.trees } else { 0 };
    folds.iter_mut().for_each(|fold| fold.tried.trees.truncate(trees));
    let Blend { weights, trees, .. } = Blend::fit(&useful, &scales, &RankerParams { trees, ..*params }, before.as_ref());
    let (mut published, mut verdicts) = (weights.map(Some), Vec::new());
    let mut has_trees = [false; Regime::COUNT];
    let mut of_strangers: [Option<Orders>; 2] = [None; 2]; // by whether the head is missing
    for (place, regime) in Regime::all().into_iter().enumerate() {
        let together = judged_together(regime, &folds);
        let strangers = of_strangers[usize::from(regime.is_tail)].filter(|_| regime.segment == Segment::Cold);
        let rival = Rival::of(&of_regimes(&useful, &together), strangers.map(|orders| orders.published));
        let mut judged = Vec::new();
        let mut rivals = [rival.weights; JUDGED_FROM.len()];
        for (n, fold) in folds.iter().enumerate() {
            rivals[n] = Rival::of(&of_regimes(fold.earlier, &together), strangers.map(|orders| orders.tried[n])).weights;
            judged.extend(
                of_regimes(fold.later, &together).into_iter().map(|weighed| Judged::new(weighed, &fold.tried, &rivals[n])),
            );
        }
        let verdict = Verdict::of(regime, &judged, rival.name);
        has_trees[place] = verdict.is_blend && is_known(regime) && !trees.is_empty();
        if verdict.examples < JUDGED_MIN {
            published[place] = None;
        } else if !verdict.is_blend {
            published[place] = Some(rival.weights);
        }
        if let (Segment::Stranger, Some(published)) = (regime.segment, published[place]) {
            let tried = if verdict.is_blend { folds.each_ref().map(|fold| fold.tried.weights[place]) } else { rivals };
            of_strangers[usize::from(regime.is_tail)] =
                Some(Orders { tried: tried.map(|weights| impersonal(&weights)), published: impersonal(&published) });
        }
        verdicts.push(verdict);
    }
    Some(TrainedRanker { ranker: Ranker { weights: published, trees, has_trees, repeat_units: Vec::new() }, verdicts })
}

type Weights = [f32; WIDTH];

/// Weights without what hangs on the person.
fn impersonal(weights: &Weights) -> Weights {
    std::array::from_fn(|n| if is_impersonal(n) { weights[n] } else { 0.0 })
}

/// Whether a feature says the same of an item whoever asks.
fn is_impersonal(feature: usize) -> bool {
    let name = features::NAMES[feature];
    name == "age" || name.starts_with("new") || name.starts_with("demand_")
}

/// What was fitted to some examples.
struct Blend {
    weights: [Weights; Regime::COUNT],
    trees: Vec<Tree>,
    fitted: Fitted,
}

impl Blend {
    /// Weights of every regime, then the trees.
    fn fit(examples: &[Weighed<'_>], scales: &[f64], params: &RankerParams, before: Option<&Fitted>) -> Self {
        let fitted = Fitted::to(examples, scales, params, before);
        let weights = fitted.of_regimes.each_ref().map(|weights| std::array::from_fn(|n| (weights[n] * scales[n]) as f32));
        let is_of_known = |weighed: &&Weighed<'_>| is_known(weighed.example.regime) && !weighed.example.is_imagined;
        let of_known: Vec<&Weighed<'_>> = examples.iter().filter(is_of_known).collect();
        let linear = |weighed: &Weighed<'_>, row: &[f32]| dot(&weights[weighed.example.regime.position()], row);
        let trees = if params.trees == 0 { Vec::new() } else { boost(&of_known, linear, params.trees) };
        Self { weights, trees, fitted }
    }

    /// A candidate's score for somebody of a regime.
    fn score(&self, regime: Regime, row: &[f32]) -> f32 {
        let trees = if is_known(regime) { self.trees.as_slice() } else { &[] };
        dot(&self.weights[regime.position()], row) + trees.iter().map(|tree| tree.value(row)).sum::<f32>()
    }
}

/// Whether the person is known to the unit.
const fn is_known(regime: Regime) -> bool {
    matches!(regime.segment, Segment::Thin | Segment::Warm)
}

fn dot(weights: &Weights, row: &[f32]) -> f32 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// Weights of scaled features: of all people, and of each regime around those.
#[derive(Clone)]
struct Fitted {
    common: DVector<f64>,
    of_regimes: [DVector<f64>; Regime::COUNT],
}

impl Fitted {
    /// Fits them, starting from what was fitted to part of the examples.
    fn to(examples: &[Weighed<'_>], scales: &[f64], params: &RankerParams, before: Option<&Self>) -> Self {
        let real = examples.iter().filter(|weighed| !weighed.example.is_imagined && !weighed.is_copy);
        let (all, zero): (Vec<&Weighed<'_>>, _) = (real.collect(), DVector::zeros(WIDTH));
        let common = newton(&all, scales, &zero, before.map_or(&zero, |before| &before.common), params.ridge);
        let of_regimes = Regime::all().map(|regime| {
            let of_regime: Vec<&Weighed<'_>> = examples.iter().filter(|weighed| weighed.example.regime == regime).collect();
            if of_regime.is_empty() {
                return common.clone();
            }
            let start = before.map_or(&common, |before| &before.of_regimes[regime.position()]);
            newton(&of_regime, scales, &common, start, params.segment_ridge)
        });
        Self { common, of_regimes }
    }
}

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

    fn candidates(&self) -> usize {
        self.values.len() / WIDTH
    }

    fn others(&self) -> usize {
        self.candidates().saturating_sub(self.taken.len())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng as _, SeedableRng as _},
    };

    use super::{judging::AS_STRANGER, *};

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
    fn trees_learn_what_no_sum_can_say_and_are_left_out_once_it_no_longer_holds() {
        // Taken is what lies nearest to the middle, or farthest from it: no weight can say that.
        let of_middle = |nearest_until: usize| {
            let mut examples = moments(900, &[1], 0.0);
            for (n, example) in examples.iter_mut().enumerate() {
                let mut rows: Vec<Vec<f32>> = example.values.chunks_exact(WIDTH).map(<[f32]>::to_vec).collect();
                rows.sort_by(|a, b| (a[1] - 0.5).abs().total_cmp(&(b[1] - 0.5).abs()));
                if n >= nearest_until {
                    rows.reverse();
                }
                example.values = rows.concat();
            }
            examples
        };
        let place = Regime { segment: Segment::Warm, is_tail: false }.position();
        let fitted = |nearest_until: usize, trees: usize| {
            fit(&of_middle(nearest_until), &RankerParams { trees, ..RankerParams::default() }, NOW_MS).unwrap()
        };
        let (with, without) = (fitted(900, 24), fitted(900, 0));
        assert!(with.ranker.has_trees[place] && with.ranker.trees.len() == 24);
        assert!(without.ranker.trees.is_empty() && !without.ranker.has_trees.contains(&true));
        let (with, without) = (verdict(&with).blend_ndcg, verdict(&without).blend_ndcg);
        assert!(with > without + 0.1, "{with} {without}");
        assert!(fitted(360, 24).ranker.trees.is_empty(), "what was learnt misled twice");
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
    fn a_segment_with_few_moments_is_judged_with_the_other_known_people() {
        let of = |segment: Segment, count: usize| {
            let regime = Regime { segment, is_tail: false };
            let moments = moments(count, &[1, 13], 0.1).into_iter().enumerate();
            moments.map(move |(n, example)| Example { regime, ts_ms: (n * 1_000 / count) as i64, ..example })
        };
        let verdict = |examples: &[Example], segment: Segment| {
            let trained = fit(examples, &RankerParams::default(), NOW_MS).unwrap();
            trained.verdicts[Regime { segment, is_tail: false }.position()].clone()
        };
        let few: Vec<_> = of(Segment::Warm, 20).collect();
        let alone = verdict(&few, Segment::Warm);
        assert!(!alone.is_blend && alone.examples < JUDGED_MIN, "{alone:?}");
        let both: Vec<_> = of(Segment::Warm, 20).chain(of(Segment::Thin, 500)).collect();
        let together = verdict(&both, Segment::Warm);
        assert!(together.is_blend && together.examples > 300, "{together:?}");
        let of_thin = verdict(&both, Segment::Thin);
        assert!(of_thin.is_blend && of_thin.examples < together.examples, "who has enough is judged alone: {of_thin:?}");
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
