//! From a log to a generation: the parts, one after another.

use std::time::{SystemTime, UNIX_EPOCH};

use faces_index::{BuildSpec, IndexError, Metric, TuneSpec, Vectors};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    content::{ContentParams, content},
    cooccurrence::Count,
    covisitation::{CoVisitationParams, Cut, co_visitation},
    embedding::{Contexts, EmbeddingParams, EmbeddingSource, SHARE_OF_COUNTING, embed_contexts, embeddings, with_cold_items},
    embeddings::Embeddings,
    generation::{Counts, FORMAT_NAME, FORMAT_VERSION, Generation, GenerationId, Manifest, Space, UnitIndex},
    interests::interests,
    neighbour_lists::NeighbourLists,
    popularity::{Popularity, PopularityParams, most_popular, popularity},
    prepared::{PairColumn, Prepared, PreparedError},
    ranker::RankerParams,
    seed::Seed,
    training::Log,
};

/// How a generation is trained. Unknown keys are refused, missing ones take their default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainParams {
    /// Item vectors.
    pub embedding: EmbeddingParams,
    /// Item-to-item transitions.
    pub co_visitation: CoVisitationParams,
    /// Items alike by what the catalogue says.
    pub content: ContentParams,
    /// Each unit's popular items.
    pub popularity: PopularityParams,
    /// Each unit's index; without a kind, the one that tuning chooses.
    pub index: BuildSpec,
    /// What tuning aims at, and how far it goes.
    pub tuning: TuneSpec,
    /// The ranker.
    pub ranker: RankerParams,
}

impl TrainParams {
    /// Whether they make sense; training asks first of all, too.
    ///
    /// # Errors
    /// [`RebuildError::Parameter`], of the first that does not.
    pub fn check(&self) -> Result<(), RebuildError> {
        let named = |part: &'static str| move |reason: &'static str| RebuildError::Parameter { part, reason };
        self.embedding.check().map_err(named("embedding"))?;
        self.co_visitation.check().map_err(named("co_visitation"))?;
        self.content.check().map_err(named("content"))?;
        self.popularity.check().map_err(named("popularity"))?;
        self.ranker.check().map_err(named("ranker"))?;
        self.tuning.check().map_err(named("tuning"))
    }
}

/// What training is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Counting each unit's popular items.
    Popularity,
    /// Counting item-to-item transitions.
    CoVisitation,
    /// Factoring associations into vectors.
    Embedding,
    /// Comparing what the catalogue says of items.
    Content,
    /// Building each unit's index.
    Index,
}

impl Stage {
    /// The stages in their order.
    pub const ALL: [Self; 5] = [Self::Popularity, Self::CoVisitation, Self::Embedding, Self::Content, Self::Index];

    /// What to show a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::CoVisitation => "co-visitation",
            Self::Embedding => "embeddings",
            Self::Content => "content",
            Self::Index => "index",
        }
    }
}

/// Why no generation came out.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The catalogue is empty.
    #[error("the log has no items; give an items table with at least one row")]
    NoItems,
    /// Nobody did anything.
    #[error(
        "the log has no interactions{}; check that events name items of the items table, \
         that their types carry weight (view, purchase, …) and that the cut-off is not before them all", before(*cut_off_ms)
    )]
    NoInteractions {
        /// The log's cut-off, in milliseconds since 1970; 0 where none was given and nothing happened.
        cut_off_ms: i64,
    },
    /// Nothing goes together with anything.
    #[error(
        "no two items were taken up by one person, in {interactions} interactions; check that accounts keep their \
         `local_user_id` from event to event"
    )]
    NoCooccurrence {
        /// How many interactions there are.
        interactions: usize,
    },
    /// The catalogue was to bring embeddings, and does not.
    #[error(
        "none of {items} items has an embedding; give the items table a column `embedding` \
         (numbers between blanks, commas or bars), or set training.embedding.source to \"behaviour\""
    )]
    NoEmbeddings {
        /// Items in the catalogue.
        items: usize,
    },
    /// More transitions than the format numbers.
    #[error("{items} items with up to {neighbours_max} neighbours each are over 2^32; lower neighbours_max")]
    TooManyNeighbours {
        /// Items in the log.
        items: usize,
        /// Neighbours kept for one.
        neighbours_max: usize,
    },
    /// A parameter that makes no sense.
    #[error("parameters of {part}: {reason}")]
    Parameter {
        /// The part of [`TrainParams`].
        part: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// An index could not be built.
    #[error("the index of unit {bu} could not be built")]
    Index {
        /// The unit.
        bu: String,
        /// The cause.
        #[source]
        source: IndexError,
    },
    /// Prepared tables that can't be read, or were counted otherwise.
    #[error(transparent)]
    Prepared(#[from] PreparedError),
    /// The parts do not fit each other: a defect of this program.
    #[error("the trained generation contradicts itself: {reason}; please report this")]
    Defect {
        /// What does not fit.
        reason: String,
    },
}

/// ` before 2014-01-01T00:00:00Z`; nothing where there is no cut-off.
fn before(cut_off_ms: i64) -> String {
    if cut_off_ms == 0 { String::new() } else { format!(" before {}", in_words(cut_off_ms)) }
}

/// A time as RFC 3339.
fn in_words(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}

/// Trains a generation on everything in the log. `progress` hears each stage's share done, 0 as it begins, from the calling thread.
///
/// The parts are a pure function of the log and the parameters (bit-equal on one machine); the id and the time of
/// creation are the system clock's, and so are the times that tuning reports (it decides nothing by them). The manifest's `inputs` and `files` are empty.
///
/// # Errors
/// [`RebuildError`].
pub fn train(log: &Log, params: &TrainParams, progress: &dyn Fn(Stage, f64)) -> Result<Generation, RebuildError> {
    train_at(log, params, now_ms(), progress)
}

/// [`train`] with the time of creation given, in milliseconds since 1970.
///
/// # Errors
/// [`RebuildError`].
pub fn train_at(
    log: &Log,
    params: &TrainParams,
    created_at_ms: i64,
    progress: &dyn Fn(Stage, f64),
) -> Result<Generation, RebuildError> {
    check(log, params)?;
    let counted = begin(Stage::Popularity, progress);
    let popular = popularity(log, &params.popularity);
    counted(1.0);
    let co_visited = co_visitation(log, &params.co_visitation, &begin(Stage::CoVisitation, progress));
    let embeddings = embeddings(log, &params.embedding, &begin(Stage::Embedding, progress));
    generation(log, Learnt { popular, co_visited, embeddings }, params, created_at_ms, progress)
}

/// [`train`] on prepared tables. Where pairs are counted in them already: the same generation, but for rounding.
///
/// # Errors
/// [`RebuildError`].
pub fn train_prepared(
    prepared: &Prepared,
    params: &TrainParams,
    progress: &dyn Fn(Stage, f64),
) -> Result<Generation, RebuildError> {
    let log = prepared.log();
    check(log, params)?;
    prepared.check(&params.into())?;
    if !prepared.has_counts() {
        return train(log, params, progress);
    }
    let counted = begin(Stage::Popularity, progress);
    let popular = most_popular(log, &prepared.faded("popularity")?, params.popularity.items_max);
    counted(1.0);
    let counted = begin(Stage::CoVisitation, progress);
    let takers = prepared.faded("takers")?;
    let cut = Cut::new(log, &params.co_visitation, &takers);
    let neighbours = |item: u32, row: &[Count]| cut.neighbours(item, row);
    let co_visited = NeighbourLists::of_lists(prepared.map_rows(PairColumn::Transitions, neighbours, &counted)?);
    let made = begin(Stage::Embedding, progress);
    let embeddings = match params.embedding.source {
        EmbeddingSource::Catalogue => embeddings(log, &params.embedding, &made),
        EmbeddingSource::Behaviour => {
            let (totals, contexts_max) = (prepared.context_totals()?, params.embedding.contexts_max);
            let total = |item: u32| totals.get(item as usize).copied().unwrap_or(0.0);
            let contexts = |item: u32, row: &[Count]| Contexts::of_sum(total(item), row, contexts_max);
            let rows = prepared.map_rows(PairColumn::Associations, contexts, &|share| made(SHARE_OF_COUNTING * share))?;
            embed_contexts(rows, &params.embedding, &made)
        }
    };
    generation(log, Learnt { popular, co_visited, embeddings }, params, now_ms(), progress)
}

/// Tells that a stage begins: who times stages must not take it for the one before. Gives what hears the share done.
fn begin(stage: Stage, progress: &dyn Fn(Stage, f64)) -> impl Fn(f64) {
    progress(stage, 0.0);
    move |share| progress(stage, share)
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

fn check(log: &Log, params: &TrainParams) -> Result<(), RebuildError> {
    params.check()?;
    let (items, interactions) = (log.items().len(), log.interactions().len());
    if items == 0 {
        return Err(RebuildError::NoItems);
    }
    if interactions == 0 {
        return Err(RebuildError::NoInteractions { cut_off_ms: log.cut_off_ms() });
    }
    let neighbours_max = params.co_visitation.neighbours_max.max(params.content.neighbours_max);
    if items.checked_mul(neighbours_max).is_none_or(|pairs| pairs > u32::MAX as usize) {
        return Err(RebuildError::TooManyNeighbours { items, neighbours_max });
    }
    Ok(())
}

/// What was learnt of a log before its indexes are built.
struct Learnt {
    popular: Popularity,
    co_visited: NeighbourLists,
    embeddings: Embeddings,
}

fn generation(
    log: &Log,
    Learnt { popular, co_visited, embeddings }: Learnt,
    params: &TrainParams,
    created_at_ms: i64,
    progress: &dyn Fn(Stage, f64),
) -> Result<Generation, RebuildError> {
    let (items, interactions) = (log.items().len(), log.interactions().len());
    if embeddings.rows().is_empty() {
        return Err(match params.embedding.source {
            EmbeddingSource::Behaviour => RebuildError::NoCooccurrence { interactions },
            EmbeddingSource::Catalogue => RebuildError::NoEmbeddings { items },
        });
    }
    let has_cold = params.embedding.source == EmbeddingSource::Behaviour && params.embedding.cold_items;
    let embeddings = if has_cold { with_cold_items(log, embeddings) } else { embeddings };
    let alike = content(log, &params.content, &begin(Stage::Content, progress));
    let built = begin(Stage::Index, progress);
    let (spaces, indexes) = build_spaces(log, &embeddings, &params.index, &params.tuning)?.into_iter().unzip();
    built(1.0);

    let spaces: Vec<Space> = spaces;
    let checksum = content_checksum(&spaces, [&co_visited, &alike], &popular);
    let manifest = Manifest {
        format: FORMAT_NAME.into(),
        format_version: FORMAT_VERSION,
        id: GenerationId::new(created_at_ms, checksum),
        created_at_ms,
        created_at: in_words(created_at_ms),
        code_version: env!("CARGO_PKG_VERSION").into(),
        cut_off_ms: log.cut_off_ms(),
        dimension: embeddings.dimension(),
        embeddings: params.embedding.source,
        metric: Metric::Cosine,
        counts: Counts { interactions, persons: log.person_count(), ..Counts::default() },
        parameters: serde_json::to_value(params).map_err(|error| RebuildError::Defect { reason: error.to_string() })?,
        indexes,
        inputs: Vec::new(),
        rules_xxh3: None,
        gates: None,
        files: Vec::new(),
    };
    let (items, seed) = (log.items().to_vec(), Seed::of(log));
    let mut generation = Generation { manifest, items, spaces, co_visited, content: alike, popular, ranker: None, seed };
    generation.manifest.counts = generation.counts();
    generation.check().map_err(|reason| RebuildError::Defect { reason })?;
    Ok(generation)
}

/// One index for each unit with embedded items, units in parallel.
fn build_spaces(
    log: &Log,
    embeddings: &Embeddings,
    spec: &BuildSpec,
    tuning: &TuneSpec,
) -> Result<Vec<(Space, UnitIndex)>, RebuildError> {
    let mut by_unit: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); log.units().len()];
    for (row, vector) in embeddings.iter() {
        let unit = log.unit_of(row).map(usize::from);
        if let Some((rows, values)) = unit.and_then(|unit| by_unit.get_mut(unit)) {
            rows.push(row);
            values.extend_from_slice(vector);
        }
    }
    let every_unit = |source| RebuildError::Index { bu: "every unit".into(), source };
    let queries = interests(log, embeddings, tuning.queries, spec.seed).map_err(every_unit)?;
    let build = |(bu, (rows, values)): (&String, (Vec<u32>, Vec<f32>))| {
        let failed = |source| RebuildError::Index { bu: bu.clone(), source };
        let vectors = Vectors::new(embeddings.dimension(), values).map_err(failed)?;
        let (index, tuned) = match spec.kind {
            Some(_) => (faces_index::build(vectors, Metric::Cosine, spec).map_err(failed)?, None),
            None => {
                let (index, tuned) =
                    faces_index::build_tuned(vectors, Metric::Cosine, spec, tuning, Some(&queries)).map_err(failed)?;
                (index, Some(tuned))
            }
        };
        let unit = UnitIndex { bu: bu.clone(), kind: index.kind(), effort: index.effort(), tuned };
        Ok((Space { bu: bu.clone(), rows, index }, unit))
    };
    let units: Vec<_> = log.units().iter().zip(by_unit).filter(|(_, (rows, _))| !rows.is_empty()).collect();
    let built: Vec<Result<_, _>> = units.into_par_iter().map(build).collect();
    built.into_iter().collect() // of units that can't be built the first is named, whichever is told first
}

/// Tells generations of one millisecond apart.
fn content_checksum(spaces: &[Space], neighbours: [&NeighbourLists; 2], popular: &Popularity) -> u32 {
    let (mut checksum, mut values) = (0, Vec::new());
    let mut add = |bytes: &[u8]| checksum = crc32c::crc32c_append(checksum, bytes);
    for space in spaces {
        add(bytemuck::cast_slice(&space.rows));
        (0..space.rows.len() as u32).for_each(|row| {
            space.index.row_into(row, &mut values);
            add(bytemuck::cast_slice(&values));
        });
    }
    for lists in neighbours {
        add(bytemuck::cast_slice(lists.rows()));
        add(bytemuck::cast_slice(lists.weights()));
    }
    for unit in popular.units() {
        add(bytemuck::cast_slice(&unit.rows));
    }
    checksum
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use faces_core::catalogue::ItemAttributes;
    use proptest::prelude::*;

    use super::*;
    use crate::training::{Interaction, TrainingItem};

    const CUT_OFF_MS: i64 = 100 * 86_400_000;

    fn items() -> Vec<TrainingItem> {
        (0..24).map(|id| TrainingItem { bu: format!("u{}", id % 3), item_id: id.to_string() }).collect()
    }

    fn small() -> TrainParams {
        let mut params = TrainParams::default();
        params.embedding.dimension = 4;
        params
    }

    fn act(days: std::ops::Range<i64>) -> impl Strategy<Value = Interaction> {
        let weight = prop_oneof![Just(1.0_f32), Just(3.0)];
        (0_u32..9, 0_u32..24, days, weight).prop_map(|(person, item, days, weight)| Interaction {
            person,
            item,
            ts_ms: days * 86_400_000,
            weight,
        })
    }

    /// The manifest without measured times.
    fn timeless(made: &Generation) -> Manifest {
        let mut manifest = made.manifest.clone();
        for tuned in manifest.indexes.iter_mut().filter_map(|unit| unit.tuned.as_mut()) {
            tuned.chosen.us_per_query = 0.0;
            tuned.frontier.iter_mut().for_each(|point| point.us_per_query = 0.0);
        }
        manifest
    }

    /// Everything that was learnt, to the bit.
    fn bits(made: &Generation) -> (u32, Vec<u32>, Vec<u32>, Vec<u32>) {
        let popular = made.popular.units().iter().flat_map(|unit| unit.scores.iter().map(|score| score.to_bits()));
        let vectors = made.spaces.iter().flat_map(|space| space.index.vectors().unwrap().as_slice().iter().map(|v| v.to_bits()));
        (
            content_checksum(&made.spaces, [&made.co_visited, &made.content], &made.popular),
            vectors.collect(),
            made.co_visited.weights().iter().map(|weight| weight.to_bits()).collect(),
            popular.collect(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_future_and_the_order_of_input_change_nothing(
            past in proptest::collection::vec(act(0..100), 30..90),
            future in proptest::collection::vec(act(100..130), 0..40),
            other_future in proptest::collection::vec(act(100..130), 0..40),
        ) {
            let log = |later: &[Interaction], turned: bool| {
                let mut acts = past.clone();
                acts.extend_from_slice(later);
                if turned {
                    acts.reverse();
                }
                Log::new(items(), acts).unwrap().before(CUT_OFF_MS)
            };
            let train = |log: &Log| train_at(log, &small(), 7, &|_, _| ()).unwrap();
            let made = train(&log(&future, false));
            for same in [log(&[], false), log(&other_future, true)] {
                let same = train(&same);
                prop_assert_eq!(bits(&made), bits(&same));
                prop_assert_eq!(timeless(&made), timeless(&same));
            }
        }
    }

    #[test]
    fn what_cannot_be_trained_names_the_fix() {
        let train = |log: &Log, params: &TrainParams| train(log, params, &|_, _| ()).unwrap_err().to_string();
        let is = |message: String, reason: &str| assert!(message.contains(reason), "{message}");
        let act = |person, item| Interaction { person, item, ts_ms: 5, weight: 1.0 };
        let log = |acts: Vec<Interaction>| Log::new(items(), acts).unwrap();
        is(train(&Log::new(vec![], vec![]).unwrap(), &small()), "give an items table");
        is(train(&log(vec![]), &small()), "the log has no interactions; check that events name items");
        let early = log(vec![act(0, 0)]).before(978_307_200_000).before(5).up_to(978_307_200_000);
        is(train(&early, &small()), "the log has no interactions before 2001-01-01T00:00:00Z; check");
        is(train(&log(vec![act(0, 0), act(1, 1), act(1, 1)]), &small()), "no two items were taken up by one person");
        let spoilt = |spoil: fn(&mut TrainParams)| {
            let mut params = small();
            spoil(&mut params);
            params
        };
        let pair = log(vec![act(0, 0), act(0, 1)]);
        is(train(&pair, &spoilt(|params| params.embedding.dimension = 0)), "parameters of embedding: dimension");
        is(train(&pair, &spoilt(|params| params.embedding.pairs.window = 0)), "parameters of embedding: window");
        is(train(&pair, &spoilt(|params| params.co_visitation.pairs.tau_days = f64::NAN)), "co_visitation: tau_days");
        is(train(&pair, &spoilt(|params| params.co_visitation.neighbours_max = 0)), "co_visitation: neighbours_max");
        is(train(&pair, &spoilt(|params| params.content.neighbours_max = 257)), "content: neighbours_max");
        is(train(&pair, &spoilt(|params| params.popularity.half_life_days = 0.0)), "popularity: half_life_days");
        is(train(&pair, &spoilt(|params| params.index.m = 0)), "index of unit u0");
        is(train(&pair, &spoilt(|params| params.tuning.targets.recall_10 = 7.0)), "parameters of tuning: recall targets");
        is(train(&pair, &spoilt(|params| params.tuning.queries = 0)), "parameters of tuning: queries");
    }

    #[test]
    fn the_catalogue_may_bring_its_vectors() {
        let acts = || (0..60).map(|n| Interaction { person: n % 7, item: n * 5 % 24, ts_ms: 5, weight: 1.0 }).collect();
        let own = |row: u32| if row == 3 { Vec::new() } else { vec![row as f32 - 7.5, 2.0, 0.5] };
        let log = Log::new(items(), acts()).unwrap().with_embeddings((0..24).map(own)).unwrap();
        let mut params = small();
        params.embedding.source = EmbeddingSource::Catalogue;
        let made = train(&log, &params, &|_, _| ()).unwrap();
        assert_eq!((made.manifest.dimension, made.manifest.embeddings), (3, EmbeddingSource::Catalogue));
        let space = made.space("u1").unwrap();
        assert_eq!(space.rows, [1, 4, 7, 10, 13, 16, 19, 22]);
        let length = (8.5_f32 * 8.5 + 4.0 + 0.25).sqrt();
        let expected = [8.5 / length, 2.0 / length, 0.5 / length];
        let mut vector = Vec::new();
        assert!(space.vector_into(16, &mut vector) && !made.space("u0").unwrap().vector_into(3, &mut Vec::new()));
        assert!(vector.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6));

        let none = Log::new(items(), acts()).unwrap();
        let refused = train(&none, &params, &|_, _| ()).unwrap_err().to_string();
        assert!(refused.contains("none of 24 items has an embedding"), "{refused}");
        let uneven = none.with_embeddings([vec![1.0, 2.0], vec![], vec![1.0]]).unwrap_err().to_string();
        assert!(uneven.contains("item u2/2 has an embedding of 1 numbers, items before it of 2"), "{uneven}");
    }

    #[test]
    fn items_that_nobody_took_get_a_vector_if_that_is_asked_for() {
        let act = |n: u32| Interaction { person: n % 9, item: n % 9 / 3 * 6 + n * 5 % 7 % 6, ts_ms: 5, weight: 1.0 };
        let log = Log::new(items(), (0..300).map(act).collect()).unwrap();
        let titled = |row: u32| ItemAttributes { brand: format!("b{}", row % 18 / 6), ..ItemAttributes::default() };
        let log = log.with_attributes((0..24).map(titled).collect()).unwrap();
        let embedded = |cold_items: bool| {
            let mut params = small();
            params.embedding.cold_items = cold_items;
            train(&log, &params, &|_, _| ()).unwrap().manifest.counts.embedded_items
        };
        let [without, with] = [false, true].map(embedded);
        assert!(without == 18 && with > 18, "{without} {with}");
    }

    #[test]
    fn parameters_read_from_a_file_are_strict() {
        let parse = serde_json::from_str::<TrainParams>;
        assert_eq!(parse("{}").unwrap(), TrainParams::default());
        assert_eq!(parse(r#"{"embedding":{"dimension":32}}"#).unwrap().embedding.dimension, 32);
        assert!(parse(r#"{"embedding":{"dimensions":32}}"#).is_err());
        let transition = r#"{"co_visitation":{"normalisation":{"transition":{"shrink":2.0,"half_life_days":60.0}}}}"#;
        assert!(parse(transition).unwrap().check().is_ok());
    }

    #[test]
    fn progress_goes_through_the_stages_in_order() {
        let acts = (0..60).map(|n| Interaction { person: n % 7, item: n * 5 % 24, ts_ms: 5, weight: 1.0 });
        let heard = RefCell::new(Vec::new());
        let log = Log::new(items(), acts.collect()).unwrap();
        train(&log, &small(), &|stage, share| heard.borrow_mut().push((stage, share))).unwrap();
        let heard = heard.into_inner();
        let mut stages: Vec<_> = heard.iter().map(|(stage, _)| *stage).collect();
        stages.dedup();
        assert_eq!(stages, Stage::ALL);
        assert!(heard.chunk_by(|a, b| a.0 == b.0).all(|stage| stage[0].1 == 0.0), "each is told as it begins");
        assert!(heard.chunk_by(|a, b| a.0 == b.0).all(|stage| stage.is_sorted_by(|a, b| a.1 <= b.1)));
        assert!(heard.chunk_by(|a, b| a.0 == b.0).all(|stage| stage.last().is_some_and(|last| last.1 == 1.0)));
    }
}
