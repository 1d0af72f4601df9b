//! What is never shown.

use crate::{
    ids::ItemId,
    ranking::{query::Query, rules::Seen, stage::Filter},
};

/// Items that a rule hides.
#[derive(Debug)]
pub struct Hidden;

impl Filter for Hidden {
    fn name(&self) -> &'static str {
        "hidden"
    }

    fn applies(&self, query: &Query<'_>) -> bool {
        !query.rules.hidden.is_empty()
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        let seen = Seen::new(query.state.catalogue(), item);
        !query.rules.hidden.iter().any(|rule| rule.what.holds(&seen))
    }
}
