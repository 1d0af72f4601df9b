//! The three formats must read alike, and every way a table can be wrong must be named.

use std::{fs, path::PathBuf, sync::Arc};

use faces_core::identity::Evidence;
use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use tempfile::TempDir;

use super::*;

const EVENTS_CSV: &str = "\u{feff}event_type,extra,ts_ms,item_id,bu,local_user_id,value\n\
    view,x,1388534400000,i1,food,u1,\n\
    \"buy\",y,1388534400001,\"i,2\",video,u2,19.5\n";

fn expected_events() -> Vec<EventRow> {
    let row = |ts_ms, bu: &str, user: &str, item: &str, event_type: &str, value| EventRow {
        ts_ms,
        bu: bu.into(),
        local_user_id: user.into(),
        item_id: item.into(),
        event_type: event_type.into(),
        value,
        currency: None,
    };
    vec![
        row(1_388_534_400_000, "food", "u1", "i1", "view", None),
        row(1_388_534_400_001, "video", "u2", "i,2", "buy", Some(19.5)),
    ]
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn zstd(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, &::zstd::encode_all(text.as_bytes(), 3).unwrap())
    }

    /// The rows of `expected_events`, with times declared as `time_type`.
    fn parquet(&self, name: &str, time_type: &str, times: [i64; 2], codec: parquet::basic::Compression) -> PathBuf {
        let schema = format!(
            "message events {{ OPTIONAL BYTE_ARRAY event_type (STRING); REQUIRED BYTE_ARRAY extra; REQUIRED {time_type};
             REQUIRED BYTE_ARRAY item_id (STRING); REQUIRED BYTE_ARRAY bu; REQUIRED BYTE_ARRAY local_user_id (STRING);
             OPTIONAL DOUBLE value; }}"
        );
        let path = self.0.path().join(name);
        let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let texts = [["view", "buy"], ["x", "y"], ["", ""], ["i1", "i,2"], ["food", "video"], ["u1", "u2"]];
        for (place, values) in texts.into_iter().enumerate() {
            let mut column = group.next_column().unwrap().unwrap();
            if place == 2 {
                column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
            } else {
                let levels = (place == 0).then_some([1_i16, 1]);
                let values = values.map(ByteArray::from);
                column.typed::<ByteArrayType>().write_batch(&values, levels.as_ref().map(|l| &l[..]), None).unwrap();
            }
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[19.5], Some(&[0, 1]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        path
    }
}

#[test]
fn all_formats_read_alike() {
    use parquet::basic::{Compression, ZstdLevel};
    let files = Files::new();
    let ms = [1_388_534_400_000, 1_388_534_400_001];
    let paths = [
        files.write("a.csv", EVENTS_CSV.as_bytes()),
        files.zstd("a.csv.zst", EVENTS_CSV),
        files.parquet("a.parquet", "INT64 ts_ms", ms, Compression::UNCOMPRESSED),
        files.parquet("b.parquet", "INT64 ts_ms (TIMESTAMP(MILLIS,true))", ms, Compression::SNAPPY),
        files.parquet(
            "c.parquet",
            "INT64 ts_ms (TIMESTAMP(MICROS,true))",
            ms.map(|ms| ms * 1000 + 7),
            Compression::ZSTD(ZstdLevel::default()),
        ),
    ];
    for path in paths {
        let mut table = read_events(&path).unwrap();
        let size = table.size();
        assert_eq!(size.bytes_total(), fs::metadata(&path).unwrap().len());
        let rows: Vec<_> = table.by_ref().map(Result::unwrap).collect();
        assert_eq!(rows, expected_events(), "{}", path.display());
        assert_eq!(size.bytes_read(), size.bytes_total());
        assert!(table.next().is_none());
    }
}

#[test]
fn items_and_links_have_their_types() {
    let files = Files::new();
    let path = files.write("i.csv", "bu,item_id,category,price,title\nfood,7, A | B||C ,1.5,\nfood,8,,,Milk\n".as_bytes());
    let items: Vec<_> = read_items(path).unwrap().map(Result::unwrap).collect();
    assert_eq!(items[0].category, ["A", "B", "C"]);
    assert_eq!((items[0].price, &items[0].title, &items[0].brand), (Some(1.5), &None, &None));
    assert_eq!((&items[1].category, items[1].title.as_deref()), (&vec![], Some("Milk")));
    let path = files.zstd("l.csv.zst", "ts_ms,bu_a,local_user_a,bu_b,local_user_b\n1388534400000,food,1,video,2\n");
    let links: Vec<_> = read_links(path).unwrap().map(Result::unwrap).collect();
    assert_eq!((links[0].bu_b.as_str(), links[0].local_user_b.as_str()), ("video", "2"));
}

#[test]
fn stock_is_one_of_the_known_words() {
    let files = Files::new();
    let text = "bu,item_id,stock\nfood,1,sold_out\nfood,2,in_stock\nfood,3,unspecified\nfood,4,\nfood,5,soldout\nfood,6,0\nfood,7,SOLD_OUT\n";
    let items: Vec<_> = read_items(files.write("i.csv", text.as_bytes())).unwrap().collect();
    let found: Vec<bool> = items[..4].iter().map(|item| item.as_ref().unwrap().is_sold_out).collect();
    assert_eq!(found, [true, false, false, false]);
    for (row, value) in [(5, "soldout"), (6, "0"), (7, "SOLD_OUT")] {
        let message = items[row - 1].as_ref().unwrap_err().to_string();
        let expected =
            format!("row {row}, column `stock`: `{value}` is not a stock: `in_stock`, `sold_out`, `unspecified` or nothing");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn the_operation_of_a_link_is_one_of_the_known_words() {
    let files = Files::new();
    let words = ["link", "unlink", "", "Unlink", "revoked", "LINK_OPERATION_UNLINK"];
    let row = |word: &str| format!("1388534400000,food,1,video,2,{word}\n");
    let text = format!("ts_ms,bu_a,local_user_a,bu_b,local_user_b,operation\n{}", words.map(row).concat());
    let links: Vec<_> = read_links(files.write("l.csv", text.as_bytes())).unwrap().collect();
    let found: Vec<bool> = links[..3].iter().map(|link| link.as_ref().unwrap().is_unlink).collect();
    assert_eq!(found, [false, true, false]);
    for (n, word) in words.iter().enumerate().skip(3) {
        let message = links[n].as_ref().unwrap_err().to_string();
        let expected = format!("row {}, column `operation`: `{word}` is not an operation: `link`, `unlink` or nothing", n + 1);
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn what_a_link_rests_on_is_read_where_it_is_said() {
    let files = Files::new();
    let ends = ["login,0.25", "shared_contact,1", ",", "Login,1", "inferred,0", "inferred,1.5"];
    let rows = ends.map(|end| format!("1388534400000,food,1,video,2,{end}\n")).concat();
    let text = format!("ts_ms,bu_a,local_user_a,bu_b,local_user_b,evidence,confidence\n{rows}");
    let links: Vec<_> = read_links(files.write("l.csv", text.as_bytes())).unwrap().collect();
    let found: Vec<_> =
        links[..3].iter().map(|link| link.as_ref().map(|of| (of.evidence, of.confidence.thousandths())).unwrap()).collect();
    assert_eq!(found, [(Evidence::Login, 250), (Evidence::SharedContact, 1_000), (Evidence::Declared, 1_000)]);
    for (n, expected) in
        [(3, "`Login` is not evidence: `login`, "), (4, "`0` is not a share above 0"), (5, "`1.5` is not a share")]
    {
        let message = links[n].as_ref().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn embeddings_come_as_text_or_as_lists() {
    let files = Files::new();
    let text =
        "bu,item_id,embedding\nfood,1,0.5 -1 2e-1\nfood,2,\nfood,3,\"[0.25, 4]\"\nfood,4,1|2|3\nfood,5,1 x\nfood,6,1 inf\n";
    let items: Vec<_> = read_items(files.write("i.csv", text.as_bytes())).unwrap().collect();
    let found: Vec<&[f32]> = items[..4].iter().map(|item| item.as_ref().unwrap().embedding.as_slice()).collect();
    assert_eq!(found, [&[0.5, -1.0, 0.2][..], &[], &[0.25, 4.0], &[1.0, 2.0, 3.0]]);
    for (row, value) in [(4, "`x`"), (5, "`inf`")] {
        let message = items[row].as_ref().unwrap_err().to_string();
        assert!(message.contains(value) && message.contains("finite numbers between blanks"), "{message}");
    }

    let schema = "message items { REQUIRED BYTE_ARRAY item_id (STRING); REQUIRED BYTE_ARRAY bu (STRING);
                  OPTIONAL group embedding (LIST) { REPEATED group list { REQUIRED FLOAT element; } } }";
    let path = files.0.path().join("i.parquet");
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [["1", "2"], ["food", "food"]] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts.map(ByteArray::from), None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&[0.5, -1.0], Some(&[2, 2, 0]), Some(&[0, 1, 0])).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let items: Vec<_> = read_items(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!((items[0].embedding.as_slice(), items[1].embedding.as_slice()), (&[0.5, -1.0][..], &[][..]));
}

#[test]
fn a_bad_row_is_named_and_the_next_one_read() {
    let files = Files::new();
    #[track_caller]
    fn check(files: &Files, row: &str, reason: &str) {
        let good = "1388534400000,food,u1,i1,view,1";
        let text = format!("ts_ms,bu,local_user_id,item_id,event_type,value\n{good}\n{row}\n{good}\n");
        for path in [files.write("e.csv", text.as_bytes()), files.zstd("e.csv.zst", &text)] {
            let mut rows = read_events(&path).unwrap();
            assert!(rows.next().unwrap().is_ok());
            let message = rows.next().unwrap().unwrap_err().to_string();
            assert!(message.contains("row 2") && message.contains(reason), "{message}");
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(rows.next().unwrap().is_ok(), "the row after is read");
            assert!(rows.next().is_none());
        }
    }
    check(&files, "yesterday,food,u1,i1,view,", "column `ts_ms`: `yesterday` is not a whole number of milliseconds");
    check(&files, "1388534400,food,u1,i1,view,", "is it in seconds?");
    check(&files, "1388534400000000,food,u1,i1,view,", "is it in microseconds?");
    check(&files, "-5,food,u1,i1,view,", "column `ts_ms`");
    check(&files, "1388534400000,,u1,i1,view,", "column `bu`: `` is not a value (the cell is empty)");
    check(&files, "1388534400000,food,u1,i1,view,dear", "column `value`: `dear` is not a finite number");
    check(&files, "1388534400000,food,u1,i1,view,NaN", "column `value`");
    check(&files, "1388534400000,food,u1,i1,view", "it has 5 cells where the header has 6");
    check(&files, &format!("1388534400000,food,{},i1,view,", "u".repeat(513)), "at most 512 bytes");
}

#[test]
fn bytes_that_are_not_utf8_are_a_bad_row() {
    let files = Files::new();
    let mut bytes = b"item_id,bu\n1,a\n".to_vec();
    bytes.extend(b"\xff\xfe,a\n2,a\n");
    let rows: Vec<_> = read_items(files.write("i.csv", &bytes)).unwrap().collect();
    assert!(rows[1].as_ref().unwrap_err().to_string().contains("row 2: it is not UTF-8"));
    assert_eq!(rows[2].as_ref().unwrap().item_id, "2");
}

#[test]
fn bad_files_are_refused_with_the_way_out() {
    let files = Files::new();
    let refusal = |path: PathBuf| read_links(path).unwrap_err().to_string();
    let is = |message: String, reason: &str| assert!(message.contains(reason), "{message}");
    is(refusal(files.0.path().join("none.csv")), "cannot open table");
    is(refusal(files.write("l.tsv", b"")), "use .csv, .csv.zst or .parquet");
    is(refusal(files.write("l.csv", b"")), "no column `ts_ms` (it has: none)");
    is(refusal(files.write("l.csv", b"bu_a,ts_ms,local_user_a\n")), "no column `bu_b` (it has: bu_a, ts_ms, local_user_a)");
    is(refusal(files.write("l.csv", b"ts_ms,bu_a,bu_a,local_user_a,bu_b,local_user_b\n")), "the column `bu_a` twice");
    is(refusal(files.write("l.csv.zst", b"plain text")), "not a readable CSV + zstd file");
    is(refusal(files.write("l.parquet", b"PAR1 and nothing else PAR1")), "not a readable Parquet file");
    let folder = files.0.path().join("folder.csv");
    fs::create_dir(&folder).unwrap();
    is(refusal(folder), "cannot open table");
}

#[test]
fn a_torn_file_ends_with_an_error() {
    let files = Files::new();
    let text: String = (0..50_000).map(|n| format!("item-{:x},food\n", n * 7_919 % 50_021)).collect();
    let whole = ::zstd::encode_all(format!("item_id,bu\n{text}").as_bytes(), 3).unwrap();
    let rows: Vec<_> = read_items(files.write("i.csv.zst", &whole[..whole.len() / 2])).unwrap().collect();
    assert!(rows.len() < 50_000 && rows.len() > 1);
    assert!(rows.last().unwrap().is_err() && rows[..rows.len() - 1].iter().all(Result::is_ok));

    let whole = files.parquet("e.parquet", "INT64 ts_ms", [TS_MS_MIN, TS_MS_MIN], parquet::basic::Compression::UNCOMPRESSED);
    let bytes = fs::read(whole).unwrap();
    assert!(matches!(read_events(files.write("t.parquet", &bytes[..bytes.len() - 9])), Err(TableError::Corrupt { .. })));
}

#[test]
fn an_unclosed_quote_does_not_swallow_the_file() {
    let files = Files::new();
    let text = format!("item_id,bu\n1,food\n\"2,food\n{}", "3,food\n".repeat(1 << 20));
    let rows: Vec<_> = read_items(files.zstd("i.csv.zst", &text)).unwrap().collect();
    assert_eq!(rows.len(), 2);
    let message = rows[1].as_ref().unwrap_err().to_string();
    assert!(message.contains("is a quote not closed?"), "{message}");
}
