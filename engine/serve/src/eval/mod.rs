//! Offline quality: a log is replayed in time order through the served code, and the answers are scored.
//!
//! Leakage is impossible by construction: before a query at time *t*, exactly the events with time < *t* have been applied, and
//! the generation was trained on a log cut at or before *t*.
//!
//! [`Replay`] answers, [`Judge`] holds each answer against what was then taken, [`Outcomes`] is what is kept of it, and every figure
//! ([`Summary`], [`Comparison`], the [`report`]) is computed from those.

mod answers;
mod bootstrap;
mod compare;
mod course;
mod examples;
mod groups;
mod items;
mod judge;
mod kinds;
mod learn;
mod lists;
mod measures;
mod options;
mod outcome;
mod periods;
mod persons;
mod popularity;
mod queries;
mod replay;
pub mod report;
mod run;
mod session_knn;
mod summary;
mod tables;
mod takings;
mod variants;

pub use answers::Answers;
pub use bootstrap::{Estimate, Interval, Rounds};
pub use compare::{Comparison, GroupUplift};
pub(crate) use course::{Course, InMemory, Streamed, trained};
pub use items::ItemNumber;
pub use judge::Judge;
pub use kinds::{KindSet, kind_name};
pub use learn::{learn, learn_prepared};
pub use lists::ListFigures;
pub use measures::{Measure, RANK_MAX, Scores};
pub use options::ReplayOptions;
pub use outcome::{Outcome, Outcomes, Past, Target};
pub use periods::Period;
pub use persons::Person;
pub use popularity::BitsHistogram;
pub use queries::{Query, QuerySet, read_queries};
pub use replay::{Answered, Replay, Replayed};
pub(crate) use run::Run;
pub use session_knn::SessionKnn;
pub use summary::{GroupFigures, Summary};
pub use tables::{Inputs, Log, Tables};
pub use variants::{Variant, VariantFigures, live_over_textbook, segments_of, sources, variants_json};
