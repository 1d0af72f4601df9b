//! Tables that are logs of changes, as an archive of a log is: what stands of them.

use foldhash::{HashMap, HashMapExt as _};

use super::ItemRow;

/// Without items that are gone, and of rows that say when the item became so, per item the newest; other rows stay as they are, repeated
/// ones too. The order of what stands is kept.
#[must_use]
pub fn newest(items: Vec<ItemRow>) -> Vec<ItemRow> {
    let mut last: HashMap<(&str, &str), (i64, usize)> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let Some(updated_ms) = item.updated_ms else { continue };
        let held = last.entry((&item.bu, &item.item_id)).or_insert((updated_ms, place));
        *held = (*held).max((updated_ms, place));
    }
    let stands = |place: usize, item: &ItemRow| {
        let of_item = last.get(&(item.bu.as_str(), item.item_id.as_str()));
        !item.is_deleted && (item.updated_ms.is_none() || of_item.is_some_and(|(_, newest)| *newest == place))
    };
    let standing: Vec<bool> = items.iter().enumerate().map(|(place, item)| stands(place, item)).collect();
    items.into_iter().zip(standing).filter_map(|(item, stands)| stands.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(item_id: &str, title: &str, updated_ms: Option<i64>, is_deleted: bool) -> ItemRow {
        let (bu, item_id, title) = ("shop".into(), item_id.into(), Some(title.into()));
        ItemRow { bu, item_id, title, updated_ms, is_deleted, ..ItemRow::default() }
    }

    #[test]
    fn the_newest_stands_and_what_is_gone_does_not() {
        let rows = vec![
            item("a", "third", Some(3), false),
            item("b", "first", Some(1), false),
            item("a", "second", Some(2), false),
            item("b", "", Some(2), true),
            item("c", "", Some(1), true),
            item("c", "back again", Some(1), false), // of one time the later row
            item("d", "plain", None, false),
            item("d", "plain", None, false),
            item("e", "gone, whenever that was", None, true),
        ];
        let titles: Vec<_> = newest(rows).into_iter().map(|row| row.title.unwrap()).collect();
        assert_eq!(titles, ["third", "back again", "plain", "plain"]);
    }
}
