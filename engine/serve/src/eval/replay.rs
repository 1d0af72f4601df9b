//! The replay itself: events strictly before a query, then the query.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use faces_core::{
    catalogue::Catalogue,
    ids::{EventTime, ItemId},
    ranking::Slate,
};
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow};

use super::{
    course::InMemory,
    options::ReplayOptions,
    queries::{Query, QuerySet},
    run::Run,
    session_knn::SessionKnn,
    tables::{Inputs, Log, Tables},
    takings::{Asked, takings},
    variants::Variant,
};
use crate::{
    engine::{Ask, Engine},
    rows,
};

const DAY_MS: i64 = 86_400_000;

/// A log in memory, ready to be replayed.
pub struct Replay {
    events: Vec<EventRow>, // by time, then by content
    items: Vec<ItemRow>,
    links: Vec<LinkRow>, // by time
    options: ReplayOptions,
}

/// What a query was answered with: names of items, best first.
#[derive(Debug, Default)]
pub struct Answered {
    /// The served answer.
    pub items: Vec<String>,
    /// Those of the variants, in their order.
    pub variants: Vec<Vec<String>>,
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Events applied.
    pub events: u64,
    /// Events left out because their account is hidden.
    pub events_hidden: u64,
    /// Generations trained to answer queries with.
    pub rebuilds: u32,
}

impl Replay {
    /// Reads the tables.
    ///
    /// # Errors
    /// A table that can't be read, by file and row.
    pub fn read(inputs: &Inputs, options: ReplayOptions) -> Result<Self> {
        let Log { events, items, links } = Log::read(&inputs.events, Some(&inputs.items), inputs.links.as_deref())?;
        Ok(Self { events, items, links, options })
    }

    /// The same log, replayed with each unit on its own.
    #[must_use]
    pub fn siloed(mut self) -> Self {
        self.options.siloed = true;
        self
    }

    /// What is replayed.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        Tables { events: &self.events, items: &self.items, links: &self.links }
    }

    /// Answers every query, in order of time; siloed, a unit at a time, each as if there were no other. `answered` gets each query
    /// with its answer, and with those of `variants`, which see the same state and change nothing of it. `progress` hears how many moments
    /// are done, of how many (siloed, of the unit): queries, and before and between them what examples for the ranker are made of.
    ///
    /// # Errors
    /// A row that is no record, a generation that can't be trained, or what `answered` says.
    pub fn run(
        &self,
        set: &QuerySet,
        variants: &[Variant],
        mut progress: impl FnMut(usize, usize),
        mut answered: impl FnMut(&Query, &Answered) -> Result<()>,
    ) -> Result<Replayed> {
        let is_hidden = |row: &EventRow| set.hidden.contains(&(row.bu.clone(), row.local_user_id.clone()));
        let visible: Vec<&EventRow> = self.events.iter().filter(|row| set.hidden.is_empty() || !is_hidden(row)).collect();
        let mut replayed = Replayed { events_hidden: (self.events.len() - visible.len()) as u64, ..Replayed::default() };
        if !self.options.siloed {
            let queries: Vec<&Query> = set.queries.iter().collect();
            self.replay((set, variants), (&queries, &visible), &mut progress, &mut answered, &mut replayed)?;
            return Ok(replayed);
        }
        let units: BTreeSet<&str> = set.queries.iter().map(|query| query.bu.as_str()).collect();
        for unit in units {
            let queries: Vec<&Query> = set.queries.iter().filter(|query| query.bu == unit).collect();
            let own: Vec<&EventRow> = visible.iter().copied().filter(|row| row.bu == unit).collect();
            self.replay((set, variants), (&queries, &own), &mut progress, &mut answered, &mut replayed)?;
        }
        Ok(replayed)
    }

    fn replay(
        &self,
        (set, variants): (&QuerySet, &[Variant]),
        (queries, visible): (&[&Query], &[&EventRow]),
        progress: &mut dyn FnMut(usize, usize),
        answered: &mut dyn FnMut(&Query, &Answered) -> Result<()>,
        replayed: &mut Replayed,
    ) -> Result<()> {
        let asked = Asked {
            from_ms: queries.first().map_or(i64::MAX, |query| query.ts_ms),
            until_ms: queries.last().map_or(0, |query| query.ts_ms),
            queries: queries.len(),
        };
        let takings = takings(visible, asked, self.options.training.ranker.examples_max);
        let mut moments: Vec<Moment<'_>> = takings.into_iter().map(Moment::Taking).collect();
        moments.extend(queries.iter().map(|query| Moment::Asking(query)));
        moments.sort_by_key(Moment::ts_ms); // stable: at one time, what is taken is noted first, and applied later still
        let course = InMemory::new(&self.options, self.tables(), visible);
        let first_ms = moments.first().map_or(0, Moment::ts_ms);
        let mut run = Run::new(&self.options, Box::new(course), (&self.items, &self.links), asked.from_ms, first_ms);
        let mut textbook = variants.iter().any(|variant| variant.sources().is_none()).then(|| Textbook::new(visible));
        for (n, moment) in moments.iter().enumerate() {
            progress(n, moments.len());
            run.advance(moment.ts_ms())?;
            match moment {
                Moment::Taking(rows) => run.note(rows)?,
                Moment::Asking(query) => {
                    if let Some(textbook) = &mut textbook {
                        textbook.advance(query.ts_ms, run.engine.state().catalogue())?;
                    }
                    answered(query, &self.answer(&run.engine, (set, variants), query, textbook.as_ref())?)?;
                }
            }
        }
        replayed.events += run.events;
        replayed.rebuilds += run.rebuilds;
        Ok(())
    }

    fn answer(
        &self,
        engine: &Engine,
        (set, variants): (&QuerySet, &[Variant]),
        query: &Query,
        textbook: Option<&Textbook<'_>>,
    ) -> Result<Answered> {
        let catalogue = engine.state().catalogue();
        let bu = catalogue.bu_or_new(&query.bu).context("too many business units")?;
        let keys = [rows::account(&query.bu, &query.local_user_id)?];
        let ruled_out = set.excluded.get(&day_and_unit(query)).into_iter().flatten();
        let mut excluded: Vec<ItemId> = ruled_out.filter_map(|name| catalogue.item(bu, name)).collect();
        excluded.sort_unstable();
        let ask = Ask {
            wanted: self.options.wanted,
            excluded: &excluded,
            siloed: self.options.siloed,
            ..Ask::new(&keys, bu, EventTime::from_millis(query.ts_ms))
        };
        let names = |slate: &Slate| {
            slate.items.iter().filter_map(|candidate| catalogue.item_name(candidate.item)).map(str::to_owned).collect()
        };
        let variant = |variant: &Variant| match (variant, variant.sources()) {
            (_, Some(sources)) => names(&engine.recommend(&Ask { sources, ..ask.clone() }).slate),
            (Variant::Textbook { takers_min }, None) => {
                let scored = textbook.map(|textbook| textbook.scores(&ask, *takers_min, catalogue)).unwrap_or_default();
                names(&engine.slate_of(&ask, &scored))
            }
            _ => Vec::new(),
        };
        Ok(Answered { items: names(&engine.recommend(&ask).slate), variants: variants.iter().map(variant).collect() })
    }
}

/// The textbook's neighbours on their way through a log.
struct Textbook<'a> {
    knn: SessionKnn,
    visible: &'a [&'a EventRow], // by time
    next: usize,
}

impl<'a> Textbook<'a> {
    fn new(visible: &'a [&'a EventRow]) -> Self {
        Self { knn: SessionKnn::default(), visible, next: 0 }
    }

    /// Takes in what happened before `ts_ms`, which the catalogue must have seen.
    fn advance(&mut self, ts_ms: i64, catalogue: &Catalogue) -> Result<()> {
        while let Some(row) = self.visible.get(self.next).filter(|row| row.ts_ms < ts_ms) {
            self.next += 1;
            let item = catalogue.bu(&row.bu).and_then(|bu| catalogue.item(bu, &row.item_id));
            let speaks = rows::event_kind(&row.event_type)?.strength() > 0.0;
            if let Some(item) = item.filter(|_| speaks) {
                self.knn.take(rows::account(&row.bu, &row.local_user_id)?.hash(), item, EventTime::from_millis(row.ts_ms));
            }
        }
        Ok(())
    }

    fn scores(&self, ask: &Ask<'_>, takers_min: usize, catalogue: &Catalogue) -> Vec<(ItemId, f32)> {
        let mut scores = ask.keys.first().map(|key| self.knn.scores(key.hash())).unwrap_or_default();
        scores.retain(|(item, _)| catalogue.bu_of(*item) == Some(ask.bu) && self.knn.takers(*item) >= takers_min);
        scores
    }
}

/// What happens at one point of a replay.
enum Moment<'a> {
    /// A query.
    Asking(&'a Query),
    /// Rows of one account, unit and time: an example for the ranker.
    Taking(Vec<&'a EventRow>),
}

impl Moment<'_> {
    fn ts_ms(&self) -> i64 {
        match self {
            Self::Asking(query) => query.ts_ms,
            Self::Taking(rows) => rows.first().map_or(0, |row| row.ts_ms),
        }
    }
}

fn day_and_unit(query: &Query) -> (i64, String) {
    (query.ts_ms - query.ts_ms.rem_euclid(DAY_MS), query.bu.clone())
}
