//! The short form for every change, the long form for the night.

use std::{
    env,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Seed of the short form, so that every change is held to the same.
const SHORT_SEED: u64 = 1;

/// How thorough to be.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) is_long: bool,
    seed: u64,
}

/// The form of this run.
pub(crate) fn form() -> &'static Form {
    static FORM: OnceLock<Form> = OnceLock::new();
    FORM.get_or_init(|| {
        let is_long = match env::var("FACES_FAULTS").as_deref() {
            Err(_) | Ok("" | "short") => false,
            Ok("long") => true,
            Ok(other) => panic!("FACES_FAULTS is {other:?}; it may be short or long"),
        };
        let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seed = match env::var("FACES_FAULTS_SEED") {
            Ok(seed) => seed.parse().expect("FACES_FAULTS_SEED is a number"),
            Err(_) if is_long => fresh(),
            Err(_) => SHORT_SEED,
        };
        eprintln!("faults: seed {seed}; FACES_FAULTS_SEED={seed} uses it again");
        Form { is_long, seed }
    })
}

impl Form {
    /// One of two numbers.
    pub(crate) fn of<T>(&self, short: T, long: T) -> T {
        if self.is_long { long } else { short }
    }

    /// The seed of a test, so that tests draw apart.
    pub(crate) fn seed_of(&self, test: &str) -> u64 {
        test.bytes().fold(self.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
    }

    /// Random numbers of a test.
    pub(crate) fn dice(&self, test: &str) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed_of(test))
    }

    /// Says what is done, in the long form; in the short one only where a test fails.
    pub(crate) fn say(&self, test: &str, what: &str) {
        eprintln!("faults: {test}: {what}");
    }
}
