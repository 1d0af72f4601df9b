//! How long an event takes from the caller's hand to the profile, and to a changed slate.
//!
//! Trials run one after the other on one connection, each with a session that the server has never seen. Times count from just
//! before WriteEvents is called to the arrival of the first answer that shows the event, so they are upper bounds: late by up to
//! one poll pause and one call.
//!
//! A slate is read twice beforehand, and only one that stayed the same is timed. A server may give out a ranking again for a while, as long as
//! nothing about the person changed; so the two looks are further apart than that ([`FreshnessPlan::settle`]).

use std::{
    future::Future,
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use faces_proto::v1::EventType;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::Channel;

use crate::{error::LoadError, target::Target};

pub mod background;
mod books;
mod report;
mod trial;

pub use report::{FreshnessReport, Visibility};

use books::Books;
use trial::Probe;

/// A run of trials.
#[derive(Clone, Debug)]
pub struct FreshnessPlan {
    /// Business unit of the events and slates.
    pub bu: String,
    /// What the invented people do.
    pub event: EventType,
    /// How many there are.
    pub trials: u32,
    /// Items in the watched slate.
    pub page_size: u8,
    /// Pause between two looks.
    pub poll: Duration,
    /// When to give up waiting.
    pub timeout: Duration,
    /// Pause between the two looks at a slate before the event.
    pub settle: Duration,
    /// Longest random pause before a trial.
    pub pause_max: Duration,
    /// Seed of the pauses.
    pub seed: u64,
    /// Part of every session id; must be new to the server.
    pub run_id: String,
}

/// Runs the trials until their end or `stop`; a trial under way at `stop` is left out. `on_trial` hears how many are done.
///
/// # Errors
/// As [`crate::latency::Latencies::new`]; failed calls are counted in the report.
pub async fn measure(
    plan: &FreshnessPlan,
    target: &Target,
    channel: Channel,
    stop: impl Future<Output = ()>,
    mut on_trial: impl FnMut(u32),
) -> Result<FreshnessReport, LoadError> {
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    let mut books = Books::new()?;
    let mut stopped_early = false;
    let mut stop = pin!(stop);
    for number in 0..plan.trials {
        let pause = plan.pause_max.mul_f64(random.random());
        let probe = Probe::new(plan, channel.clone(), number);
        let trial = async {
            tokio::time::sleep(pause).await;
            probe.run().await
        };
        tokio::select! {
            () = &mut stop => {
                stopped_early = true;
                break;
            }
            outcome = trial => books.enter(outcome),
        }
        on_trial(number + 1);
    }
    Ok(FreshnessReport::new(plan, target, &books, stopped_early))
}

/// Milliseconds since 1970 UTC by this machine's clock.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
