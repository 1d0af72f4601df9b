//! Training on prepared tables gives the generation that training on the log gives, but for rounding; tables that are not whole, or
//! were counted otherwise, are refused.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{collections::BTreeMap, fs, fs::File, path::Path, sync::Arc};

use faces_core::catalogue::ItemAttributes;
use faces_rebuild::{
    Log, NeighbourLists, Prepared, TrainParams, TrainingItem,
    cooccurrence::PairParams,
    covisitation::Normalisation,
    prepared::{
        Counting, PAIR_BITS, PREPARED_FORMAT, PREPARED_VERSION, PreparedFile, PreparedManifest, PreparedTable, TOTAL_BITS,
    },
    train, train_prepared,
    training::{AssemblyReport, Interaction},
};
use parquet::{
    data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

const DAY_MS: i64 = 86_400_000;
const HALF_LIFE_DAYS: f64 = 10.0;
const ITEMS: u32 = 14;

fn log() -> Log {
    let item = |id: u32| TrainingItem { bu: format!("u{}", id % 2), item_id: format!("i{id}") };
    let act = |n: u32| Interaction {
        person: n * n % 23,
        item: (n * 7 + n / 5) % ITEMS,
        ts_ms: 20_000 * DAY_MS + i64::from(n * 37 % 90) * DAY_MS,
        weight: [1.0, 2.0, 3.0][n as usize % 3],
    };
    let titled = |id: u32| ItemAttributes { title: format!("thing{} of sort{}", id % 3, id % 5), ..ItemAttributes::default() };
    let log = Log::new((0..ITEMS).map(item).collect(), (0..400).map(act).collect()).unwrap();
    log.with_attributes((0..ITEMS).map(titled).collect()).unwrap()
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.embedding.dimension = 4;
    params.co_visitation.normalisation = Normalisation::Transition { shrink: 2.0, half_life_days: HALF_LIFE_DAYS, damping: 0.5 };
    params
}

enum Column {
    Whole(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Text(Vec<String>),
}

impl Column {
    fn field(&self, name: &str) -> String {
        match self {
            Self::Whole(_) => format!("required int32 {name};"),
            Self::Long(_) => format!("required int64 {name};"),
            Self::Float(_) => format!("required float {name};"),
            Self::Text(_) => format!("required binary {name} (UTF8);"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Long(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }
}

fn put<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[T::T]) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
}

/// Writes a table in two row groups and says what lies there.
fn write(folder: &Path, name: &str, columns: &[(&str, Column)]) -> PreparedTable {
    let fields: String = columns.iter().map(|(name, column)| column.field(name)).collect();
    let schema = Arc::new(parse_message_type(&format!("message table {{ {fields} }}")).unwrap());
    fs::create_dir_all(folder.join(name)).unwrap();
    let file = File::create(folder.join(name).join("part.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let rows = columns[0].1.len();
    for range in [0..rows / 2, rows / 2..rows] {
        let mut group = writer.next_row_group().unwrap();
        for (_, column) in columns {
            match column {
                Column::Whole(values) => put::<Int32Type>(&mut group, &values[range.clone()]),
                Column::Long(values) => put::<Int64Type>(&mut group, &values[range.clone()]),
                Column::Float(values) => put::<FloatType>(&mut group, &values[range.clone()]),
                Column::Text(values) => {
                    let values: Vec<ByteArray> = values[range.clone()].iter().map(|text| text.as_str().into()).collect();
                    put::<ByteArrayType>(&mut group, &values);
                }
            }
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    let files = vec![PreparedFile::of(folder, &format!("{name}/part.parquet")).unwrap()];
    PreparedTable { name: name.into(), rows: rows as u64, content: String::new(), files }
}

fn days_old(log: &Log, act: &Interaction) -> f64 {
    (log.cut_off_ms() - act.ts_ms) as f64 / DAY_MS as f64
}

fn faded(log: &Log, half_life_days: f64) -> Vec<(&'static str, Column)> {
    let mut totals: BTreeMap<(u32, i32), i64> = BTreeMap::new();
    for act in log.interactions() {
        let age = days_old(log, act) / half_life_days;
        let value = f64::from(act.weight) * (f64::from(TOTAL_BITS) - age.fract()).exp2();
        *totals.entry((act.item, age.floor() as i32)).or_default() += value.round() as i64;
    }
    vec![
        ("item", Column::Whole(totals.keys().map(|(item, _)| *item as i32).collect())),
        ("octave", Column::Whole(totals.keys().map(|(_, octave)| *octave).collect())),
        ("total", Column::Long(totals.values().copied().collect())),
    ]
}

/// What one pair adds to a sum.
fn value(pairs: PairParams, between: usize, gap_days: f64, fade: f64, weights: f32) -> i64 {
    let close = (-gap_days / pairs.tau_days).exp2().max(pairs.floor);
    let value = f64::from(weights).sqrt() * close * fade * f64::from(PAIR_BITS).exp2();
    if between < pairs.window { value.round() as i64 } else { 0 }
}

/// The definition of co-occurrence, pair by pair, in whole numbers: transitions and associations.
fn pairs(log: &Log, params: &TrainParams) -> BTreeMap<(u32, u32), [i64; 2]> {
    let (acts, mut pairs) = (log.interactions(), BTreeMap::<_, [i64; 2]>::new());
    for (place, second) in acts.iter().enumerate() {
        for (between, first) in acts[..place].iter().rev().enumerate() {
            if first.person != second.person || first.item == second.item {
                continue;
            }
            let gap = (second.ts_ms - first.ts_ms) as f64 / DAY_MS as f64;
            let age = days_old(log, second) / HALF_LIFE_DAYS;
            let fade = if age < 8.0 { (-age).exp2() } else { 0.0 };
            let weights = first.weight * second.weight;
            let transition = value(params.co_visitation.pairs, between, gap, fade, weights);
            let association = value(params.embedding.pairs, between, gap, 1.0, weights);
            for pair in [(first.item, second.item), (second.item, first.item)] {
                let sums = pairs.entry(pair).or_default();
                *sums = [sums[0] + transition, sums[1] + association];
            }
        }
    }
    pairs
}

fn prepare(folder: &Path, log: &Log, params: &TrainParams) {
    let texts = |of: fn(&TrainingItem) -> &String| Column::Text(log.items().iter().map(of).cloned().collect());
    let titles = Column::Text(log.attributes().unwrap().iter().map(|of| of.title.clone()).collect());
    let pairs = pairs(log, params);
    let mut totals: BTreeMap<u32, i64> = BTreeMap::new();
    pairs.iter().for_each(|((item, _), sums)| *totals.entry(*item).or_default() += sums[1]);
    let acts = || log.interactions().iter().rev(); // in any order
    let interactions = [
        ("person", Column::Whole(acts().map(|act| act.person as i32).collect())),
        ("item", Column::Whole(acts().map(|act| act.item as i32).collect())),
        ("ts_ms", Column::Long(acts().map(|act| act.ts_ms).collect())),
        ("weight", Column::Float(acts().map(|act| act.weight).collect())),
    ];
    let contexts = [
        ("item", Column::Whole(totals.keys().map(|item| *item as i32).collect())),
        ("total", Column::Long(totals.values().copied().collect())),
    ];
    let of_pairs = [
        ("item", Column::Whole(pairs.keys().map(|(item, _)| *item as i32).collect())),
        ("other", Column::Whole(pairs.keys().map(|(_, other)| *other as i32).collect())),
        ("transitions", Column::Long(pairs.values().map(|sums| sums[0]).collect())),
        ("associations", Column::Long(pairs.values().map(|sums| sums[1]).collect())),
    ];
    let tables = vec![
        write(folder, "items", &[("item_id", texts(|item| &item.item_id)), ("bu", texts(|item| &item.bu)), ("title", titles)]),
        write(folder, "interactions", &interactions),
        write(folder, "popularity", &faded(log, params.popularity.half_life_days)),
        write(folder, "takers", &faded(log, HALF_LIFE_DAYS)),
        write(folder, "contexts", &contexts),
        write(folder, "pairs", &of_pairs),
    ];
    let manifest = PreparedManifest {
        format: PREPARED_FORMAT.into(),
        version: PREPARED_VERSION,
        counting: Counting::from(params),
        cut_off_ms: log.cut_off_ms(),
        inputs: vec![],
        report: AssemblyReport::default(),
        tables,
        seconds_by_step: vec![],
    };
    fs::write(folder.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

fn near(found: f32, wanted: f32) -> bool {
    (found - wanted).abs() <= 1e-5 * wanted.abs()
}

fn neighbours(made: &NeighbourLists) -> Vec<BTreeMap<u32, f32>> {
    (0..made.item_count() as u32).map(|item| made.neighbours(item).collect()).collect()
}

#[test]
fn training_on_prepared_tables_is_training_on_the_log() {
    let (folder, log, params) = (tempfile::tempdir().unwrap(), log(), params());
    prepare(folder.path(), &log, &params);
    let prepared = Prepared::open(folder.path()).unwrap();
    assert_eq!(prepared.log().interactions(), log.interactions());
    let found = train_prepared(&prepared, &params, &|_, _| ()).unwrap();
    let wanted = train(&log, &params, &|_, _| ()).unwrap();
    assert_eq!(found.manifest.counts, wanted.manifest.counts);
    assert!(wanted.co_visited.rows().len() > 100 && wanted.content.rows().len() > 20);
    assert_eq!(found.content, wanted.content);
    for (found, wanted) in neighbours(&found.co_visited).iter().zip(neighbours(&wanted.co_visited)) {
        assert_eq!(found.len(), wanted.len());
        assert!(wanted.iter().all(|(row, weight)| near(found[row], *weight)), "{found:?} {wanted:?}");
    }
    for (found, wanted) in found.popular.units().iter().zip(wanted.popular.units()) {
        assert_eq!((&found.bu, found.rows.len()), (&wanted.bu, wanted.rows.len()));
        assert!(found.scores.iter().zip(&wanted.scores).all(|(found, wanted)| near(*found, *wanted)));
    }
    let mut vectors = [Vec::new(), Vec::new()];
    for row in 0..ITEMS {
        let bu = &log.items()[row as usize].bu;
        for (made, vector) in [&found, &wanted].into_iter().zip(&mut vectors) {
            assert!(made.space(bu).unwrap().vector_into(row, vector));
        }
        let cosine: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "item {row} points elsewhere: {vectors:?}");
    }
}

#[test]
fn tables_that_are_not_whole_or_counted_otherwise_are_refused() {
    let (folder, log, params) = (tempfile::tempdir().unwrap(), log(), params());
    prepare(folder.path(), &log, &params);
    let mut other = params.clone();
    other.co_visitation.pairs.window = 3;
    let refused = train_prepared(&Prepared::open(folder.path()).unwrap(), &other, &|_, _| ()).unwrap_err().to_string();
    assert!(refused.contains("counted with other parameters"), "{refused}");

    let pairs = folder.path().join("pairs/part.parquet");
    let mut bytes = fs::read(&pairs).unwrap();
    bytes[100] ^= 1;
    fs::write(&pairs, &bytes).unwrap();
    let refused = Prepared::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("pairs/part.parquet is not as it was written"), "{refused}");
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let refused = Prepared::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("manifest.json; prepare the tables again"), "{refused}");
}
