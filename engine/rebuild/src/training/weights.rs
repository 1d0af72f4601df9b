//! How much one event of a type says about taste.
//!
//! Whole numbers on purpose: on the sets with typed events, weights set by hand moved quality hardly at all
//! (FACTS, "Own history is a source"), so the table only ranks effort. A learnt table is the ranker's affair.

/// Training weight per event type and its other spellings. 0 leaves the event out: an impression is what *we* did,
/// and dislikes and returns are evidence against, which co-occurrence cannot carry.
const TABLE: &[(f32, &[&str])] = &[
    (0.0, &["impression", "dislike", "return"]),
    (1.0, &["view", "click", "search"]),
    (2.0, &["favourite", "favorite", "fav", "cart"]),
    (3.0, &["purchase", "buy", "review", "rating"]),
];

/// The training weight of an event type, letter case ignored; `None` for a type the table does not know.
pub fn training_weight(event_type: &str) -> Option<f32> {
    let row = TABLE.iter().find(|(_, types)| types.iter().any(|name| name.eq_ignore_ascii_case(event_type)));
    row.map(|&(weight, _)| weight)
}

/// Every event type the table knows, for messages.
pub fn known_types() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|(_, types)| types.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_weight() {
        let mut types: Vec<_> = known_types().collect();
        types.sort_unstable();
        let count = types.len();
        types.dedup();
        assert_eq!(types.len(), count);
        assert_eq!(training_weight("Buy"), training_weight("purchase"));
        assert_eq!(training_weight("return"), Some(0.0));
        assert_eq!(training_weight("teleport"), None);
    }
}
