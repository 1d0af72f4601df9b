//! What a basis promises: bounds that hold, none where it would not pay, refusal of what is none.

use proptest::prelude::*;

use super::*;
use crate::codes::{Frame, QueryCode, Rigour, Slab};
use crate::kernels::int8::sum_picked;
use crate::kernels::score_picked;
use crate::metric::Metric;
use crate::vectors::Vectors;

/// Rows of 130 values near a space of `rank` dimensions, off the origin by `shift`.
fn rows(rank: usize, shift: f32, seed: u64) -> Vectors {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let axes = noise(rank * 130, &mut random);
    let mut values = Vec::new();
    for _ in 0..ROWS_MIN {
        let start = values.len();
        values.extend(noise(130, &mut random).iter().map(|value| 0.2 * value + shift));
        let weights = noise(rank, &mut random);
        for (weight, axis) in weights.iter().zip(axes.chunks_exact(130)) {
            values[start..].iter_mut().zip(axis).for_each(|(value, axis)| *value += weight * axis);
        }
    }
    Vectors::new(130, values).unwrap()
}

#[test]
fn proven_margins_hold() {
    for (metric, shift) in [(Metric::L2, 0.5), (Metric::Cosine, 0.5), (Metric::InnerProduct, 0.0)] {
        let full = Full::new(rows(20, shift, 3), metric);
        let frame = Frame::of(&full);
        assert!(frame.leading() == 64 && frame.basis().is_some(), "{metric:?}");
        let slab = Slab::of(frame, 512, |slot, values| full.fill_scaled(slot, values));
        let picked: Vec<u32> = (0..512).collect();
        let mut code = QueryCode::default();
        for query in full.vectors().iter().skip(2_000).step_by(40) {
            let scale = if metric == Metric::Cosine { 1.0 / norm(query) as f32 } else { 1.0 };
            let query: Vec<f32> = query.iter().map(|value| value * scale).collect();
            slab.frame.encode_query(&query, Rigour::Proven, &mut code);
            let (mut sums, mut truth) = (Vec::new(), Vec::new());
            sum_picked(&code.coded(), &slab.codes, slab.lines_per_row, &picked, &mut sums);
            score_picked(&query, full.rows(), &picked, &mut truth);
            for ((&slot, &sum), truth) in picked.iter().zip(&sums).zip(truth) {
                let (score, margin) = (slab.score(&code.coded(), slot, sum), slab.margin(&code.coded(), slot));
                let off = (score + code.offset() - truth).abs();
                assert!(off <= margin, "{metric:?}: off by {off}, margin {margin}");
            }
        }
    }
}

#[test]
fn energy_that_is_spread_evenly_needs_all_columns() {
    let even = Full::new(rows(130, 0.0, 5), Metric::L2);
    assert!(Basis::learn(&even, &[]).is_none());
    let zeros = Full::new(Vectors::new(130, vec![0.0; 130 * ROWS_MIN]).unwrap(), Metric::InnerProduct);
    assert!(Basis::learn(&zeros, &[]).is_none_or(|basis| basis.skew() <= SKEW_MAX));
    let few = Full::new(rows(20, 0.0, 5).first(ROWS_MIN - 1), Metric::L2);
    assert!(Basis::learn(&few, &[]).is_none());
}

#[test]
fn a_basis_is_learnt_alike_twice_and_kept_by_its_numbers() {
    let full = Full::new(rows(20, 0.0, 7), Metric::L2);
    let basis = Basis::learn(&full, &[]).unwrap();
    assert_eq!(Basis::learn(&full, &[]), Some(basis.clone()));
    let numbers: Vec<i16> = basis.directions().collect();
    assert_eq!(Basis::new(130, 64, &numbers).unwrap(), basis);
    assert!(Basis::new(130, 64, &numbers[1..]).is_err());
    assert!(Basis::new(130, 64, &vec![i16::MIN; 64 * 130]).is_err());
    assert!(Basis::new(130, 0, &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn projections_of_any_size_are_as_near_as_stated(seed: u64, power in -30i32..15) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut directions = noise(64 * 100, &mut random);
        orthonormalise(&mut directions, 100);
        let whole: Vec<i16> = directions.iter().map(|value| (value * UNIT).round() as i16).collect();
        let basis = Basis::new(100, 64, &whole).unwrap();
        let vector: Vec<f32> = noise(100, &mut random).iter().map(|value| value * 10f32.powi(power)).collect();
        let mut projected = Projected::default();
        let length = norm(&vector) as f32;
        basis.project(&vector, length, &mut projected);
        let mut off = 0.0;
        for (direction, value) in whole.chunks_exact(100).zip(&projected.values) {
            let exact: f64 = direction.iter().zip(&vector).map(|(a, b)| f64::from(*a) / f64::from(UNIT) * f64::from(*b)).sum();
            off += (exact - f64::from(*value)).powi(2);
        }
        prop_assert!(off.sqrt() <= f64::from(projected.error));
        prop_assert!(projected.rest <= length * 1.001);
    }
}
