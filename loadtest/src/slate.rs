//! What a caller may expect of any slate, checked from the outside.

use faces_proto::v1::Recommendation;

/// What is wrong with one slate; nothing, usually.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlateFaults {
    /// No items at all.
    pub empty: bool,
    /// Some items, but fewer than asked for.
    pub short: bool,
    /// More items than asked for.
    pub overlong: bool,
    /// An item that occurs more than once.
    pub duplicate: Option<String>,
}

impl SlateFaults {
    /// Checks `items` against the page size that was asked for. O(n log n).
    #[must_use]
    pub fn of(items: &[Recommendation], page_size: usize) -> Self {
        let mut ids: Vec<&str> = items.iter().map(|item| item.item_id.as_str()).collect();
        ids.sort_unstable();
        let duplicate = ids.iter().zip(ids.iter().skip(1)).find_map(|(id, next)| (id == next).then(|| (*id).to_owned()));
        Self {
            empty: items.is_empty(),
            short: !items.is_empty() && items.len() < page_size,
            overlong: items.len() > page_size,
            duplicate,
        }
    }

    /// Whether anything is wrong.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        self.empty || self.short || self.overlong || self.duplicate.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ids: &[&str], expected: &SlateFaults) {
        let items: Vec<_> =
            ids.iter().map(|id| Recommendation { item_id: (*id).to_owned(), ..Recommendation::default() }).collect();
        let faults = SlateFaults::of(&items, 3);
        assert_eq!(faults, *expected, "{ids:?}");
        assert_eq!(faults.is_bad(), *expected != SlateFaults::default());
    }

    #[test]
    fn every_fault_is_seen() {
        let fine = SlateFaults::default();
        check(&["c", "a", "b"], &fine);
        check(&[], &SlateFaults { empty: true, ..fine.clone() });
        check(&["a", "b"], &SlateFaults { short: true, ..fine.clone() });
        check(&["a", "b", "c", "d"], &SlateFaults { overlong: true, ..fine.clone() });
        check(&["a", "b", "a"], &SlateFaults { duplicate: Some("a".to_owned()), ..fine.clone() });
        check(&["b", "b"], &SlateFaults { short: true, duplicate: Some("b".to_owned()), ..fine });
    }
}
