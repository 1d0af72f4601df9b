//! A log as an archive of topics has it: Parquet by topic and day, people with tastes and steady habits, of any size. Every day is a
//! function of the size and its number alone.

use std::{
    fs::{File, create_dir_all},
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter, writer::SerializedRowGroupWriter},
    schema::parser::parse_message_type,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::SEED;

/// Business units; a topic each.
pub const UNITS: [&str; 4] = ["market", "food", "video", "books"];
const FIRST_DAY_MS: i64 = 1_767_225_600_000; // 2026-01-01
const DAY_MS: i64 = 86_400_000;
const ITEMS_A_TASTE: u64 = 100;
const TASTES_A_PERSON: u64 = 3;
const SCHEMA: &str = "message event { required int64 ts_ms; required binary bu (UTF8); required binary local_user_id (UTF8);
    required binary item_id (UTF8); required binary event_type (UTF8); optional double value; }";

/// How large a log is.
#[derive(Clone, Copy, Debug)]
pub struct LogSize {
    /// Events in all.
    pub events: u64,
    /// People; one of ten has linked accounts in all units, the others one account.
    pub people: u64,
    /// Items of all units.
    pub items: u64,
    /// Days over which events are spread.
    pub days: u64,
}

struct Columns {
    times: Vec<i64>,
    users: Vec<ByteArray>,
    items: Vec<ByteArray>,
    types: Vec<ByteArray>,
    values: Vec<f64>,
    has_value: Vec<i16>,
}

/// Writes `events/<topic>/day=…/….parquet`, `items.csv` and `links.csv` below a folder.
///
/// # Errors
/// What writing says.
pub fn write(size: &LogSize, root: &Path, mut progress: impl FnMut(u64)) -> Result<(), ParquetError> {
    create_dir_all(root)?;
    write_items(size, root)?;
    write_links(size, root)?;
    for day in 0..size.days {
        write_day(size, day, root)?;
        progress(day + 1);
    }
    Ok(())
}

fn write_items(size: &LogSize, root: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(root.join("items.csv"))?);
    writeln!(file, "item_id,bu,title,category,price")?;
    for item in 0..size.items {
        let (unit, taste) = (UNITS[(item % 4) as usize], item / ITEMS_A_TASTE);
        writeln!(file, "i{item},{unit},Item {item},shelf {}|taste {taste},{}.5", taste % 50, 1 + item % 300)?;
    }
    file.flush()
}

fn write_links(size: &LogSize, root: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(root.join("links.csv"))?);
    writeln!(file, "ts_ms,bu_a,local_user_a,bu_b,local_user_b")?;
    for person in (0..size.people).step_by(10) {
        for unit in &UNITS[1..] {
            writeln!(file, "{FIRST_DAY_MS},{},p{person},{unit},p{person}", UNITS[0])?;
        }
    }
    file.flush()
}

fn write_day(size: &LogSize, day: u64, root: &Path) -> Result<(), ParquetError> {
    let first = day * size.events / size.days;
    let events = (day + 1) * size.events / size.days - first;
    let mut random = ChaCha8Rng::seed_from_u64(SEED ^ (day << 20));
    let empty = || Columns { times: vec![], users: vec![], items: vec![], types: vec![], values: vec![], has_value: vec![] };
    let mut topics: Vec<Columns> = (0..UNITS.len()).map(|_| empty()).collect();
    for n in 0..events {
        let person = skewed(&mut random, size.people, 1.5);
        let item = item_of(size, person, &mut random);
        let kind = random.next_u32() % 100;
        let (kind, value) = match kind {
            0..2 => ("impression", None),
            2..5 => ("favourite", None),
            5..15 => ("cart", None),
            15..25 => ("purchase", Some((1 + item % 300) as f64 + 0.5)),
            _ => ("view", None),
        };
        let Some(topic) = topics.get_mut((item % 4) as usize) else { continue };
        topic.times.push(FIRST_DAY_MS + day as i64 * DAY_MS + (n as i64 * DAY_MS) / events as i64);
        topic.users.push(format!("p{person}").into_bytes().into());
        topic.items.push(format!("i{item}").into_bytes().into());
        topic.types.push(ByteArray::from(kind));
        topic.has_value.push(i16::from(value.is_some()));
        topic.values.extend(value);
    }
    for (unit, columns) in UNITS.iter().zip(topics) {
        let topic = format!("faces.events.{unit}");
        let folder = root.join("events").join(&topic).join(format!("day={}", date(day)));
        create_dir_all(&folder)?;
        write_file(unit, columns, &folder.join(format!("{topic}-0-{first}.parquet")))?;
    }
    Ok(())
}

/// People keep to a few tastes of theirs and to the head of each, and now and then take what everybody does.
fn item_of(size: &LogSize, person: u64, random: &mut ChaCha8Rng) -> u64 {
    let item = if random.next_u32() % 100 < 10 {
        skewed(random, size.items, 4.0)
    } else {
        let tastes = (size.items / ITEMS_A_TASTE).max(1);
        let taste = hashed(person * TASTES_A_PERSON + u64::from(random.next_u32()) % TASTES_A_PERSON) % tastes;
        taste * ITEMS_A_TASTE + skewed(random, ITEMS_A_TASTE, 2.0)
    };
    // Without linked accounts one has one unit.
    let unit = if person.is_multiple_of(10) { item % 4 } else { person % 4 };
    (item - item % 4 + unit).min(size.items - 4 + unit)
}

/// A number below `end`, small ones more often the higher the power.
fn skewed(random: &mut ChaCha8Rng, end: u64, power: f64) -> u64 {
    let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (uniform.powf(power) * end as f64) as u64
}

fn hashed(value: u64) -> u64 {
    let mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 17
}

fn date(day: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(FIRST_DAY_MS + day as i64 * DAY_MS).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d").to_string()
}

fn write_file(unit: &str, columns: Columns, path: &Path) -> Result<(), ParquetError> {
    let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(File::create(path)?, schema, properties)?;
    let mut group = writer.next_row_group()?;
    let units = vec![ByteArray::from(unit); columns.times.len()];
    write_column::<Int64Type>(&mut group, &columns.times, None)?;
    write_column::<ByteArrayType>(&mut group, &units, None)?;
    write_column::<ByteArrayType>(&mut group, &columns.users, None)?;
    write_column::<ByteArrayType>(&mut group, &columns.items, None)?;
    write_column::<ByteArrayType>(&mut group, &columns.types, None)?;
    write_column::<DoubleType>(&mut group, &columns.values, Some(&columns.has_value))?;
    group.close()?;
    writer.close().map(drop)
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has fewer columns".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
