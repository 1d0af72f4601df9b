//! What a ranking model of your own costs: time to score the 300 candidates of a large request, guards included.
//!
//! `cargo run --release -p faces-serve --features onnx --example own_model`; with the path of a file, of that one (its features named in
//! its metadata, or all).
#![allow(clippy::print_stdout, reason = "that is what it is for")]
#![forbid(unsafe_code)]

#[path = "../tests/models/mod.rs"]
#[allow(dead_code, reason = "each user needs its part of it")]
mod models;

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    ids::{EventTime, ItemId},
    profile::Profile,
    ranking::{CandidateSet, Features, Query, features::NAMES},
    record::{Apply as _, Record},
    state::{State, StateOptions},
};
use faces_serve::own_model::{OwnModelConfig, for_serving};
use models::Model;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const CANDIDATES: u32 = 300;
const ROUNDS_MAX: usize = 2_000;
const MEASURED_MAX: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let features = features()?;
    if let Some(path) = env::args_os().nth(1) {
        return measure("given", Path::new(&path), &features);
    }
    let folder = tempfile::tempdir()?;
    let width = NAMES.len();
    for (name, model) in [
        ("linear", Model::linear(&vec![0.5; width])),
        ("32 hidden units", Model::perceptron(width, 32, 1)),
        ("2 × 64 hidden units", Model::perceptron(width, 64, 2)),
    ] {
        let path = folder.path().join("model.onnx");
        fs::write(&path, model.bytes())?;
        measure(name, &path, &features)?;
    }
    Ok(())
}

/// Features of candidates of which sources say this and that, at random: trees take longer where candidates differ.
fn features() -> Result<Features> {
    let state = State::new(StateOptions::default());
    let now = EventTime::from_millis(1_000 * 86_400_000);
    for n in 0..CANDIDATES {
        let (item_id, attributes) = (format!("i{n}"), Some(ItemAttributes::default()));
        state.apply(&Record::Item(ItemChange { bu: "shop".into(), item_id, time: now.plus_millis(-i64::from(n)), attributes }));
    }
    let bu = state.catalogue().bu("shop").context("a shop")?;
    let profile = Profile::default();
    let query = Query::new(&state, None, &profile, &[], bu, now);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut candidates = CandidateSet::default();
    (0..CANDIDATES).for_each(|n| _ = candidates.entry(ItemId::new(n)));
    for candidate in candidates.as_mut_slice() {
        candidate.parts.iter_mut().for_each(|part| *part = random.random_range(0.0..1.0));
    }
    let mut features = Features::default();
    features.fill(&query, &candidates);
    Ok(features)
}

fn measure(name: &str, path: &Path, features: &Features) -> Result<()> {
    let config = OwnModelConfig { path: path.to_owned(), budget_us: 1_000_000, features: Vec::new() };
    let model = for_serving(&config)?.context("a model")?;
    let (mut took, mut scores) = (Vec::with_capacity(ROUNDS_MAX), Vec::new());
    let end = Instant::now() + MEASURED_MAX;
    while took.len() < ROUNDS_MAX && Instant::now() < end {
        let began = Instant::now();
        model.score(features, None, &mut scores)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    println!("{name}: {CANDIDATES} candidates in {:.0} µs (median), {:.0} µs (99 of 100)", at(0.5), at(0.99));
    Ok(())
}
