//! Slates as good as the moment affords: the ladder's rungs on top of the engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use faces_core::{ids::ItemId, ranking::Model as _};
use faces_proto::v1;

use super::{Services, answer, asked::Asked, refusal::Refusal, route::Reply, turn::Turn};
use crate::{
    clock, encoded,
    engine::{Answer, Ask, Made},
    metrics,
    overload::{Level, remembered::Kept},
};

impl Services {
    /// A slate, as good as load and time allow.
    pub(super) fn slate(&self, asked: &Asked, turn: Turn) -> Result<Reply, Refusal> {
        let (mut level, now) = (self.level(turn)?, Instant::now());
        if asked.is_flood {
            level = level.max(Level::Cached);
        }
        Ok(match level {
            Level::Full | Level::Lean | Level::CoVisitation => {
                let before = self.fresh(asked, level, now);
                let ask = Ask { sources: level.sources(), ..asked.ask(turn.due) };
                let (answer, made) = self.engine.recommend_again(&ask, before.as_deref().map(|kept| &kept.ranking));
                let level = self.keep(asked, made, before.as_deref(), now, (level, now.elapsed()));
                self.count_slate(&answer, asked.wanted);
                self.ranked(asked, &answer, level)
            }
            Level::Cached | Level::Popular => {
                let remembered = (level == Level::Cached).then(|| self.remembered(asked, turn, now)).flatten();
                let level = if remembered.is_some() { Level::Cached } else { Level::Popular };
                let reply = remembered.unwrap_or_else(|| self.popular(asked, turn));
                self.overload.ladder.took(level, now.elapsed());
                self.overload.ladder.answered(level);
                reply
            }
        })
    }

    /// As [`Self::slate`] for some requests of a batch, which share passes over the index where they are ranked.
    pub(super) fn respond_each(&self, asked: &[&Asked], turn: Turn) -> Vec<Result<v1::RecommendResponse, Refusal>> {
        let (level, now) = (self.level(turn), Instant::now());
        let has_flood = asked.iter().any(|asked| asked.is_flood);
        let Some(level) = level.ok().filter(|level| *level < Level::Cached && !has_flood) else {
            return asked.iter().map(|asked| self.slate(asked, turn).map(Reply::into_message)).collect();
        };
        let before: Vec<_> = asked.iter().map(|asked| self.fresh(asked, level, now)).collect();
        let asks = asked.iter().map(|asked| Ask { sources: level.sources(), ..asked.ask(turn.due) });
        let rankings = before.iter().map(|kept| kept.as_deref().map(|kept| &kept.ranking));
        let asks: Vec<_> = asks.zip(rankings).collect();
        let answers = self.engine.recommend_each(&asks);
        let anew = answers.iter().filter(|(_, made)| matches!(made, Made::Anew(_))).count();
        let each = now.elapsed() / u32::try_from(anew.max(1)).unwrap_or(u32::MAX);
        let mut responses = Vec::with_capacity(answers.len());
        for ((asked, before), (answer, made)) in asked.iter().zip(&before).zip(answers) {
            let level = self.keep(asked, made, before.as_deref(), now, (level, each));
            self.count_slate(&answer, asked.wanted);
            responses.push(Ok(self.respond(asked, &answer, level)));
        }
        responses
    }

    /// What was ranked for the same question a moment ago, at least as well as `level`. Reasons are given of new rankings only.
    fn fresh(&self, asked: &Asked, level: Level, now: Instant) -> Option<Arc<Kept>> {
        let question = asked.question_of_first_page().filter(|_| !asked.explain)?;
        self.overload.remembered.get_fresh(question, level, now)
    }

    /// Counts a slate of a ranking and remembers that if it is new; at which level it was made: not in full if time ran out.
    fn keep(&self, asked: &Asked, made: Made, before: Option<&Kept>, now: Instant, (level, cost): (Level, Duration)) -> Level {
        self.recent.note(&asked.keys, asked.bu, asked.wanted, clock::now());
        let level = match made {
            Made::Again => {
                self.overload.remembered.note_reused();
                before.map_or(level, |kept| kept.level)
            }
            Made::Anew(ranking) => {
                self.overload.ladder.took(level, cost);
                self.overload.persons.had(&asked.keys, now);
                let was_cut_short = ranking.is_none();
                if let Some((ranking, question)) = ranking.zip(asked.question_of_first_page()) {
                    self.overload.remembered.put(question, Kept { at: now, level, ranking });
                }
                if was_cut_short { level.max(Level::Lean) } else { level }
            }
        };
        self.overload.ladder.answered(level);
        level
    }

    /// How good an answer is afforded now.
    pub(super) fn level(&self, turn: Turn) -> Result<Level, Refusal> {
        let left = turn.due.instant().saturating_duration_since(Instant::now());
        self.overload.ladder.for_request(turn.criticality, left).ok_or(Refusal::DeadlineExceeded)
    }

    /// A slate as a reply.
    fn ranked(&self, asked: &Asked, answer: &Answer, level: Level) -> Reply {
        if asked.explain {
            return Reply { items: Vec::new(), rest: self.respond(asked, answer, level) };
        }
        let (catalogue, slate) = (self.engine.state().catalogue(), &answer.slate.items);
        catalogue.fetch_names(slate.iter().map(|candidate| candidate.item));
        let mut items = Vec::with_capacity(encoded::room_for(slate.len()));
        for candidate in slate {
            let item_id = catalogue.item_name(candidate.item).unwrap_or_default();
            encoded::put_item(&mut items, item_id, candidate.score.value(), candidate.propensity().unwrap_or_default());
        }
        let shown = slate.iter().map(|candidate| candidate.item);
        Reply { items, rest: self.response(asked, shown, answer::generation_id(answer), answer.newest, level) }
    }

    /// A slate of what was ranked for the same question in the last half minute, whatever has changed since.
    fn remembered(&self, asked: &Asked, turn: Turn, now: Instant) -> Option<Reply> {
        let kept = self.overload.remembered.get(asked.question_of_first_page()?, now)?;
        // Which sources spoke for what was kept is not.
        let answer = self.engine.recommend_of(&Ask { explain: false, ..asked.ask(turn.due) }, &kept.ranking)?;
        metrics::slate_size(answer.slate.items.len(), asked.wanted);
        Some(self.ranked(asked, &answer, Level::Cached))
    }

    /// What is popular and may stand. Where the list runs out, the pipeline's last resort, which goes through all there is.
    fn popular(&self, asked: &Asked, turn: Turn) -> Reply {
        let (list, ask) = (self.overload.popular.of(asked.bu), asked.ask(turn.due));
        let mut items = Vec::with_capacity(encoded::room_for(asked.wanted));
        let (shown, newest) = self.engine.allowed(&ask, |allows| -> Vec<ItemId> {
            let allowed = list.iter().filter(|listed| allows(listed.item)).take(asked.wanted);
            allowed.inspect(|listed| items.extend_from_slice(&listed.encoded)).map(|listed| listed.item).collect()
        });
        if shown.len() < asked.wanted {
            let answer = self.engine.recommend(&Ask { sources: Level::Popular.sources(), explain: false, ..ask });
            metrics::slate(&answer, asked.wanted);
            return self.ranked(asked, &answer, Level::Popular);
        }
        metrics::slate_size(shown.len(), asked.wanted);
        let generation_id = self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default();
        let rest = self.response(asked, shown.into_iter(), generation_id, newest, Level::Popular);
        Reply { items, rest }
    }
}

/// A level as the wire has it.
pub(super) const fn on_the_wire(level: Level) -> v1::ServiceLevel {
    match level {
        Level::Full => v1::ServiceLevel::Full,
        Level::Lean => v1::ServiceLevel::Lean,
        Level::CoVisitation => v1::ServiceLevel::CoVisitation,
        Level::Cached => v1::ServiceLevel::Cached,
        Level::Popular => v1::ServiceLevel::Popular,
    }
}

/// A level from the wire; `None` where none is given.
pub(super) const fn from_the_wire(level: v1::ServiceLevel) -> Option<Level> {
    Some(match level {
        v1::ServiceLevel::Unspecified => return None,
        v1::ServiceLevel::Full => Level::Full,
        v1::ServiceLevel::Lean => Level::Lean,
        v1::ServiceLevel::CoVisitation => Level::CoVisitation,
        v1::ServiceLevel::Cached => Level::Cached,
        v1::ServiceLevel::Popular => Level::Popular,
    })
}
