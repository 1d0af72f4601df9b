//! Records as rows of Parquet, a column each way a table of its kind is read ([`faces_rebuild::tables`]), and beside those what else the
//! record says.
//!
//! Local ids of keys that are no accounts have their kind in front (`session:…`), and those of another unit's keys that and the unit
//! (`films/account/…`), so that no two keys share one. A search in words has no item. Lists of texts are joined by `|`, as in tables.

use std::sync::Arc;

use faces_core::event::EventKind;
use faces_ingest::decode::Written;
use faces_proto::v1;
use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

/// Rows of a row group: what is held uncoded.
const GROUP_ROWS: usize = 16_384;

/// A value of a row.
enum Value {
    Whole(i64),
    Number(Option<f64>),
    Text(Option<ByteArray>),
    Numbers(Vec<f32>),
}

/// The values of a column that are not coded yet.
enum Column {
    Whole(Vec<i64>),
    Number(Vec<f64>, Vec<i16>),
    Text(Vec<ByteArray>, Vec<i16>),
    Numbers { values: Vec<f32>, definitions: Vec<i16>, repetitions: Vec<i16> },
}

/// A file being made, in memory.
pub(super) struct RowFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
    rows: usize,
}

impl RowFile {
    /// An empty file for records like this one.
    pub(super) fn for_records_like(record: &Written) -> Result<Self> {
        let row = row(record);
        let fields = row.iter().map(|(name, value)| field(name, value).map(Arc::new)).collect::<Result<_>>()?;
        let schema = Arc::new(Type::group_type_builder("row").with_fields(fields).build()?);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
        let writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
        Ok(Self { writer, columns: row.iter().map(|(_, value)| Column::like(value)).collect(), rows: 0 })
    }

    /// Adds a record of the same kind.
    pub(super) fn push(&mut self, record: &Written) -> Result<()> {
        for (column, (_, value)) in self.columns.iter_mut().zip(row(record)) {
            column.push(value)?;
        }
        self.rows += 1;
        if self.rows.is_multiple_of(GROUP_ROWS) { self.write_group() } else { Ok(()) }
    }

    /// Its bytes, with `pairs` in the footer.
    pub(super) fn finish(mut self, pairs: &[(&str, String)]) -> Result<Vec<u8>> {
        if !self.rows.is_multiple_of(GROUP_ROWS) {
            self.write_group()?;
        }
        for (key, value) in pairs {
            self.writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.writer.into_inner()
    }

    /// How many rows it has.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    fn write_group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close().map(|_| ())
    }
}

impl Column {
    const fn like(value: &Value) -> Self {
        match value {
            Value::Whole(_) => Self::Whole(Vec::new()),
            Value::Number(_) => Self::Number(Vec::new(), Vec::new()),
            Value::Text(_) => Self::Text(Vec::new(), Vec::new()),
            Value::Numbers(_) => Self::Numbers { values: Vec::new(), definitions: Vec::new(), repetitions: Vec::new() },
        }
    }

    fn push(&mut self, value: Value) -> Result<()> {
        match (self, value) {
            (Self::Whole(values), Value::Whole(value)) => values.push(value),
            (Self::Number(values, levels), Value::Number(value)) => {
                levels.push(i16::from(value.is_some()));
                values.extend(value);
            }
            (Self::Text(values, levels), Value::Text(value)) => {
                levels.push(i16::from(value.is_some()));
                values.extend(value);
            }
            (Self::Numbers { values, definitions, repetitions }, Value::Numbers(numbers)) => {
                if numbers.is_empty() {
                    definitions.push(0);
                    repetitions.push(0);
                }
                for (n, number) in numbers.into_iter().enumerate() {
                    definitions.push(1);
                    repetitions.push(i16::from(n > 0));
                    values.push(number);
                }
            }
            _ => return Err(ParquetError::General("records of two kinds in one topic".into())),
        }
        Ok(())
    }

    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        match (self, writer) {
            (Self::Whole(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, None, None)?;
                values.clear();
            }
            (Self::Number(values, levels), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, Some(levels), None)?;
                values.clear();
                levels.clear();
            }
            (Self::Text(values, levels), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, Some(levels), None)?;
                values.clear();
                levels.clear();
            }
            (Self::Numbers { values, definitions, repetitions }, ColumnWriter::FloatColumnWriter(writer)) => {
                writer.write_batch(values, Some(definitions), Some(repetitions))?;
                values.clear();
                definitions.clear();
                repetitions.clear();
            }
            _ => return Err(ParquetError::General("a column of another type than its values".into())),
        }
        Ok(())
    }
}

fn field(name: &str, value: &Value) -> Result<Type> {
    let (physical, repetition, text) = match value {
        Value::Whole(_) => (Physical::INT64, Repetition::REQUIRED, ConvertedType::NONE),
        Value::Number(_) => (Physical::DOUBLE, Repetition::OPTIONAL, ConvertedType::NONE),
        Value::Text(_) => (Physical::BYTE_ARRAY, Repetition::OPTIONAL, ConvertedType::UTF8),
        Value::Numbers(_) => (Physical::FLOAT, Repetition::REPEATED, ConvertedType::NONE),
    };
    Type::primitive_type_builder(name, physical).with_repetition(repetition).with_converted_type(text).build()
}

/// The columns of a record and its values, in an order that its kind alone decides.
fn row(record: &Written) -> Vec<(&'static str, Value)> {
    match record {
        Written::Event(event) => event_row(event),
        Written::Link(link) => link_row(link),
        Written::Item(record) => item_row(record),
    }
}

fn event_row(event: &v1::Event) -> Vec<(&'static str, Value)> {
    let kind = event_type(event.r#type());
    vec![
        ("ts_ms", Value::Whole(event.event_time_ms)),
        ("bu", text(&event.bu)),
        ("local_user_id", local_id(event.source.as_ref(), &event.bu)),
        ("item_id", text(&event.item_id)),
        ("event_type", text(kind)),
        ("value", Value::Number(event.value)),
        ("currency", text(&event.currency)),
        ("event_id", text(&event.event_id)),
        ("region", text(&event.region)),
        ("placement", text(&event.placement)),
        ("answer_token", text(&event.answer_token)),
        ("query", text(&event.query)),
    ]
}

fn link_row(link: &v1::IdentityLink) -> Vec<(&'static str, Value)> {
    let (a, b) = (link.a.as_ref(), link.b.as_ref());
    let [bu_a, bu_b] = [a, b].map(|key| key.map_or("", |key| &key.bu));
    vec![
        ("ts_ms", Value::Whole(link.event_time_ms)),
        ("bu_a", text(bu_a)),
        ("local_user_a", local_id(a, bu_a)),
        ("bu_b", text(bu_b)),
        ("local_user_b", local_id(b, bu_b)),
        ("operation", text(&name(link.operation().as_str_name(), "LINK_OPERATION_"))),
        ("evidence", text(&name(link.evidence().as_str_name(), "LINK_EVIDENCE_"))),
        ("confidence", Value::Number(Some(if link.confidence == 0.0 { 1.0 } else { link.confidence }))),
    ]
}

fn item_row(record: &v1::CatalogRecord) -> Vec<(&'static str, Value)> {
    use v1::catalog_record::Change;
    let (item, of, is_deleted) = match &record.change {
        Some(Change::Upsert(item)) => (item.clone(), item.r#ref.clone(), false),
        Some(Change::Delete(of)) => (v1::Item::default(), Some(of.clone()), true),
        None => (v1::Item::default(), None, true), // refused before
    };
    let of = of.unwrap_or_default();
    vec![
        ("item_id", text(&of.item_id)),
        ("bu", text(&of.bu)),
        ("title", text(&item.title)),
        ("category", text(&item.categories.join("|"))),
        ("brand", text(&item.brand)),
        ("price", Value::Number(item.price)),
        ("embedding", Value::Numbers(item.embedding.clone())),
        ("currency", text(&item.currency)),
        ("tags", text(&item.tags.join("|"))),
        ("regions", text(&item.regions.join("|"))),
        ("stock", text(&name(item.stock().as_str_name(), "STOCK_"))),
        ("updated_ms", Value::Whole(record.updated_time_ms)),
        ("deleted", Value::Whole(i64::from(is_deleted))),
    ]
}

/// Nothing for an empty text.
fn text(text: &str) -> Value {
    Value::Text((!text.is_empty()).then(|| ByteArray::from(text)))
}

fn name(constant: &str, prefix: &str) -> String {
    constant.strip_prefix(prefix).unwrap_or(constant).to_ascii_lowercase()
}

/// As tables name it.
fn event_type(kind: v1::EventType) -> &'static str {
    let known = EventKind::NAMES.iter().find(|(of, _)| crate::grpc::event_type(*of) == kind);
    known.and_then(|(_, names)| names.first().copied()).unwrap_or_default()
}

/// Of a key in a row of unit `bu`.
fn local_id(key: Option<&v1::SourceKey>, bu: &str) -> Value {
    let Some(key) = key else { return Value::Text(None) };
    let kind = name(key.kind().as_str_name(), "KEY_KIND_");
    match key.kind() {
        _ if key.bu != bu => text(&format!("{}/{kind}/{}", key.bu, key.id)),
        v1::KeyKind::Account => text(&key.id),
        _ => text(&format!("{kind}:{}", key.id)),
    }
}

#[cfg(test)]
mod tests {
    use faces_rebuild::tables::{read_events, read_items, read_links};

    use super::*;

    fn file(records: &[Written]) -> tempfile::TempPath {
        let mut file = RowFile::for_records_like(&records[0]).unwrap();
        records.iter().for_each(|record| file.push(record).unwrap());
        assert_eq!(file.rows(), records.len());
        let path = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap().into_temp_path();
        std::fs::write(&path, file.finish(&[]).unwrap()).unwrap();
        path
    }

    fn key(kind: v1::KeyKind, id: &str) -> Option<v1::SourceKey> {
        Some(v1::SourceKey { bu: "shop".into(), kind: kind.into(), id: id.into() })
    }

    #[test]
    fn events_are_read_as_they_were_written_across_row_groups() {
        let event = |n: usize| v1::Event {
            event_time_ms: 1_700_000_000_000 + n as i64,
            bu: "shop".into(),
            source: key(if n.is_multiple_of(2) { v1::KeyKind::Account } else { v1::KeyKind::Session }, &format!("u{n}")),
            r#type: v1::EventType::Purchase.into(),
            item_id: format!("i{}", n % 7),
            value: n.is_multiple_of(3).then_some(n as f64),
            ..v1::Event::default()
        };
        let count = GROUP_ROWS + 3;
        let path = file(&(0..count).map(|n| Written::Event(event(n))).collect::<Vec<_>>());
        let rows: Vec<_> = read_events(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), count);
        for (n, row) in rows.iter().enumerate() {
            let id = if n.is_multiple_of(2) { format!("u{n}") } else { format!("session:u{n}") };
            assert_eq!((row.ts_ms, row.local_user_id.as_str()), (event(n).event_time_ms, id.as_str()));
            assert_eq!((row.item_id.as_str(), row.event_type.as_str()), (event(n).item_id.as_str(), "purchase"));
            assert_eq!((row.value, row.currency.as_deref()), (event(n).value, None));
        }
    }

    #[test]
    fn a_search_in_words_is_a_row_without_an_item() {
        let event = v1::Event {
            event_time_ms: 1_700_000_000_000,
            bu: "shop".into(),
            source: key(v1::KeyKind::Account, "u1"),
            r#type: v1::EventType::Search.into(),
            ..v1::Event::default()
        };
        let path = file(&[Written::Event(event)]);
        let items: Vec<_> = read_events(&path).unwrap().map(|row| row.unwrap().item_id).collect();
        assert_eq!(items, [""]);
    }

    #[test]
    fn what_another_units_customer_did_is_not_the_namesakes() {
        let event = |bu: &str| v1::Event {
            event_time_ms: 1_700_000_000_000,
            bu: bu.into(),
            source: key(v1::KeyKind::Account, "u1"),
            r#type: v1::EventType::View.into(),
            item_id: "i1".into(),
            ..v1::Event::default()
        };
        let path = file(&["shop", "films"].map(|bu| Written::Event(event(bu))));
        let ids: Vec<_> = read_events(&path).unwrap().map(|row| row.map(|row| (row.bu, row.local_user_id)).unwrap()).collect();
        assert_eq!(ids, [("shop".into(), "u1".into()), ("films".into(), "shop/account/u1".into())]);
    }

    #[test]
    fn items_and_links_are_read_as_they_were_written() {
        let item = |n: usize| {
            let item = v1::Item {
                r#ref: Some(v1::ItemRef { bu: "shop".into(), item_id: format!("i{n}") }),
                title: "a thing".into(),
                categories: vec!["all".into(), "some".into()],
                price: Some(2.5),
                embedding: (0..n).map(|of| of as f32).collect(),
                currency: "EUR".into(),
                tags: vec!["new".into(), "red".into()],
                regions: vec!["north".into()],
                stock: if n == 3 { v1::Stock::SoldOut } else { v1::Stock::InStock } as i32,
                ..v1::Item::default()
            };
            let change = Some(v1::catalog_record::Change::Upsert(item));
            Written::Item(v1::CatalogRecord { updated_time_ms: 1_700_000_000_000, change })
        };
        let path = file(&[item(0), item(3), item(1)]);
        let rows: Vec<_> = read_items(&path).unwrap().collect::<Result<_, _>>().unwrap();
        let embeddings: Vec<_> = rows.iter().map(|row| row.embedding.clone()).collect();
        assert_eq!(embeddings, [vec![], vec![0.0, 1.0, 2.0], vec![0.0]]);
        assert_eq!((rows[1].item_id.as_str(), rows[1].category.len(), rows[1].price), ("i3", 2, Some(2.5)));
        let of = rows[1].attributes();
        assert_eq!((of.currency.as_str(), of.tags.join(" "), of.regions.join(" ")), ("EUR", "new red".into(), "north".into()));
        assert_eq!(rows.iter().map(|row| row.is_sold_out).collect::<Vec<_>>(), [false, true, false]);

        let link = v1::IdentityLink {
            a: key(v1::KeyKind::Account, "a"),
            b: key(v1::KeyKind::Device, "b"),
            operation: v1::LinkOperation::Link.into(),
            evidence: v1::LinkEvidence::Login.into(),
            confidence: 0.0,
            event_time_ms: 1_700_000_000_000,
        };
        let guess = v1::IdentityLink {
            operation: v1::LinkOperation::Unlink.into(),
            evidence: v1::LinkEvidence::Inferred.into(),
            confidence: 0.25,
            ..link.clone()
        };
        let path = file(&[Written::Link(link), Written::Link(guess)]);
        let rows: Vec<_> = read_links(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!((rows[0].local_user_a.as_str(), rows[0].local_user_b.as_str()), ("a", "device:b"));
        let stated: Vec<_> = rows.iter().map(|of| (of.is_unlink, of.evidence.name(), of.confidence.thousandths())).collect();
        assert_eq!(stated, [(false, "login", 1_000), (true, "inferred", 250)]);
    }

    #[test]
    fn every_kind_of_event_has_its_name() {
        for (kind, names) in EventKind::NAMES {
            assert_eq!(event_type(crate::grpc::event_type(kind)), names[0]);
        }
    }
}
