//! Items and links: read by the rules of tables, checked, and written as SQL and training read them.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    path::Path,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float32Builder, Float64Array, Int32Array, Int64Array, ListBuilder, StringArray},
        record_batch::RecordBatch,
    },
    parquet::arrow::ArrowWriter,
};
use faces_rebuild::tables::{ItemRow, LinkRow, SOLD_OUT, newest, read_items, read_links};

use crate::{LakeError, sources::Source};

/// Items of all files, in the order of files and rows, with the rows of each file.
///
/// # Errors
/// A bad row, or an item that is there twice.
pub(crate) async fn read(source: &Source, folder: &Path) -> Result<(Vec<ItemRow>, Vec<u64>), LakeError> {
    let (mut items, mut rows): (Vec<ItemRow>, Vec<u64>) = (Vec::new(), Vec::new());
    for file in &source.files {
        let before = items.len();
        for item in read_items(source.local_copy(file, folder).await?)? {
            items.push(item?);
        }
        rows.push((items.len() - before) as u64);
    }
    let items = newest(items); // rows of changes that no longer stand are no repeats
    let mut first_place: HashMap<(&str, &str), usize> = HashMap::with_capacity(items.len());
    for (place, ItemRow { bu, item_id, .. }) in items.iter().enumerate() {
        if let Some(first) = first_place.insert((bu, item_id), place) {
            let (first, second) = (place_of(first, &rows, source), place_of(place, &rows, source));
            return Err(LakeError::RepeatedItem { bu: bu.clone(), item_id: item_id.clone(), first, second });
        }
    }
    drop(first_place);
    Ok((items, rows))
}

fn place_of(mut place: usize, rows: &[u64], source: &Source) -> String {
    for (file, rows) in source.files.iter().zip(rows) {
        let rows = usize::try_from(*rows).unwrap_or(usize::MAX);
        if place < rows {
            return format!("{}, row {}", file.name, place + 1);
        }
        place -= rows;
    }
    source.given.clone()
}

/// Writes items with their rows and the numbers of their units.
pub(crate) fn write(items: &[ItemRow], folder: &Path) -> Result<(), LakeError> {
    let units: Vec<&str> = items.iter().map(|item| item.bu.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let unit = |item: &ItemRow| units.binary_search(&item.bu.as_str()).unwrap_or(0) as i32;
    let mut embeddings = ListBuilder::new(Float32Builder::new());
    for item in items {
        embeddings.values().append_slice(&item.embedding);
        embeddings.append(!item.embedding.is_empty());
    }
    let text = |of: fn(&ItemRow) -> Option<String>| Arc::new(items.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let columns: [(&str, ArrayRef); 13] = [
        ("item", Arc::new((0..items.len() as i32).collect::<Int32Array>())),
        ("unit", Arc::new(items.iter().map(unit).collect::<Int32Array>())),
        ("bu", text(|item| Some(item.bu.clone()))),
        ("item_id", text(|item| Some(item.item_id.clone()))),
        ("title", text(|item| item.title.clone())),
        ("category", text(|item| Some(item.category.join("|")))),
        ("brand", text(|item| item.brand.clone())),
        ("price", Arc::new(items.iter().map(|item| item.price).collect::<Float64Array>())),
        ("embedding", Arc::new(embeddings.finish())),
        ("currency", text(|item| item.currency.clone())),
        ("tags", text(|item| Some(item.tags.join("|")))),
        ("regions", text(|item| Some(item.regions.join("|")))),
        ("stock", text(|item| item.is_sold_out.then(|| SOLD_OUT.into()))),
    ];
    write_columns(columns, folder)
}

/// Links of all files in order of time, with the rows of each file.
pub(crate) async fn read_all_links(source: &Source, folder: &Path) -> Result<(Vec<LinkRow>, Vec<u64>), LakeError> {
    let (mut links, mut rows): (Vec<LinkRow>, Vec<u64>) = (Vec::new(), Vec::new());
    for file in &source.files {
        let before = links.len();
        for link in read_links(source.local_copy(file, folder).await?)? {
            links.push(link?);
        }
        rows.push((links.len() - before) as u64);
    }
    links.sort_by_key(|link| link.ts_ms);
    Ok((links, rows))
}

/// Writes links.
pub(crate) fn write_links(links: &[LinkRow], folder: &Path) -> Result<(), LakeError> {
    let text = |of: fn(&LinkRow) -> &str| Arc::new(links.iter().map(of).map(Some).collect::<StringArray>()) as ArrayRef;
    let operation = |link: &LinkRow| Some(if link.is_unlink { "unlink" } else { "link" });
    let confidence = |link: &LinkRow| f64::from(link.confidence.thousandths()) / 1_000.0;
    let columns: [(&str, ArrayRef); 8] = [
        ("ts_ms", Arc::new(links.iter().map(|link| link.ts_ms).collect::<Int64Array>())),
        ("bu_a", text(|link| &link.bu_a)),
        ("local_user_a", text(|link| &link.local_user_a)),
        ("bu_b", text(|link| &link.bu_b)),
        ("local_user_b", text(|link| &link.local_user_b)),
        ("operation", Arc::new(links.iter().map(operation).collect::<StringArray>())),
        ("evidence", Arc::new(links.iter().map(|link| Some(link.evidence.name())).collect::<StringArray>())),
        ("confidence", Arc::new(links.iter().map(confidence).collect::<Float64Array>())),
    ];
    write_columns(columns, folder)
}

/// How much an item's takers take away from transitions to it.
pub(crate) fn write_lifts(lifts: Vec<f64>, items: &[ItemRow], folder: &Path) -> Result<(), LakeError> {
    let units: Vec<&str> = items.iter().map(|item| item.bu.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let unit = |item: &ItemRow| units.binary_search(&item.bu.as_str()).unwrap_or(0) as i32;
    let columns: [(&str, ArrayRef); 3] = [
        ("item", Arc::new((0..items.len() as i32).collect::<Int32Array>())),
        ("unit", Arc::new(items.iter().map(unit).collect::<Int32Array>())),
        ("lift", Arc::new(Float64Array::from(lifts))),
    ];
    write_columns(columns, folder)
}

fn write_columns<const N: usize>(columns: [(&str, ArrayRef); N], folder: &Path) -> Result<(), LakeError> {
    let path = folder.join("part.parquet");
    let failed = |error: String| LakeError::io("write", &path)(std::io::Error::other(error));
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| failed(error.to_string()))?;
    let file = File::create(&path).map_err(LakeError::io("write", &path))?;
    let written = ArrowWriter::try_new(file, batch.schema(), None).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map(drop).map_err(|error| failed(error.to_string()))
}
