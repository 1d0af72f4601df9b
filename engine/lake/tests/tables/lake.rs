//! Small lakes to prepare tables from.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, Int64Array, StringArray},
        record_batch::RecordBatch,
    },
    parquet::arrow::ArrowWriter,
};
use faces_lake::{LakeError, Limits, Request, Session, prepare};
use faces_rebuild::{TrainParams, prepared::PreparedManifest, tables::EventRow};
use indicatif::ProgressBar;
use tempfile::TempDir;

/// When the first event of [`Lake::of_one_day`] happened.
pub const START_MS: i64 = 1_767_225_600_000;

/// A folder with events by day, items and links.
pub struct Lake {
    pub root: TempDir,
}

pub fn event(ts_ms: i64, bu: &str, user: &str, item_id: &str, event_type: &str) -> EventRow {
    let [bu, local_user_id, item_id, event_type] = [bu, user, item_id, event_type].map(String::from);
    EventRow { ts_ms, bu, local_user_id, item_id, event_type, value: None, currency: None }
}

impl Lake {
    /// `items` and `links` are lines of CSV without a header.
    pub fn new(items: &[&str], links: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let csv = |header: &str, lines: &[&str]| format!("{header}\n{}\n", lines.join("\n"));
        fs::write(root.path().join("items.csv"), csv("item_id,bu", items)).unwrap();
        fs::write(root.path().join("links.csv"), csv("ts_ms,bu_a,local_user_a,bu_b,local_user_b", links)).unwrap();
        fs::create_dir(root.path().join("events")).unwrap();
        Self { root }
    }

    /// 300 events of 17 people on 12 items.
    pub fn of_one_day() -> Self {
        let items: Vec<String> = (0..12).map(|n| format!("i{n},shop")).collect();
        let lake = Self::new(&items.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let event = |n: i64| event(START_MS + n, "shop", &format!("u{}", n % 17), &format!("i{}", n * n % 12), "view");
        lake.write_day(1, &(0..300).map(event).collect::<Vec<_>>());
        lake
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where the file of a day lies.
    pub fn day(&self, day: u32) -> PathBuf {
        self.path(&format!("events/day=2026-01-{day:02}/faces.events.shop-0-{day}.parquet"))
    }

    pub fn write_day(&self, day: u32, rows: &[EventRow]) {
        let text =
            |of: fn(&EventRow) -> &str| Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>()) as ArrayRef;
        write(
            &self.day(day),
            vec![
                ("ts_ms", Arc::new(rows.iter().map(|row| row.ts_ms).collect::<Int64Array>())),
                ("bu", text(|row| &row.bu)),
                ("local_user_id", text(|row| &row.local_user_id)),
                ("item_id", text(|row| &row.item_id)),
                ("event_type", text(|row| &row.event_type)),
                ("value", Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>())),
            ],
        );
    }

    pub fn request(&self, params: &TrainParams) -> Request {
        let text = |name: &str| self.path(name).display().to_string();
        Request {
            events: text("events"),
            items: text("items.csv"),
            links: Some(text("links.csv")),
            until_ms: None,
            counting: params.into(),
            out: self.path("prepared"),
            resumes: false,
            pairs_bytes: 1 << 20,
            training_bytes: 0,
        }
    }

    pub fn prepare(&self, request: &Request) -> Result<PreparedManifest, LakeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(8 << 20).enable_all().build().unwrap();
        let limits = Limits { memory_bytes: 256 << 20, spill: self.path("spill"), threads: 2 };
        runtime.block_on(async { prepare(&Session::local(&limits)?, request, &ProgressBar::hidden()).await })
    }
}

/// Name, rows and checksum of each table.
pub fn contents(manifest: &PreparedManifest) -> Vec<(String, u64, String)> {
    manifest.tables.iter().map(|table| (table.name.clone(), table.rows, table.content.clone())).collect()
}

pub fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
