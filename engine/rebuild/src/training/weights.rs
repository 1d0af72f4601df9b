//! How much one event of a type says about taste.
//!
//! The served profile's own table, [`EventKind::strength`]: what training counts and what a profile weighs must not drift apart.
//! Whole numbers on purpose: on sets with typed events, weights set by hand moved quality hardly at all, so the table only ranks
//! effort. A learnt table is the ranker's affair.

use faces_core::event::EventKind;

/// The training weight of an event type, letter case ignored; `None` for a type that nobody knows. 0 leaves the event out: an
/// impression is what *we* did, and dislikes and returns are evidence against, which co-occurrence cannot carry.
pub fn training_weight(event_type: &str) -> Option<f32> {
    EventKind::from_name(event_type).map(EventKind::strength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_carry_the_profiles_weight() {
        assert_eq!(training_weight("Buy"), training_weight("purchase"));
        assert_eq!(training_weight("return"), Some(0.0));
        assert_eq!(training_weight("teleport"), None);
    }
}
