//! Whether a blend may be published: what it did, fitted to the examples up to a moment, on those that came next, beside what is
//! best of all else.

use faces_core::ranking::{Regime, Segment, features};

use super::{Blend, Example, Fitted, RankerParams, Verdict, WIDTH, Weighed, Weights, dot, is_known};

/// Shares of the examples after which a blend fitted to them is judged, and the share that it is then judged by.
pub(super) const JUDGED_FROM: [f64; 3] = [0.4, 0.6, 0.8];
const JUDGED_SHARE: f64 = 0.2;
/// Fewest examples that a regime may be judged by.
pub(super) const JUDGED_MIN: usize = 60;
/// Fewest examples of a segment of known people to be judged by themselves.
const JUDGED_ALONE_MIN: usize = 200;
/// One-sided 90 %.
const CONFIDENCE_Z: f64 = 1.2816;
/// One-sided 99 %, for people new to a unit.
const NEWCOMERS_Z: f64 = 2.3263;
/// Features that may order a slate alone, one for each source.
const SINGLES: [usize; 13] = [
    features::place("demand_30_log"),
    features::place("demand_7_log"),
    features::place("demand_180_log"),
    features::place("demand_1_log"),
    features::place("neighbours_log"),
    features::place("neighbours_elsewhere_log"),
    features::place("together_log"),
    features::place("latest_log"),
    features::place("co_visitation_log"),
    features::place("content_log"),
    features::place("history_log"),
    features::place("interest"),
    features::place("had_30"),
];
/// Demand of the last months.
const TIE_BREAK: usize = features::place("demand_30_log");

/// A moment of the past: what a blend learnt until then, and what came next.
pub(super) struct Fold<'a, 'b> {
    pub(super) earlier: &'b [Weighed<'a>],
    pub(super) later: &'b [Weighed<'a>],
    pub(super) tried: Blend,
}

impl<'a, 'b> Fold<'a, 'b> {
    /// After such a share of the examples; `before` is what was fitted to fewer.
    pub(super) fn new(
        examples: &'b [Weighed<'a>],
        share: f64,
        scales: &[f64],
        params: &RankerParams,
        before: Option<&Fitted>,
    ) -> Self {
        let at = |share: f64| (examples.len() as f64 * share) as usize;
        let (earlier, rest) = examples.split_at(at(share));
        let later = &rest[..(at(share + JUDGED_SHARE) - earlier.len()).min(rest.len())];
        Self { earlier, later, tried: Blend::fit(earlier, scales, params, before) }
    }
}

/// What orders slates: fitted to the earlier examples of each fold, and to all.
#[derive(Clone, Copy)]
pub(super) struct Orders {
    pub(super) tried: [Weights; JUDGED_FROM.len()],
    pub(super) published: Weights,
}

/// Whether trees rank the later examples of known people no worse than the linear score alone.
pub(super) fn trees_gain(folds: &[Fold<'_, '_>]) -> bool {
    let later = folds.iter().flat_map(|fold| fold.later.iter().map(move |weighed| (&fold.tried, weighed)));
    let known = later.filter(|(_, weighed)| is_known(weighed.example.regime) && !weighed.example.is_imagined);
    let gains = known.map(|(blend, weighed)| {
        let Weighed { example, counts, .. } = weighed;
        let linear = &blend.weights[example.regime.position()];
        (*counts, example.ndcg(|row| blend.score(example.regime, row)) - example.ndcg(|row| dot(linear, row)))
    });
    Gain::of(gains).mean >= 0.0
}

/// The regimes that a regime is judged with: itself, and, where its own examples are too few to tell a blend from chance, that of the other
/// people who are known to the unit.
pub(super) fn judged_together(regime: Regime, folds: &[Fold<'_, '_>]) -> Vec<Regime> {
    let other = match regime.segment {
        Segment::Thin => Segment::Warm,
        Segment::Warm => Segment::Thin,
        Segment::Stranger | Segment::Cold => return vec![regime],
    };
    let judged = folds.iter().flat_map(|fold| fold.later).filter(|weighed| weighed.example.regime == regime);
    if judged.count() < JUDGED_ALONE_MIN { vec![regime, Regime { segment: other, ..regime }] } else { vec![regime] }
}

/// Examples of some regimes; imagined ones only where there are too few real ones to judge by.
pub(super) fn of_regimes<'a, 'b>(examples: &'b [Weighed<'a>], regimes: &[Regime]) -> Vec<&'b Weighed<'a>> {
    let all: Vec<_> = examples.iter().filter(|weighed| regimes.contains(&weighed.example.regime)).collect();
    let real: Vec<_> = all.iter().copied().filter(|weighed| !weighed.example.is_imagined).collect();
    if real.len() < JUDGED_MIN { all } else { real }
}

/// What a blend has to be better than, and what stands in for it.
pub(super) struct Rival {
    pub(super) name: &'static str,
    pub(super) weights: Weights,
}

impl Rival {
    /// The best by some examples: a single feature, or what strangers get, so that to be known in other units never hurts those who are
    /// new to this one.
    pub(super) fn of(examples: &[&Weighed<'_>], strangers: Option<Weights>) -> Self {
        let single = best_single(examples);
        let of_single = Self { name: features::NAMES[single], weights: alone(single) };
        let worth = |weights: &Weights| {
            examples.iter().map(|weighed| weighed.counts * weighed.example.ndcg(|row| dot(weights, row))).sum::<f64>()
        };
        match strangers {
            Some(weights) if worth(&weights) >= worth(&of_single.weights) => Self { name: AS_STRANGER, weights },
            _ => of_single,
        }
    }
}

/// What the order that strangers get is called in verdicts.
pub(super) const AS_STRANGER: &str = "as a stranger";

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
        examples.iter().map(move |weighed| weighed.example.ndcg(|row| dot(&weights, row)))
    };
    let usual: Vec<f64> = of(TIE_BREAK).collect();
    let counts = || examples.iter().map(|weighed| weighed.counts);
    let gain = |feature: usize| Gain::of(counts().zip(of(feature).zip(&usual).map(|(other, usual)| other - usual)));
    let sure = SINGLES.into_iter().map(|feature| (gain(feature), feature)).filter(|(gain, _)| gain.low(CONFIDENCE_Z) > 0.0);
    sure.fold((0.0, TIE_BREAK), |best, (gain, feature)| if gain.mean > best.0 { (gain.mean, feature) } else { best }).1
}

/// A mean, with its standard error.
struct Gain {
    mean: f64,
    error: f64,
}

impl Gain {
    /// Of values, each after how much it counts.
    fn of(values: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut all, mut all_squared, mut sum, mut squares) = (0.0_f64, 0.0, 0.0, 0.0);
        values.for_each(|(counts, value)| {
            all += counts;
            all_squared += counts * counts;
            sum += counts * value;
            squares += counts * value * value;
        });
        if all <= 0.0 {
            return Self { mean: 0.0, error: 0.0 };
        }
        let mean = sum / all;
        let variance = (squares / all - mean * mean).max(0.0);
        Self { mean, error: (variance * all_squared).sqrt() / all }
    }

    /// Lower end of the interval that reaches so many standard errors down.
    fn low(&self, z: f64) -> f64 {
        self.mean - z * self.error
    }
}

/// An example that came later: how much it counts, and NDCG@20 by the blend and by the rival.
pub(super) struct Judged {
    counts: f64,
    blend: f64,
    rival: f64,
}

impl Judged {
    /// By the blend for its own regime, and by the rival's weights.
    pub(super) fn new(weighed: &Weighed<'_>, blend: &Blend, rival: &Weights) -> Self {
        let Weighed { example, counts, .. } = weighed;
        let (blend, rival) = (example.ndcg(|row| blend.score(example.regime, row)), example.ndcg(|row| dot(rival, row)));
        Self { counts: *counts, blend, rival }
    }
}

impl Verdict {
    pub(super) fn of(regime: Regime, judged: &[Judged], rival: &str) -> Self {
        let mean = |of: fn(&Judged) -> f64| Gain::of(judged.iter().map(|judged| (judged.counts, of(judged)))).mean;
        let z = if regime.segment == Segment::Cold { NEWCOMERS_Z } else { CONFIDENCE_Z };
        let gain_low = Gain::of(judged.iter().map(|judged| (judged.counts, judged.blend - judged.rival))).low(z);
        Self {
            segment: regime.segment.name().to_owned(),
            is_tail: regime.is_tail,
            examples: judged.len(),
            single: rival.to_owned(),
            single_ndcg: mean(|judged| judged.rival),
            blend_ndcg: mean(|judged| judged.blend),
            gain_low,
            is_blend: judged.len() >= JUDGED_MIN && gain_low >= 0.0,
        }
    }
}

impl Example {
    /// NDCG@20 of the candidates by a score of each, as near as the sample of others tells their rank.
    fn ndcg(&self, score: impl Fn(&[f32]) -> f32) -> f64 {
        let mut scored: Vec<(f32, bool)> =
            self.values.chunks_exact(WIDTH).enumerate().map(|(n, row)| (score(row), n < self.taken.len())).collect();
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
}
