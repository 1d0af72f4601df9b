//! What happens when more is asked than can be answered: who waits, who is refused, and how good an answer is still afforded.
//!
//! [`admission`] lets as many requests work at once as [`limit`] finds good, and keeps a bounded queue in which the more critical go
//! first; [`callers`] holds each caller to its ceiling and its rate, [`persons`] each person to its own; [`ladder`] says how dear an answer may be; [`remembered`] and [`popular`]
//! are its lowest rungs; [`gate`] stops reading from connections when even refusing costs too much. All of it but the gate is told the
//! time and knows no sockets; [`crate::grpc`] puts it in front of the services.

pub mod admission;
pub mod callers;
pub mod config;
pub mod criticality;
pub mod gate;
pub mod ladder;
pub mod limit;
pub mod persons;
pub mod popular;
mod queue;
pub mod remembered;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::{
    admission::{Admission, Entry, Permit, Refused},
    callers::Callers,
    config::OverloadConfig,
    criticality::Criticality,
    gate::Gate,
    ladder::{Ladder, Level},
};
use self::{persons::Persons, popular::Popular, remembered::Remembered};
use crate::{background::Background, engine::Engine};

/// All parts of one server.
pub struct Overload {
    /// Who may work.
    pub admission: Arc<Admission>,
    /// How dear an answer may be.
    pub ladder: Ladder,
    /// What callers may do.
    pub callers: Callers,
    /// How often one person is ranked anew.
    pub persons: Persons,
    /// Whether connections are read from.
    pub gate: Arc<Gate>,
    /// Rankings made a moment ago.
    pub remembered: Remembered,
    /// What is popular, ready to be sent.
    pub popular: Popular,
}

impl Overload {
    /// As configured.
    #[must_use]
    pub fn new(config: &OverloadConfig, now: Instant) -> Self {
        Self {
            admission: Arc::new(Admission::new(config.admission(), now)),
            ladder: Ladder::default(),
            callers: Callers::new(config.caller, config.callers.clone(), now),
            persons: Persons::new(config.person_slates_per_second, now),
            gate: Arc::new(Gate::new(config.refusal_cpu_share, now)),
            remembered: Remembered::new(config.remembered_max, Duration::from_millis(config.remembered_fresh_ms), now),
            popular: Popular::default(),
        }
    }

    /// Starts the thread that looks at the pressure and moves the level, and the one that keeps what is popular ready. They are threads of
    /// their own because they must run when requests keep the others busy.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self: &Arc<Self>, engine: &Arc<Engine>) -> std::io::Result<(Background, Background)> {
        let ladder = Background::start("faces-ladder", {
            let overload = Arc::clone(self);
            move |stop| {
                while stop.sleep(ladder::WINDOW) {
                    overload.look(Instant::now());
                }
            }
        })?;
        let popular = Background::start("faces-popular", {
            let (overload, engine) = (Arc::clone(self), Arc::clone(engine));
            move |stop| loop {
                overload.popular.refresh(&engine);
                if !stop.sleep(popular::PERIOD) {
                    return;
                }
            }
        })?;
        Ok((ladder, popular))
    }

    /// Takes the pressure since the last look, and moves the level, and for how long rankings stand, by it.
    fn look(&self, now: Instant) {
        let pressure = self.admission.take_pressure();
        if let Some((before, level)) = self.ladder.observe(pressure, now) {
            match (before, level) {
                (Level::Full, _) => tracing::warn!(level = level.name(), ?pressure, "pressed: answers get cheaper"),
                (_, Level::Full) => tracing::info!("full service again"),
                _ => tracing::debug!(before = before.name(), level = level.name(), ?pressure, "service level"),
            }
        }
        self.remembered.follow(self.ladder.in_force(), ladder::WINDOW);
    }
}
