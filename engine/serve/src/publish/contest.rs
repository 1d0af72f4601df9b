//! The candidate against the generation in service, at the same moments of the log, through the served code.
//!
//! **Nobody may have seen the answers.** The candidate was trained on the last day of the log, what is served mostly was not: asked
//! about that day, the candidate would know what it is to foresee. So where the log has enough moments that what is served has not
//! seen, a *rehearsal* stands for the candidate: a generation trained as it was, on the log up to those moments, with its
//! ranker. Where there are too few (a second rebuild of the same log), both have seen the day. The candidate itself is asked in any case,
//! and must not be worse either: a recipe that is right does not make what came of it whole.
//!
//! Latency is always the candidate's own, in processor time of this thread: a busy machine does not count. It is best asked what servers are
//! asked ([`crate::mirrored`]), by the state at the log's end; where too little of that is there, it is that of the moments.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use faces_core::{ids::EventTime, key::SourceKey, state::State};
use faces_rebuild::{
    Generation, Prepared,
    gates::{Bound, Finding, Gate, GateLimits},
    tables::{EventRow, TableError},
    training::assemble,
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    engine::{Answer, Ask, Engine},
    eval::{
        Course, Estimate, GroupUplift, InMemory, Judge, KindSet, Log, Measure, Outcomes, Query, QuerySet, ReplayOptions, Rounds,
        Run, Streamed, Tables, trained,
    },
    mirrored::MirroredQuery,
    rows,
    serving::ServingGeneration,
};

const DAY_MS: i64 = 86_400_000;

/// The moments that generations are asked about.
#[derive(Default)]
struct Moments {
    set: QuerySet,
    /// When the first may happen; a rehearsal is trained on what came before.
    from_ms: i64,
    /// What is served has not seen them.
    is_unseen: bool,
}

/// What is judged, and by what.
pub struct Contest<'a> {
    /// The log; what is no record in it is passed over.
    pub log: Log,
    /// Where that is the latest part of a data lake: all of it.
    pub lake: Option<&'a Prepared>,
    /// What servers were asked lately, oldest first.
    pub mirrored: Vec<MirroredQuery>,
    /// As it would be served.
    pub options: &'a ReplayOptions,
    /// Thresholds.
    pub limits: &'a GateLimits,
    /// Where the candidate's log ends, milliseconds since 1970.
    pub end_ms: i64,
}

impl Contest<'_> {
    /// What the gates of quality and latency find.
    ///
    /// Cost: applying the log once, up to three answers a moment and two a mirrored query, and mostly the training of one generation.
    ///
    /// # Errors
    /// Training that fails.
    pub fn run(mut self, serving: Generation, candidate: Generation) -> Result<[Finding; 2]> {
        let end_ms = self.end_ms;
        self.log.events.retain(|row| row.ts_ms < end_ms && rows::event(row).is_ok());
        // A unit that the log does not know has nothing to be ranked.
        let units: HashSet<&str> = self.log.items.iter().map(|row| row.bu.as_str()).collect();
        self.mirrored.retain(|query| units.contains(query.bu.as_str()));
        let few = self.mirrored.len() < self.limits.mirrored_queries_min;
        let asked = if few { 0 } else { self.mirrored.len().min(self.limits.quality_moments_max) };
        self.mirrored.drain(..self.mirrored.len() - asked); // the latest stay
        let judged = self.moments_and_rehearsal(&serving, &candidate)?;
        let unjudged = judged.as_ref().err().cloned();
        if let (Some(why), true) = (&unjudged, self.mirrored.is_empty()) {
            return Ok([Gate::Quality, Gate::Latency].map(|gate| Finding::skipped(gate, why)));
        }
        let (moments, rehearsal) = judged.unwrap_or_default();
        let names = [&serving, &candidate].map(|generation| generation.manifest.id.to_string());
        let asked = self.ask(&moments, serving, candidate, rehearsal)?;
        let quality =
            unjudged.map_or_else(|| self.quality(&moments, &asked, &names), |why| Finding::skipped(Gate::Quality, &why));
        Ok([quality, self.latency(&asked, &names)])
    }

    /// What quality is judged by, or why it can't be.
    fn moments_and_rehearsal(
        &self,
        serving: &Generation,
        candidate: &Generation,
    ) -> Result<Result<(Moments, Option<Generation>), String>> {
        let Some(moments) = self.moments(serving.manifest.cut_off_ms) else {
            return Ok(Err(format!("fewer than {} moments on the log's last day", self.limits.quality_moments_min)));
        };
        if !moments.is_unseen {
            return Ok(Ok((moments, None)));
        }
        let rehearsal = self.rehearse(candidate, moments.from_ms)?.map(|rehearsal| (moments, Some(rehearsal)));
        Ok(rehearsal.ok_or_else(|| "the log up to its last day is too poor to train on".to_owned()))
    }

    /// The moments at which accounts took something: those that what is served has not seen, if they are enough, or else the last day.
    fn moments(&self, served_until_ms: i64) -> Option<Moments> {
        let last_ms = self.log.events.last()?.ts_ms;
        let day_ms = (last_ms + 1).saturating_sub(DAY_MS);
        [(day_ms.max(served_until_ms), true), (day_ms, false)].into_iter().find_map(|(from_ms, is_unseen)| {
            let all = taken_from(&self.log.events, from_ms);
            let set = || evenly(&all, self.limits.quality_moments_max);
            (all.len() >= self.limits.quality_moments_min).then(|| Moments { set: set(), from_ms, is_unseen })
        })
    }

    /// What the candidate would have been at `until_ms`; `None` where that is too little to train on.
    fn rehearse(&self, candidate: &Generation, until_ms: i64) -> Result<Option<Generation>> {
        fn whole<Row: Clone>(row: &Row) -> Result<Row, TableError> {
            Ok(row.clone())
        }
        let log = match self.lake {
            Some(lake) => lake.log().before(until_ms),
            None => {
                let Tables { events, items, links } = self.log.tables();
                assemble(events.iter().map(whole), items.iter().map(whole), links.iter().map(whole), Some(until_ms))?.log
            }
        };
        let rehearsal = trained(&log, &self.options.training).context("the log up to its last day can't be trained on")?;
        Ok(rehearsal.map(|rehearsal| Generation { ranker: candidate.ranker.clone(), ..rehearsal }))
    }

    fn ask(&self, moments: &Moments, serving: Generation, candidate: Generation, rehearsal: Option<Generation>) -> Result<Asked> {
        let visible: Vec<&EventRow> = self.log.events.iter().collect();
        let mut judge = Judge::new(self.log.tables(), &moments.set, KindSet::ALL)?;
        let course: Box<dyn Course + '_> = match self.lake {
            Some(lake) => Box::new(Streamed::new(lake.events()?, lake.log(), &self.options.training)),
            None => Box::new(InMemory::new(self.options, self.log.tables(), &visible)),
        };
        let catalogue = (self.log.items.as_slice(), self.log.links.as_slice());
        let mut run = Run::new(self.options, course, catalogue, self.end_ms, self.end_ms).untrained();
        let state = Arc::clone(run.engine.state());
        let engine = |generation: Generation| {
            let engine = Engine::new(Arc::clone(&state), self.options.engine.clone());
            engine.swap(ServingGeneration::new(generation, state.catalogue()));
            engine
        };
        let (served, new, rehearsal) = (engine(serving), engine(candidate), rehearsal.map(&engine));
        let mut times = Vec::with_capacity(moments.set.queries.len().max(self.mirrored.len()));
        for query in &moments.set.queries {
            run.advance(query.ts_ms)?;
            let keys = [rows::account(&query.bu, &query.local_user_id)?];
            let ask = asking(&state, &keys, (&query.bu, query.ts_ms), self.options.wanted)?;
            let named = |answer: &Answer| names(&state, answer);
            let ([before, now], spent) = in_turn([&served, &new], times.len(), &ask);
            times.push(spent);
            let rehearsed = rehearsal.as_ref().map(|rehearsal| named(&rehearsal.recommend(&ask)));
            let (before, answers) = (named(&before), std::iter::once(named(&now)).chain(rehearsed).collect::<Vec<_>>());
            judge.add(query, before.iter().enumerate().map(|(n, item)| (n + 1, item.as_str())))?;
            judge.add_variants(query, &answers)?;
        }
        if !self.mirrored.is_empty() {
            run.advance(self.end_ms)?;
            times.clear();
        }
        for query in &self.mirrored {
            let ask = asking(&state, &query.keys, (&query.bu, self.end_ms), query.wanted)?;
            times.push(in_turn([&served, &new], times.len(), &ask).1);
        }
        let (before, of_answers) = judge.finish_all();
        let compared = |after: &Outcomes| GroupUplift::by_segment(&before, after, Rounds::new(Rounds::USUAL)).into_iter().next();
        Ok(Asked { uplifts: of_answers.iter().filter_map(compared).collect(), times })
    }

    /// The largest loss. Refused when it is beyond what is allowed *and* surely is one: few moments alone refuse nothing.
    fn quality(&self, moments: &Moments, asked: &Asked, names: &[String; 2]) -> Finding {
        let loss_max = self.limits.quality_loss_share_max;
        let judged = asked.uplifts.iter().enumerate().filter_map(|(n, all)| {
            let whose = match (n, moments.is_unseen) {
                (0, true) => "the candidate itself, which has seen them",
                (0, false) => "both have seen them",
                _ => "trained like the candidate, but without them",
            };
            judged(all, whose, loss_max, names)
        });
        let worst = judged.max_by(|left, right| left.value.unwrap_or_default().total_cmp(&right.value.unwrap_or_default()));
        worst.unwrap_or_else(|| Finding::skipped(Gate::Quality, "what is served foresaw nothing that was taken"))
    }

    fn latency(&self, asked: &Asked, names: &[String; 2]) -> Finding {
        let what = if self.mirrored.is_empty() { "moments of the log" } else { "mirrored queries" };
        latency(&asked.times, what, self.limits.latency_ratio_max, names)
    }
}

/// Answers to all that was asked.
struct Asked {
    /// Over what is served: of the candidate, and of its rehearsal.
    uplifts: Vec<GroupUplift>,
    /// Of what is served, and of the candidate.
    times: Vec<[Duration; 2]>,
}

fn judged(all: &GroupUplift, whose: &str, loss_max: f64, [serving, candidate]: &[String; 2]) -> Option<Finding> {
    let [before, after, uplift] = all.of(Measure::Ndcg10);
    let value = uplift.value?;
    let shown = |estimate: Estimate| estimate.value.unwrap_or_default() * 100.0;
    let sureness = uplift.interval.map_or_else(
        || "too few persons to say how surely".to_owned(),
        |interval| format!("in 95 of 100 resamplings {:+.1} to {:+.1} %", interval.low * 100.0, interval.high * 100.0),
    );
    let detail = format!(
        "NDCG@10 {:.2} % against {:.2} % at {} moments of {} persons ({whose}): {:+.1} %, {sureness}",
        shown(after),
        shown(before),
        all.queries,
        all.persons,
        value * 100.0
    );
    let is_surely_one = uplift.interval.is_some_and(|interval| interval.high < 0.0);
    let loss = if is_surely_one { -value } else { (-value).min(loss_max) };
    let parts = vec![(serving.clone(), shown(before)), (candidate.clone(), shown(after))];
    Some(Finding::judged(Gate::Quality, Bound::AtMost, loss, loss_max, detail).with_parts(parts))
}

/// The middle one of the times of each.
fn latency(times: &[[Duration; 2]], what: &str, ratio_max: f64, [serving, candidate]: &[String; 2]) -> Finding {
    let middle = |place: usize| {
        let mut micros: Vec<f64> = times.iter().filter_map(|both| Some(both.get(place)?.as_secs_f64() * 1e6)).collect();
        micros.sort_by(f64::total_cmp);
        micros.get(micros.len() / 2).copied().unwrap_or_default()
    };
    let (before, now) = (middle(0), middle(1));
    if before <= 0.0 {
        return Finding::skipped(Gate::Latency, "this system does not tell processor time so finely");
    }
    let detail = format!("an answer takes {now:.0} µs of a processor against {before:.0} µs, median of {} {what}", times.len());
    let parts = vec![(serving.clone(), before), (candidate.clone(), now)];
    Finding::judged(Gate::Latency, Bound::AtMost, now / before, ratio_max, detail).with_parts(parts)
}

/// What accounts took from `from_ms` on, each moment once.
fn taken_from(events: &[EventRow], from_ms: i64) -> Vec<&EventRow> {
    let first = events.partition_point(|row| row.ts_ms < from_ms);
    let mut seen = HashSet::new();
    let takes = events.get(first..).unwrap_or_default().iter();
    let takes = takes.filter(|row| rows::event_kind(&row.event_type).is_ok_and(|kind| kind.strength() > 0.0));
    takes.filter(|row| seen.insert((row.ts_ms, &row.bu, &row.local_user_id))).collect()
}

/// The moments; of more than `moments_max` an even choice of so many.
fn evenly(all: &[&EventRow], moments_max: usize) -> QuerySet {
    let count = all.len().min(moments_max);
    let query = |(n, row): (usize, &&EventRow)| Query {
        query_id: format!("{n:08}"),
        ts_ms: row.ts_ms,
        bu: row.bu.clone(),
        local_user_id: row.local_user_id.clone(),
        segment: String::new(),
    };
    let chosen = (0..count).filter_map(|n| all.get(n * all.len() / count));
    QuerySet { queries: chosen.enumerate().map(query).collect(), ..QuerySet::default() }
}

fn asking<'a>(state: &State, keys: &'a [SourceKey], (bu, ts_ms): (&str, i64), wanted: usize) -> Result<Ask<'a>> {
    let bu = state.catalogue().bu_or_new(bu).context("too many business units")?;
    Ok(Ask { wanted, ..Ask::new(keys, bu, EventTime::from_millis(ts_ms)) })
}

/// The answers of two engines, and what each took. Who comes first finds the caches cold: they take turns.
fn in_turn([served, new]: [&Engine; 2], turn: usize, ask: &Ask<'_>) -> ([Answer; 2], [Duration; 2]) {
    let timed = |engine: &Engine| {
        let began = cpu_time();
        (engine.recommend(ask), cpu_time().saturating_sub(began))
    };
    let ((before, served_for), (now, new_for)) = if turn.is_multiple_of(2) {
        let first = timed(served);
        (first, timed(new))
    } else {
        let first = timed(new);
        (timed(served), first)
    };
    ([before, now], [served_for, new_for])
}

fn names(state: &State, answer: &Answer) -> Vec<String> {
    let name = |item| state.catalogue().item_name(item).map(str::to_owned);
    answer.slate.items.iter().filter_map(|candidate| name(candidate.item)).collect()
}

/// Spent by this thread.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.cast_unsigned(), spent.tv_nsec as u32)
}

#[cfg(test)]
mod tests;
