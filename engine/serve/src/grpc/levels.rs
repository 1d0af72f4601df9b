//! Slates as good as the moment affords: the ladder's rungs on top of the engine.

use std::{hash::BuildHasher as _, time::Instant};

use faces_core::{
    ids::ItemId,
    ranking::{Candidate, Model as _, Score, Slate},
};
use faces_proto::v1;
use foldhash::fast::FixedState;

use super::{Services, answer, recommendation::Asked, refusal::Refusal, route::Reply, turn::Turn};
use crate::{
    encoded,
    engine::{Answer, Ask},
    metrics,
    overload::{Level, cached::Question},
};

impl Services {
    /// A slate, as good as load and time allow.
    pub(super) fn slate(&self, asked: &Asked, turn: Turn) -> Result<Reply, Refusal> {
        let (mut level, began) = (self.level(turn)?, Instant::now());
        if asked.is_flood {
            level = level.max(Level::Cached);
        }
        let (level, reply) = self.slate_at(level, asked, turn, began);
        self.overload.ladder.took(level, began.elapsed());
        Ok(reply)
    }

    /// As [`Self::slate`] for some requests of a batch, which share passes over the index where they are ranked.
    pub(super) fn respond_each(&self, asked: &[&Asked], turn: Turn) -> Vec<Result<v1::RecommendResponse, Refusal>> {
        let (level, began) = (self.level(turn), Instant::now());
        let has_flood = asked.iter().any(|asked| asked.is_flood);
        let Some(level) = level.ok().filter(|level| *level < Level::Cached && !has_flood) else {
            return asked.iter().map(|asked| self.slate(asked, turn).map(Reply::into_message)).collect();
        };
        let asks: Vec<Ask<'_>> = asked.iter().map(|asked| Ask { sources: level.sources(), ..asked.ask(turn.due) }).collect();
        let answers = self.engine.recommend_each(&asks);
        let each = began.elapsed() / u32::try_from(answers.len().max(1)).unwrap_or(u32::MAX);
        let respond = |(asked, answer): (&&Asked, &Answer)| {
            self.overload.ladder.took(level, each);
            self.remember(asked, answer, began);
            Ok(self.respond(asked, answer, level))
        };
        asked.iter().zip(&answers).map(respond).collect()
    }

    /// How good an answer is afforded now.
    pub(super) fn level(&self, turn: Turn) -> Result<Level, Refusal> {
        let left = turn.due.instant().saturating_duration_since(Instant::now());
        self.overload.ladder.for_request(turn.criticality, left).ok_or(Refusal::DeadlineExceeded)
    }

    fn slate_at(&self, level: Level, asked: &Asked, turn: Turn, now: Instant) -> (Level, Reply) {
        match level {
            Level::Full | Level::Lean | Level::CoVisitation => {
                let answer = self.engine.recommend(&Ask { sources: level.sources(), ..asked.ask(turn.due) });
                self.remember(asked, &answer, now);
                (level, self.ranked(asked, &answer, level))
            }
            Level::Cached => self
                .again(asked, turn, now)
                .map_or_else(|| (Level::Popular, self.popular(asked, turn)), |reply| (Level::Cached, reply)),
            Level::Popular => (Level::Popular, self.popular(asked, turn)),
        }
    }

    /// Counts a ranked slate and remembers it for harder times.
    fn remember(&self, asked: &Asked, answer: &Answer, now: Instant) {
        if let Some(question) = asked.question_of_first_page() {
            let items = answer.slate.items.iter().map(|candidate| (candidate.item, candidate.score.value()));
            self.overload.cached.put(question, items.collect(), now);
        }
        self.recent.note(&asked.keys, asked.bu(), asked.wanted());
        self.count_slate(answer, asked.wanted());
    }

    /// A slate as a reply.
    fn ranked(&self, asked: &Asked, answer: &Answer, level: Level) -> Reply {
        if asked.explain {
            return Reply { items: Vec::new(), rest: self.respond(asked, answer, level) };
        }
        let (catalogue, slate) = (self.engine.state().catalogue(), &answer.slate.items);
        let mut items = Vec::with_capacity(encoded::room_for(slate.len()));
        for candidate in slate {
            let item_id = catalogue.item_name(candidate.item).unwrap_or_default();
            encoded::put_item(&mut items, item_id, candidate.score.value(), candidate.propensity().unwrap_or_default());
        }
        let shown = slate.iter().map(|candidate| candidate.item);
        Reply { items, rest: self.response(asked, shown, answer::generation_id(answer), answer.newest, level) }
    }

    /// What still stands of the slate that the same question was answered with a moment ago; `None` if there is none, or it became short.
    fn again(&self, asked: &Asked, turn: Turn, now: Instant) -> Option<Reply> {
        let slate = self.overload.cached.get(asked.question_of_first_page()?, now)?;
        let (items, newest) = self.engine.allowed(&asked.ask(turn.due), |allows| -> Vec<Candidate> {
            let standing = slate.iter().filter(|(item, _)| allows(*item));
            standing.map(|(item, score)| Candidate { score: Score::new(*score), ..Candidate::new(*item) }).collect()
        });
        if items.is_empty() || items.len() < asked.wanted().min(slate.len()) {
            return None;
        }
        let answer = Answer {
            slate: Slate { items, ..Slate::default() },
            reasons: Vec::new(),
            generation: self.engine.generation(),
            newest,
        };
        metrics::slate_size(answer.slate.items.len(), asked.wanted());
        Some(self.ranked(asked, &answer, Level::Cached))
    }

    /// What is popular and may stand. Where the list runs out, the pipeline's last resort, which goes through all there is.
    fn popular(&self, asked: &Asked, turn: Turn) -> Reply {
        let (list, ask) = (self.overload.popular.of(asked.bu()), asked.ask(turn.due));
        let mut items = Vec::with_capacity(encoded::room_for(asked.wanted()));
        let (shown, newest) = self.engine.allowed(&ask, |allows| -> Vec<ItemId> {
            let allowed = list.iter().filter(|listed| allows(listed.item)).take(asked.wanted());
            allowed.inspect(|listed| items.extend_from_slice(&listed.encoded)).map(|listed| listed.item).collect()
        });
        if shown.len() < asked.wanted() {
            let answer = self.engine.recommend(&Ask { sources: Level::Popular.sources(), ..ask });
            metrics::slate(&answer, asked.wanted());
            return self.ranked(asked, &answer, Level::Popular);
        }
        metrics::slate_size(shown.len(), asked.wanted());
        let generation_id = self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default();
        let rest = self.response(asked, shown.into_iter(), generation_id, newest, Level::Popular);
        Reply { items, rest }
    }
}

impl Asked {
    /// What a slate may be given again for: all that the request says, but for how it wants to be explained. Later pages are not.
    pub(super) fn question_of_first_page(&self) -> Option<Question> {
        let context: Vec<(ItemId, u8)> = self.context.iter().map(|(item, kind)| (*item, *kind as u8)).collect();
        let all = (self.question, self.wanted, &self.placement, &self.region, self.filter_hash, self.suppress_owned, context);
        self.served.is_empty().then(|| Question(FixedState::default().hash_one(all)))
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
