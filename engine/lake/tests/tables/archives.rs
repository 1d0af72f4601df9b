//! A lake that is an archive of the log: a search in words has no item, an item has versions, a link may be taken back.

use std::{fs, sync::Arc};

use crate::lake::{Lake, event, write};
use datafusion::arrow::array::{Int64Array, StringArray};
use faces_rebuild::{Prepared, TrainParams};

const START_MS: i64 = 1_767_225_600_000;

#[test]
fn what_no_longer_stands_is_passed_over() {
    let lake = Lake::new(&[], &[]);
    fs::write(
        lake.path("items.csv"),
        "item_id,bu,title,updated_ms,deleted\na,shop,old,1,0\na,shop,new,2,0\nb,shop,,3,0\nc,shop,,1,0\nc,shop,,2,1\n",
    )
    .unwrap();
    let links = format!(
        "ts_ms,bu_a,local_user_a,bu_b,local_user_b,operation\n{START_MS},shop,u1,shop,u2,link\n{START_MS},shop,u3,shop,u4,link\n{},shop,u4,shop,u3,unlink\n",
        START_MS + 1
    );
    fs::write(lake.path("links.csv"), links).unwrap();
    let rows = ["u1", "u2", "u3", "u4"]
        .iter()
        .zip(2..)
        .flat_map(|(user, n)| ["a", "b", "c"].map(|item| event(START_MS + n, "shop", user, item, "view")));
    lake.write_day(1, &rows.collect::<Vec<_>>());
    let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as _;
    write(
        &lake.day(2),
        vec![
            ("ts_ms", Arc::new(Int64Array::from(vec![START_MS + 10; 2]))),
            ("bu", text([Some("shop"); 2])),
            ("local_user_id", text([Some("u1"); 2])),
            ("item_id", text([None, Some("b")])),
            ("event_type", text([Some("search"); 2])),
            ("query", text([Some("a knife"), None])),
        ],
    );
    let mut params = TrainParams::default();
    params.embedding.dimension = 2;
    let manifest = lake.prepare(&lake.request(&params)).unwrap();
    let prepared = Prepared::open(lake.path("prepared")).unwrap();
    let titles: Vec<_> = prepared.items().unwrap().into_iter().map(|item| (item.item_id, item.title)).collect();
    assert_eq!(titles, [("a".into(), Some("new".into())), ("b".into(), None)]);
    assert_eq!(prepared.log().person_count(), 3, "u1 and u2 are one, u3 and u4 no longer");
    // Of 14 events 4 are of the item that is gone, and one of none.
    assert_eq!((manifest.report.events_read, manifest.report.interactions, manifest.report.of_unknown_item), (14, 9, 5));
    assert_eq!(prepared.events().unwrap().map(|row| row.unwrap().item_id).filter(|item| item == "c").count(), 4);
    assert_eq!(prepared.events().unwrap().count(), 13);
}
