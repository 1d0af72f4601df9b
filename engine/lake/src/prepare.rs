//! The steps from a lake to prepared tables, one after another.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use datafusion::arrow::{
    array::AsArray as _,
    compute::cast,
    datatypes::{DataType, Int64Type},
    record_batch::RecordBatch,
};
use faces_rebuild::{
    covisitation::Normalisation,
    generation::Input,
    prepared::{Counting, PREPARED_FORMAT, PREPARED_VERSION, PreparedManifest, PreparedTable, faded_totals},
    tables::{ItemRow, TS_MS_MAX, TS_MS_MIN},
    training::{AssemblyReport, LinkedAccounts, weights::training_weight},
};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use crate::{
    LakeError, Session, items, persons,
    persons::Persons,
    queries::{self, Share, Weights},
    sources::{Source, SourceFile},
    steps::{Made, Steps},
    survey::{NEVER_MISSING, Survey, survey},
};

/// What a pair costs while it is added up, in bytes: its key, sums and the hash table, which doubles as it grows. Pairs are counted as often as
/// they occur when shares are cut, so a share mostly takes less than this; where it takes more than there is, it spills.
const PAIR_BYTES: u64 = 56;
/// What training takes for an event whose pairs it counts, in bytes: 3.2 to 4.9 GB in all at 20 M events (benches/RESULTS.md).
pub const TRAINED_EVENT_BYTES: u64 = 200;
/// How far ahead of now an event may be dated, in milliseconds: as servers have it by default.
const FUTURE_TOLERANCE_MS: i64 = 300_000;
/// Raised with what steps hand each other, so that a run does not go on from those of another build that made them otherwise.
const STEPS_VERSION: u32 = 6;
/// Shares of pairs at most.
const SHARES_MAX: u64 = 1_024;

/// What is to be prepared, and from what.
#[derive(Debug, Clone)]
pub struct Request {
    /// Events: a path, a folder, a pattern or a URL of Parquet files.
    pub events: String,
    /// Items, likewise; CSV too.
    pub items: String,
    /// Links, likewise; without them every account is a person of its own.
    pub links: Option<String>,
    /// Only what happened before this time, in milliseconds since 1970. Without it what is dated later than now is left out: what a wrong
    /// clock said must not decide what is recent.
    pub until_ms: Option<i64>,
    /// What is counted.
    pub counting: Counting,
    /// Where the tables go.
    pub out: PathBuf,
    /// Whether steps that are there are kept.
    pub resumes: bool,
    /// Memory for the sums of pairs: they are made in as many shares as this asks for.
    pub pairs_bytes: u64,
    /// Memory of training. Pairs, and what fades, are left to it where they fit ([`TRAINED_EVENT_BYTES`] each event); 0: never.
    pub training_bytes: u64,
}

/// What was found of event types.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Types {
    /// Type, whether at or after the cut-off, events.
    counts: Vec<(String, bool, u64)>,
}

/// Prepares tables. The folder holds a manifest when all of it is there, and never before.
///
/// # Errors
/// [`LakeError`]; steps that were made stay, for a run that resumes.
pub async fn prepare(session: &Session, request: &Request, bar: &ProgressBar) -> Result<PreparedManifest, LakeError> {
    let events = Source::find(&request.events).await?;
    let item_files = Source::find(&request.items).await?;
    let link_files = match &request.links {
        Some(links) => Some(Source::find(links).await?),
        None => None,
    };
    let surveyed = survey(&events).await?;
    let counts_pairs = surveyed.rows.iter().sum::<u64>() > request.training_bytes / TRAINED_EVENT_BYTES;
    let asked = fingerprint(request, [Some(&events), Some(&item_files), link_files.as_ref()], counts_pairs);
    let steps = Steps::open(&request.out, &asked, request.resumes, bar.clone())?;
    let until_ms = match request.until_ms {
        Some(until_ms) => until_ms,
        None => until_about_now(&steps)?,
    };
    let job = Job { session, request, until_ms, steps, bar };

    // A manifest of before must not stand over steps that are made anew.
    let manifest_path = request.out.join("manifest.json");
    if manifest_path.exists() {
        std::fs::remove_file(&manifest_path).map_err(LakeError::io("remove", &manifest_path))?;
    }
    job.settle_doubts(&events, &surveyed).await?;
    let mut tables: Vec<(&str, Vec<Made>)> = Vec::new();

    let (item_rows, rows_of_items) = items::read(&item_files, &job.temporary()?).await?;
    let made = job.steps.step("items", async |folder| items::write(&item_rows, folder)).await?;
    job.session.register_files("items", job.steps.files(&made), None).await?;
    tables.push(("items", vec![made]));
    let (link_rows, rows_of_links) = match &link_files {
        Some(source) => items::read_all_links(source, &job.temporary()?).await?,
        None => Default::default(),
    };
    let made = job.steps.step("links", async |folder| items::write_links(&link_rows, folder)).await?;
    tables.push(("links", vec![made]));
    let linked = LinkedAccounts::read(link_rows.into_iter().map(Ok), Some(until_ms))?;

    job.register_events(&surveyed.urls, &surveyed).await?;
    let counted = job.count(&linked, &surveyed, item_rows.len() as u64).await;
    let Counted { weights, report, cut_off_ms } = match counted {
        Err(error @ LakeError::Sql { .. }) => return Err(first_broken(&events, &surveyed).await.unwrap_or(error)),
        counted => counted?,
    };
    let interactions = job.sql("interactions", queries::interactions(&weights, job.until_ms, counts_pairs), false).await?;
    if request.counting.examples_max > 0 {
        tables.extend(job.replay(&weights, cut_off_ms).await?);
    }
    job.steps.drop_files("persons")?;
    job.session.register_files("interactions", job.steps.files(&interactions), None).await?;
    tables.push(("interactions", vec![interactions]));
    if counts_pairs {
        let popular = job.sql("popularity", queries::popular(&request.counting, cut_off_ms), false).await?;
        let takers = job.sql("takers", queries::takers(&request.counting, cut_off_ms), false).await?;
        job.lifts(&takers, &item_rows, &report).await?;
        let (contexts, pairs) = job.pairs(cut_off_ms).await?;
        tables.extend([("popularity", vec![popular]), ("takers", vec![takers]), ("contexts", contexts), ("pairs", pairs)]);
    }

    let rows = [(Some(&events), &surveyed.rows), (Some(&item_files), &rows_of_items), (link_files.as_ref(), &rows_of_links)];
    let with_rows = |(source, rows): (Option<&Source>, &Vec<u64>)| {
        let files = source.map(|source| source.files.clone()).unwrap_or_default();
        files.into_iter().zip(rows.clone()).collect::<Vec<_>>()
    };
    let inputs = rows.into_iter().flat_map(with_rows);
    let inputs = inputs.map(|(file, rows)| Input { name: file.name, bytes: file.bytes, rows }).collect();
    let seconds = |(name, made): &(&str, Vec<Made>)| ((*name).to_owned(), made.iter().map(|made| made.seconds).sum());
    let mut seconds_by_step: Vec<(String, f64)> = tables.iter().map(seconds).collect();
    seconds_by_step.extend(job.hidden_seconds()?);
    let manifest = PreparedManifest {
        format: PREPARED_FORMAT.into(),
        version: PREPARED_VERSION,
        counting: request.counting.clone(),
        cut_off_ms,
        inputs,
        report,
        tables: tables.into_iter().map(|(name, made)| table(name, made)).collect(),
        seconds_by_step,
    };
    job.steps.write_json("manifest.json", &manifest)?;
    bar.finish_and_clear();
    Ok(manifest)
}

/// What the counts of events came to.
struct Counted {
    weights: Weights,
    report: AssemblyReport,
    cut_off_ms: i64,
}

struct Job<'a> {
    session: &'a Session,
    request: &'a Request,
    until_ms: i64,
    steps: Steps,
    bar: &'a ProgressBar,
}

impl Job<'_> {
    /// A folder for what is read once.
    fn temporary(&self) -> Result<PathBuf, LakeError> {
        let path = self.steps.path("fetched");
        std::fs::create_dir_all(&path).map_err(LakeError::io("make the folder", &path))?;
        Ok(path)
    }

    async fn sql(&self, step: &str, sql: String, is_ordered: bool) -> Result<Made, LakeError> {
        self.steps.step(step, async |folder| self.session.write(step, &sql, folder, is_ordered).await).await
    }

    async fn register_events(&self, urls: &[String], surveyed: &Survey) -> Result<(), LakeError> {
        let type_of = |name: &str| surveyed.schema.field_with_name(name).map(|field| field.data_type().clone()).ok();
        let has_times = matches!(type_of("ts_ms"), Some(DataType::Timestamp(..)));
        if urls.is_empty() {
            return Err(LakeError::NoInteractions { events: 0, given: self.request.events.clone() });
        }
        self.session.register_files("files", urls.to_vec(), Some(&surveyed.schema)).await?;
        self.session.register_view("events", &queries::events(has_times, type_of("value").is_some())).await
    }

    /// Looks into the files whose footers leave something open.
    async fn settle_doubts(&self, source: &Source, surveyed: &Survey) -> Result<(), LakeError> {
        for file in surveyed.unsure.iter().filter_map(|place| source.files.get(*place)) {
            self.register_events(std::slice::from_ref(&file.url), surveyed).await?;
            let found = self.session.collect("survey", &queries::doubts()).await;
            let found = match found {
                Err(LakeError::Sql { source, .. }) => {
                    return Err(LakeError::Broken { file: file.name.clone(), reason: source.to_string() });
                }
                found => found?,
            };
            let value = |name: &str| numbers(&found, name).first().copied();
            for column in NEVER_MISSING {
                if let Some(missing) = value(column).filter(|missing| *missing > 0) {
                    let reason = format!("{missing} values are missing; drop these rows or fill them in");
                    return Err(LakeError::Column { file: file.name.clone(), column: column.into(), reason });
                }
            }
            let ends = [value("oldest"), value("newest")].into_iter().flatten();
            if let Some(found) = ends.into_iter().find(|end| !(TS_MS_MIN..=TS_MS_MAX).contains(end)) {
                return Err(LakeError::Time { file: file.name.clone(), found });
            }
        }
        Ok(())
    }

    /// Counts events by what becomes of them, and numbers persons.
    async fn count(&self, linked: &LinkedAccounts, surveyed: &Survey, items_read: u64) -> Result<Counted, LakeError> {
        let types: Types = match self.steps.read_json("types.json")? {
            Some(types) => types,
            None => {
                let found = self.session.collect("types", &queries::types(self.until_ms)).await?;
                let counts = numbers(&found, "is_late").into_iter().zip(numbers(&found, "events"));
                let counts = texts(&found, "event_type").into_iter().zip(counts);
                let types = Types { counts: counts.map(|(name, (late, events))| (name, late > 0, events as u64)).collect() };
                self.steps.write_json("types.json", &types)?;
                types
            }
        };
        let mut report = AssemblyReport {
            items_read,
            events_read: surveyed.rows.iter().sum(),
            links_read: linked.links_read(),
            links_left_out: linked.links_left_out(),
            ..AssemblyReport::default()
        };
        let (mut weights, mut weighted) = (Weights::default(), 0);
        let mut counts = types.counts;
        counts.sort_unstable();
        for (name, is_late, events) in counts {
            match training_weight(&name).filter(|weight| *weight > 0.0) {
                _ if is_late => report.after_cut_off += events,
                Some(weight) => {
                    weights.0.push((name, weight));
                    weighted += events;
                }
                None => report.count_unweighted(name, events),
            }
        }
        let is_needed = self.request.counting.examples_max > 0 && self.steps.made("events")?.is_none();
        let is_needed = is_needed || self.steps.made("interactions")?.is_none();
        let persons: Persons = match self.steps.read_json("persons-found.json")? {
            Some(persons) if !is_needed => persons,
            _ => {
                let accounts = self.sql("accounts", queries::accounts(&weights, self.until_ms), false).await?;
                let accounts = self.steps.files(&accounts);
                let found = self.steps.step("persons", async |folder| {
                    let persons = persons::number(&accounts, linked, folder)?;
                    self.steps.write_json("persons-found.json", &persons)
                });
                let made = found.await?;
                self.session.register_files("persons", self.steps.files(&made), None).await?;
                self.steps.drop_files("accounts")?;
                self.steps.read_json("persons-found.json")?.unwrap_or_default()
            }
        };
        report.interactions = persons.interactions;
        report.of_bad_account = persons.refused;
        report.of_unknown_item = weighted - persons.interactions - persons.refused;
        if persons.interactions == 0 {
            return Err(LakeError::NoInteractions { events: report.events_read, given: self.request.events.clone() });
        }
        let cut_off_ms = self.request.until_ms.unwrap_or(persons.newest_ms.saturating_add(1));
        Ok(Counted { weights, report, cut_off_ms })
    }

    /// What the caps of transitions go by, by item.
    async fn lifts(&self, takers: &Made, items: &[ItemRow], report: &AssemblyReport) -> Result<(), LakeError> {
        let made = self.steps.step("lifts", async |folder| {
            let weight = "SELECT SUM(CAST(weight AS DOUBLE)) AS weight FROM interactions"; // whole numbers: exact
            let weight = self.session.collect("lifts", weight).await?;
            let mean_weight = doubles(&weight, "weight").first().copied().unwrap_or(1.0) / report.interactions as f64;
            let files: Vec<PathBuf> = self.steps.files(takers).into_iter().map(PathBuf::from).collect();
            let takers = faded_totals(&files, items.len(), mean_weight)?;
            let (shrink, damping) = match self.request.counting.co_visitation.normalisation {
                Normalisation::Symmetric { shrink } => (shrink, 0.5),
                Normalisation::Transition { shrink, damping, .. } => (shrink, damping),
            };
            let lifts = takers.into_iter().map(|takers| (takers + shrink).powf(-damping)).collect();
            items::write_lifts(lifts, items, folder)
        });
        let made = made.await?;
        self.session.register_files("lifts", self.steps.files(&made), None).await
    }

    /// Pairs, a share of the items at a time, so that the sums of a share fit in memory.
    async fn pairs(&self, cut_off_ms: i64) -> Result<(Vec<Made>, Vec<Made>), LakeError> {
        let counting = &self.request.counting;
        let shares = self.shares().await?;
        let (mut contexts, mut pairs) = (Vec::new(), Vec::new());
        self.bar.set_length(12 + shares.len() as u64);
        for (n, share) in shares.into_iter().enumerate() {
            let names = [format!("sums-{n:04}"), format!("contexts-{n:04}"), format!("pairs-{n:04}")];
            let [of_sums, of_contexts, of_pairs] = &names;
            if let (Some(totals), Some(capped)) = (self.steps.made(of_contexts)?, self.steps.made(of_pairs)?) {
                contexts.push(totals);
                pairs.push(capped);
                self.bar.inc(1);
                continue;
            }
            let sums = self.sql(of_sums, queries::sums(counting, cut_off_ms, &share), false).await?;
            self.session.register_files("sums", self.steps.files(&sums), None).await?;
            let totals = self.sql(of_contexts, queries::contexts(), false).await?;
            self.session.register_files("contexts", self.steps.files(&totals), None).await?;
            contexts.push(totals);
            if !share.is_capped || !self.has_crowded().await? {
                pairs.push(sums);
                continue;
            }
            let mut capped = self.sql(of_pairs, queries::pairs(counting), false).await?;
            capped.seconds += sums.seconds;
            self.steps.drop_files(of_sums)?;
            pairs.push(capped);
        }
        self.steps.drop_files("loads")?;
        Ok((contexts, pairs))
    }

    /// What is made at one time: first the items whose pairs are capped, then the others.
    async fn shares(&self) -> Result<Vec<Share>, LakeError> {
        let counting = &self.request.counting;
        let loads = self.sql("loads", queries::loads(counting), false).await?;
        self.session.register_files("loads", self.steps.files(&loads), None).await?;
        if let Some(shares) = self.steps.read_json("shares.json")? {
            return Ok(shares);
        }
        let mut shares = Vec::new();
        for is_capped in [true, false] {
            let loads = self.session.collect("loads", &queries::loads_of(counting, is_capped)).await?;
            let loads: Vec<(i64, i64)> = numbers(&loads, "item").into_iter().zip(numbers(&loads, "pairs")).collect();
            if !(is_capped && loads.is_empty()) {
                let bounds = bounds(&loads, (self.request.pairs_bytes / PAIR_BYTES).max(1));
                shares.extend(bounds.into_iter().map(|(first, end)| Share { first, end, is_capped }));
            }
        }
        self.steps.write_json("shares.json", &shares)?;
        Ok(shares)
    }

    async fn has_crowded(&self) -> Result<bool, LakeError> {
        let crowded = self.session.collect("crowded", &queries::crowded(&self.request.counting)).await?;
        Ok(numbers(&crowded, "items").first().is_some_and(|items| *items > 0))
    }

    /// The latest moments, which examples are taken from, and the events that are gone through for them.
    async fn replay(&self, weights: &Weights, cut_off_ms: i64) -> Result<[(&'static str, Vec<Made>); 2], LakeError> {
        self.session.register_view("told", &queries::told(cut_off_ms)).await?;
        let by_hour = self.session.collect("hours", &queries::hours()).await?;
        let by_hour: Vec<(i64, i64)> = numbers(&by_hour, "hour").into_iter().zip(numbers(&by_hour, "events")).collect();
        let events = by_hour.iter().map(|(_, events)| *events as u64).sum();
        let from_ms = self.moments_from(weights, events).await?;
        let moments = self.sql("moments", queries::moments(weights, from_ms), true).await?;
        self.session.register_files("moments", self.steps.files(&moments), None).await?;
        let whole_from_ms = whole_from(by_hour, self.request.counting.replayed_max);
        let events = self.sql("events", queries::replay(whole_from_ms), true).await?;
        Ok([("events", vec![events]), ("moments", vec![moments])])
    }

    /// From when on the latest moments are that examples may be taken from.
    async fn moments_from(&self, weights: &Weights, events: u64) -> Result<i64, LakeError> {
        let wanted = self.request.counting.examples_max;
        let mut looked_at = wanted.saturating_mul(4);
        loop {
            let found = self.session.collect("moments", &queries::late(weights, looked_at)).await?;
            let from_ms = numbers(&found, "ts_ms").first().copied().unwrap_or(i64::MIN);
            let found = self.session.collect("moments", &queries::moment_count(weights, from_ms)).await?;
            let moments = numbers(&found, "moments").first().copied().unwrap_or(0);
            if moments >= i64::try_from(wanted).unwrap_or(i64::MAX) || looked_at as u64 >= events {
                return Ok(from_ms);
            }
            looked_at = looked_at.saturating_mul(4);
        }
    }

    /// How long the steps took whose output is no table of its own.
    fn hidden_seconds(&self) -> Result<Vec<(String, f64)>, LakeError> {
        let mut hidden = Vec::new();
        for name in ["accounts", "persons", "lifts"] {
            let made: Option<Made> = self.steps.read_json(&format!("{name}.json"))?;
            hidden.extend(made.map(|made| (name.to_owned(), made.seconds)));
        }
        Ok(hidden)
    }
}

/// Ranges of items, each with about as many pairs as `pairs_max` at most.
fn bounds(loads: &[(i64, i64)], pairs_max: u64) -> Vec<(u32, u32)> {
    let loads: Vec<(u32, u64)> = loads.iter().map(|(item, pairs)| (*item as u32, *pairs as u64)).collect();
    let total: u64 = loads.iter().map(|(_, pairs)| pairs).sum();
    let count = (total / pairs_max + 1).min(SHARES_MAX);
    let (mut bounds, mut first, mut sum) = (Vec::new(), 0, 0);
    for (item, pairs) in loads {
        // The end of a share lies where the sum of all before passes its part of the whole, so that none is left over at the end.
        if item > first && sum * count >= total * (bounds.len() as u64 + 1) {
            bounds.push((first, item));
            first = item;
        }
        sum += pairs;
    }
    bounds.push((first, i32::MAX as u32));
    bounds
}

/// The hour from which on the latest `events_max` events happened; `None` where that is all of them.
fn whole_from(mut by_hour: Vec<(i64, i64)>, events_max: usize) -> Option<i64> {
    by_hour.sort_unstable_by(|left, right| right.cmp(left));
    let mut sum = 0;
    let last = by_hour.iter().position(|(_, events)| {
        sum += *events as u64;
        sum >= events_max as u64
    })?;
    let is_part = last + 1 < by_hour.len();
    by_hour.get(last).filter(|_| is_part).map(|(hour, _)| hour * queries::HOUR_MS)
}

fn table(name: &str, made: Vec<Made>) -> PreparedTable {
    // The content of several steps is the sum of theirs, as that of a step's files is.
    let content = made.iter().filter_map(|made| u64::from_str_radix(&made.content, 16).ok()).fold(0, u64::wrapping_add);
    PreparedTable {
        name: name.into(),
        rows: made.iter().map(|made| made.rows).sum(),
        content: format!("{content:016x}"),
        files: made.into_iter().flat_map(|made| made.files).collect(),
    }
}

/// The end of what may have happened by now; the same for a run that resumes as for the one that began.
fn until_about_now(steps: &Steps) -> Result<i64, LakeError> {
    const NAME: &str = "until.json";
    if let Some(until_ms) = steps.read_json(NAME)? {
        return Ok(until_ms);
    }
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let until_ms = now_ms.saturating_add(FUTURE_TOLERANCE_MS);
    steps.write_json(NAME, &until_ms)?;
    Ok(until_ms)
}

/// Everything that the steps' output hangs on.
fn fingerprint(request: &Request, sources: [Option<&Source>; 3], counts_pairs: bool) -> String {
    let file = |file: &SourceFile| format!("{} {} {}", file.url, file.bytes, file.mark);
    let sources = sources.map(|source| source.map(|source| source.files.iter().map(file).collect::<Vec<_>>()));
    let [events, items, links] = sources;
    let object = serde_json::json!({
        "events": events, "items": items, "links": links, "until_ms": request.until_ms, "counting": request.counting,
        "counts_pairs": counts_pairs, "version": PREPARED_VERSION, "steps": STEPS_VERSION,
    });
    format!("{object:#}\n")
}

/// Which file SQL stumbled over, by reading each by itself.
async fn first_broken(source: &Source, surveyed: &Survey) -> Option<LakeError> {
    for (file, rows) in source.files.iter().zip(&surveyed.rows) {
        if let Err(reason) = crate::survey::read_whole(source, file, *rows).await {
            return Some(LakeError::Broken { file: file.name.clone(), reason });
        }
    }
    None
}

fn numbers(batches: &[RecordBatch], name: &str) -> Vec<i64> {
    let columns = batches.iter().filter_map(|batch| cast(batch.column_by_name(name)?, &DataType::Int64).ok());
    columns.flat_map(|column| column.as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>()).collect()
}

fn doubles(batches: &[RecordBatch], name: &str) -> Vec<f64> {
    let columns = batches.iter().filter_map(|batch| cast(batch.column_by_name(name)?, &DataType::Float64).ok());
    let values = |column: datafusion::arrow::array::ArrayRef| {
        column.as_primitive::<datafusion::arrow::datatypes::Float64Type>().iter().flatten().collect::<Vec<_>>()
    };
    columns.flat_map(values).collect()
}

fn texts(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let columns = batches.iter().filter_map(|batch| cast(batch.column_by_name(name)?, &DataType::Utf8View).ok());
    columns
        .flat_map(|column| column.as_string_view().iter().map(|text| text.unwrap_or("").to_owned()).collect::<Vec<_>>())
        .collect()
}
