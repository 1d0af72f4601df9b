//! Configuration: flags over environment over file over defaults, checked once. Unknown keys are errors.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use faces_core::{
    identity::Limits,
    key::check_bu_name,
    ranking::{RankingOptions, blend::FixedBlend, query::SignalOptions, tastes::VECTORS_MAX},
    state::StateOptions,
};
use faces_ingest::IngestConfig;
use faces_rebuild::{TrainParams, gates::GateLimits};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::{engine::EngineOptions, overload::OverloadConfig, oversight::WatchOver, own_model::OwnModelConfig};

/// A choice that has keys of its own.
const NORMALISATION: &str = "training.co_visitation.normalisation";

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listening.
    pub server: Server,
    /// When more is asked than can be answered.
    pub overload: OverloadConfig,
    /// The log.
    pub kafka: IngestConfig,
    /// What is kept of the state across restarts, and for how long anything is kept.
    pub state: Durability,
    /// Index generations.
    pub generations: Generations,
    /// What a generation must stand up to before it is published.
    pub gates: GateLimits,
    /// Identity.
    pub identity: Identity,
    /// Ranking.
    pub ranking: Ranking,
    /// Training of generations (`faces rebuild`, `faces eval`).
    pub training: TrainParams,
    /// Logs.
    pub log: Log,
}

/// Where and how the server listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// gRPC.
    pub grpc_address: SocketAddr,
    /// Admin HTTP: /livez, /readyz, /metrics.
    pub admin_address: SocketAddr,
    /// Largest request message, bytes.
    pub request_bytes_max: usize,
    /// Deadline of a request that brings none, milliseconds; also the longest one granted.
    pub deadline_ms_max: u64,
    /// How long requests under way may take to finish after SIGTERM, seconds.
    pub drain_seconds_max: u64,
    /// Threads that requests work on; 0 for one per core. Reading the log has threads of its own (`kafka.readers`).
    pub threads: usize,
    /// Connections open at once; one more is closed.
    pub connections_max: usize,
    /// Requests under way on one connection; callers hold back what is beyond.
    pub streams_max: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            grpc_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50051)),
            admin_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            request_bytes_max: 4 << 20,
            deadline_ms_max: 1_000,
            drain_seconds_max: 20,
            threads: 0,
            connections_max: 20_000,
            streams_max: 200,
        }
    }
}

/// Where generations lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generations {
    /// Folder that `faces rebuild` publishes to and `faces serve` watches.
    pub folder: PathBuf,
    /// Object store through which machines that share no folder share generations, as a URL (`file:///...`, and `s3://`, `gs://`, `az://`
    /// where built in). Empty: none; the folder is all there is.
    pub shared_url: String,
    /// Time between two looks at what is current there, milliseconds.
    pub shared_watch_ms: u64,
    /// How often the server looks for a new current generation, milliseconds.
    pub watch_ms: u64,
    /// How long a rebuild has the folder to itself without a sign of life, seconds.
    pub lease_seconds: u64,
    /// Most memory that loading a generation may take, as its files tell, MiB; 0: what the machine has left.
    pub memory_mib_max: u64,
    /// Recent queries that are kept in memory, to warm a generation up with before it serves; 0: none.
    pub warm_queries: usize,
    /// How often the server leaves these, if there are new ones, in the folder (and the object store), for the next rebuild to ask, seconds;
    /// 0: never. Keys of people lie there then.
    pub mirror_seconds: u64,
    /// File of the secret key that `faces rebuild` signs generations with. Empty: they are not signed.
    pub sign_key: PathBuf,
    /// Public key (64 hexadecimal digits) that generations must be signed with to be loaded. Empty: any is loaded.
    pub verify_key: String,
    /// When a generation is taken back by itself.
    pub watch_over: WatchOver,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("generations"),
            shared_url: String::new(),
            shared_watch_ms: 5_000,
            watch_ms: 1_000,
            lease_seconds: 60,
            memory_mib_max: 0,
            warm_queries: 256,
            mirror_seconds: 60,
            sign_key: PathBuf::new(),
            verify_key: String::new(),
            watch_over: WatchOver::default(),
        }
    }
}

/// Images of the state, and retention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Durability {
    /// Folder for images of the state. Empty: none are written, and a restart reads the whole log.
    pub folder: PathBuf,
    /// Time between two images, seconds: how much of the log a restart reads again.
    pub image_seconds: u64,
    /// Object store to which images are copied, as a URL (`file:///...`, and `s3://`, `gs://`, `az://` where built in). Empty: none.
    pub copy_url: String,
    /// Time between two copies, seconds.
    pub copy_seconds: u64,
    /// How long a behaviour is kept, days before the newest event of the log; 0: for ever.
    pub retention_days: u32,
    /// Most device and session keys that are remembered although they were seen only once.
    pub probation_keys_max: usize,
    /// Most behaviours held in memory (about 25 bytes each); beyond, the oldest go first. 0: no bound.
    pub behaviours_max: u64,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("state"),
            image_seconds: 60,
            copy_url: String::new(),
            copy_seconds: 900,
            retention_days: 1_095,
            probation_keys_max: 1_000_000,
            behaviours_max: 0,
        }
    }
}

/// Bounds on identity links.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Most live links of a key before it counts as a hub, whose links count for nobody.
    pub degree_max: usize,
    /// Most keys in one person.
    pub person_keys_max: usize,
}

impl Default for Identity {
    fn default() -> Self {
        let Limits { degree_max, person_keys_max } = Limits::default();
        Self { degree_max, person_keys_max }
    }
}

/// What may be tuned about ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranking {
    /// Half-life of what counts as trending, days.
    pub trend_half_life_days: f64,
    /// Half-life of what counts as popular (the last resort), days.
    pub popular_half_life_days: f64,
    /// Half-life of a behaviour's weight in a profile, days.
    pub behaviour_half_life_days: f64,
    /// Factor from one behaviour to the next older one, in (0, 1]: how much the latest leads.
    pub position_decay: f32,
    /// Weight of what was done in other business units than the asked one, in [0, 1].
    pub cross_unit_weight: f32,
    /// Factor for what was done in the present session, at least 1.
    pub session_boost: f32,
    /// How long the present session reaches back, minutes.
    pub session_minutes: i64,
    /// Interest vectors of a person whose tastes lie apart, at most: 1 to 3. Each further one costs a search of the index.
    pub interest_vectors_max: usize,
    /// Weight of co-visitation inside the personal part of the score, in [0, 1]; the rest is the interest's.
    pub co_visitation_weight: f32,
    /// Weight of likeness by content beside both, in [0, 1].
    pub content_weight: f32,
    /// Personal score of an item that only trends.
    pub base_score: f32,
    /// How many times more than the average item the hottest ones must be wanted for `base_score` to count in full.
    pub trend_lift_full: f32,
    /// Trend of an item that nobody wants now.
    pub trend_floor: f32,
    /// Bonus of the newest items.
    pub novelty_bonus: f32,
    /// Share of the score that what is wholly like what the person turned down loses, in [0, 1].
    pub turned_down_penalty: f32,
    /// Largest share of a slate that one category may hold, in (0, 1].
    pub category_share_max: f32,
    /// Impressions without a touch after which an item rests.
    pub tired_impressions: usize,
    /// How far back impressions count, hours.
    pub tired_window_hours: i64,
    /// Business units where people take the same item again; elsewhere what a person has is left out.
    #[serde(deserialize_with = "texts")]
    pub repeat_units: Vec<String>,
    /// File of rules for re-ranking (pins, boosts, caps, …), watched while serving. Empty: none.
    pub rules: PathBuf,
    /// A ranking model of your own.
    pub own_model: OwnModelConfig,
}

impl Default for Ranking {
    fn default() -> Self {
        let (state, ranking) = (StateOptions::default(), RankingOptions::default());
        Self {
            trend_half_life_days: state.trend_half_life_days,
            popular_half_life_days: state.popular_half_life_days,
            behaviour_half_life_days: ranking.signals.half_life_days,
            position_decay: ranking.signals.position_decay,
            cross_unit_weight: ranking.signals.cross_unit_weight,
            session_boost: ranking.signals.session_boost,
            session_minutes: ranking.signals.session_minutes,
            interest_vectors_max: ranking.interest_vectors_max,
            co_visitation_weight: ranking.blend.co_visitation,
            content_weight: ranking.blend.content,
            base_score: ranking.blend.base,
            trend_lift_full: ranking.blend.lift_full,
            trend_floor: ranking.blend.floor,
            novelty_bonus: ranking.blend.novelty,
            turned_down_penalty: ranking.blend.turned_down,
            category_share_max: ranking.category_share_max,
            tired_impressions: ranking.tired_impressions,
            tired_window_hours: ranking.tired_window_hours,
            repeat_units: Vec::new(),
            rules: PathBuf::new(),
            own_model: OwnModelConfig::default(),
        }
    }
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Filter in the form of `tracing`'s `EnvFilter`, e.g. "info" or "faces_serve=debug,info".
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), json: false }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file that can't be read, a key that nobody knows, a value of the wrong sort.
    #[error("configuration (faces.example.toml has every key)")]
    Read(#[from] config::ConfigError),
    /// A value out of range.
    #[error("configuration: {key} is {value}; it must be {allowed}")]
    Range {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Config {
    /// Reads defaults, then `file`, then `FACES__SECTION__KEY` from the environment, then `flags` (`section.key`, value).
    ///
    /// # Errors
    /// [`ConfigError`] names the key and the way out.
    pub fn load(file: Option<&Path>, flags: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        // Texts, as flags are: whoever needs a number reads one, and `007` stays the name that it may be.
        builder = builder.add_source(config::Environment::with_prefix("FACES").prefix_separator("__").separator("__"));
        for (key, value) in flags {
            builder = builder.set_override(key, value.as_str())?;
        }
        let read = builder.build()?;
        // A name without its keys makes the library panic.
        if read.get_string(NORMALISATION).is_ok() {
            let message =
                format!("{NORMALISATION} is a table: set {NORMALISATION}.symmetric or {NORMALISATION}.transition, with keys");
            return Err(config::ConfigError::Message(message).into());
        }
        let config: Self = read.try_deserialize()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let ranking = &self.ranking;
        let above_zero = "a number above 0";
        let share = "a number from 0 to 1";
        let share_above_zero = "a number above 0 and at most 1";
        // Demand has a table over the longest of its half-lives, cut as finely as the shortest wants.
        let half_life =
            |key, days: f64| (key, days, (0.04..=36_500.0).contains(&days), "from 0.04 (an hour) to 36500 (a century)");
        let number = |key, value: f32| (key, f64::from(value), value.is_finite(), "a number");
        let span = |key, value: i64| (key, value as f64, (0..=1_000_000).contains(&value), "from 0 to 1000000");
        let checks = [
            half_life("ranking.trend_half_life_days", ranking.trend_half_life_days),
            half_life("ranking.popular_half_life_days", ranking.popular_half_life_days),
            (
                "ranking.behaviour_half_life_days",
                ranking.behaviour_half_life_days,
                ranking.behaviour_half_life_days > 0.0,
                above_zero,
            ),
            number("ranking.base_score", ranking.base_score),
            number("ranking.trend_floor", ranking.trend_floor),
            number("ranking.novelty_bonus", ranking.novelty_bonus),
            span("ranking.session_minutes", ranking.session_minutes),
            span("ranking.tired_window_hours", ranking.tired_window_hours),
            ("ranking.trend_lift_full", f64::from(ranking.trend_lift_full), ranking.trend_lift_full > 0.0, above_zero),
            ("ranking.session_boost", f64::from(ranking.session_boost), ranking.session_boost >= 1.0, "a number of at least 1"),
            (
                "ranking.own_model.budget_us",
                ranking.own_model.budget_us as f64,
                (1..=1_000_000).contains(&ranking.own_model.budget_us),
                "from 1 to 1000000",
            ),
            share_check("ranking.position_decay", ranking.position_decay, false, share_above_zero),
            share_check("ranking.cross_unit_weight", ranking.cross_unit_weight, true, share),
            share_check("ranking.co_visitation_weight", ranking.co_visitation_weight, true, share),
            share_check("ranking.content_weight", ranking.content_weight, true, share),
            share_check("ranking.turned_down_penalty", ranking.turned_down_penalty, true, share),
            share_check("ranking.category_share_max", ranking.category_share_max, false, share_above_zero),
            (
                "ranking.interest_vectors_max",
                ranking.interest_vectors_max as f64,
                (1..=VECTORS_MAX).contains(&ranking.interest_vectors_max),
                "1, 2 or 3",
            ),
            ("identity.person_keys_max", self.identity.person_keys_max as f64, self.identity.person_keys_max >= 1, "at least 1"),
            ("server.deadline_ms_max", self.server.deadline_ms_max as f64, self.server.deadline_ms_max >= 1, "at least 1"),
            ("server.connections_max", self.server.connections_max as f64, self.server.connections_max >= 1, "at least 1"),
            ("server.streams_max", f64::from(self.server.streams_max), self.server.streams_max >= 1, "at least 1"),
            ("state.image_seconds", self.state.image_seconds as f64, self.state.image_seconds >= 1, "at least 1"),
            ("state.copy_seconds", self.state.copy_seconds as f64, self.state.copy_seconds >= 1, "at least 1"),
            ("generations.watch_ms", self.generations.watch_ms as f64, self.generations.watch_ms >= 10, "at least 10"),
        ];
        if let Some(name) = ranking.repeat_units.iter().find(|name| check_bu_name(name).is_err()) {
            let (key, allowed) = ("ranking.repeat_units", "names of business units: a-z, 0-9, '_' and '-'");
            return Err(ConfigError::Range { key, value: format!("{name:?}"), allowed });
        }
        let lease = self.generations.lease_seconds;
        let generations = [("generations.lease_seconds", lease as f64, (3..=86_400).contains(&lease), "from 3 to 86400")];
        for (key, value, fits, allowed) in checks
            .into_iter()
            .chain(generations)
            .chain(self.overload_checks())
            .chain(self.generations.watch_over.ranges())
            .chain(self.gates.ranges())
        {
            if !fits || !value.is_finite() {
                return Err(ConfigError::Range { key, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }

    fn overload_checks(&self) -> [(&'static str, f64, bool, &'static str); 7] {
        let overload = &self.overload;
        let share = |key, value: f64| (key, value, value > 0.0 && value <= 1.0, "a number above 0 and at most 1");
        let least = overload.concurrency_min;
        let callers = overload.callers.values().chain([&overload.caller]).map(|caller| caller.requests_per_second);
        let slowest = callers.fold(0.0, |least: f64, rate| if rate.is_finite() { least.min(rate) } else { f64::NAN });
        [
            ("overload.concurrency_min", least as f64, least >= 1, "at least 1"),
            (
                "overload.concurrency_max",
                overload.concurrency_max as f64,
                overload.concurrency_max >= least,
                "at least concurrency_min",
            ),
            share("overload.default_share", overload.default_share),
            share("overload.sheddable_share", overload.sheddable_share),
            share("overload.refusal_cpu_share", overload.refusal_cpu_share),
            (
                "overload.person_slates_per_second",
                overload.person_slates_per_second,
                overload.person_slates_per_second >= 0.0,
                "0 for no bound, or a number above",
            ),
            ("overload.caller(s).requests_per_second", slowest, slowest >= 0.0, "0 for no bound, or a number above"),
        ]
    }

    /// What the state is told at its start.
    #[must_use]
    pub fn state_options(&self) -> StateOptions {
        StateOptions {
            trend_half_life_days: self.ranking.trend_half_life_days,
            popular_half_life_days: self.ranking.popular_half_life_days,
            retention_days: self.state.retention_days,
            probation_keys_max: self.state.probation_keys_max,
            behaviours_max: self.state.behaviours_max,
            identity: Limits { degree_max: self.identity.degree_max, person_keys_max: self.identity.person_keys_max },
        }
    }

    /// What answering is told at its start; an own model, if there is one, is loaded besides.
    #[must_use]
    pub fn engine_options(&self) -> EngineOptions {
        let ranking = &self.ranking;
        EngineOptions {
            ranking: RankingOptions {
                signals: SignalOptions {
                    half_life_days: ranking.behaviour_half_life_days,
                    position_decay: ranking.position_decay,
                    cross_unit_weight: ranking.cross_unit_weight,
                    session_boost: ranking.session_boost,
                    session_minutes: ranking.session_minutes,
                },
                interest_vectors_max: ranking.interest_vectors_max,
                blend: FixedBlend {
                    co_visitation: ranking.co_visitation_weight,
                    content: ranking.content_weight,
                    base: ranking.base_score,
                    lift_full: ranking.trend_lift_full,
                    floor: ranking.trend_floor,
                    novelty: ranking.novelty_bonus,
                    turned_down: ranking.turned_down_penalty,
                },
                category_share_max: ranking.category_share_max,
                tired_impressions: ranking.tired_impressions,
                tired_window_hours: ranking.tired_window_hours,
            },
            repeat_units: ranking.repeat_units.clone(),
            own_model: None,
        }
    }
}

/// A list of texts; where all is text, as in flags and the environment, with commas between them.
pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts, or a text with commas between them")]
    enum Texts {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::List(list) => list,
        Texts::Text(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
    })
}

fn share_check(key: &'static str, value: f32, zero: bool, allowed: &'static str) -> (&'static str, f64, bool, &'static str) {
    (key, f64::from(value), value <= 1.0 && (value > 0.0 || zero && value == 0.0), allowed)
}
