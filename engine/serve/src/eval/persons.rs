//! Who is one person, as far as a measurement is concerned: the accounts that links join, whenever they were stated.
//!
//! Queries of one person are not independent, so persons, not queries, are what intervals are drawn over.

use std::collections::HashMap;

use anyhow::Result;
use faces_core::{
    identity::{Confidence, KeyPair, Limits, LivePair, partition::partition},
    key::KeyHash,
};
use faces_rebuild::tables::LinkRow;

use crate::rows;

/// A person: the smallest key of the accounts that are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person(KeyHash);

/// Which person an account belongs to.
#[derive(Debug, Default)]
pub struct Persons {
    joined: HashMap<KeyHash, Person>,
}

impl Persons {
    /// The engine's own partition of all links, within the default limits. Links that the engine would not accept join nobody.
    #[must_use]
    pub fn of_links(links: &[LinkRow]) -> Self {
        let key = |bu: &str, id: &str| rows::account(bu, id).ok().map(|account| account.hash());
        let ends = |link: &LinkRow| key(&link.bu_a, &link.local_user_a).zip(key(&link.bu_b, &link.local_user_b));
        let mut pairs: Vec<KeyPair> = links.iter().filter_map(ends).filter_map(|(a, b)| KeyPair::new(a, b)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let live: Vec<LivePair> = pairs.into_iter().map(|pair| LivePair { pair, confidence: Confidence::FULL }).collect();
        let mut joined = HashMap::new();
        for group in partition(&live, Limits::default()) {
            if let Some(smallest) = group.iter().min().copied() {
                joined.extend(group.into_iter().map(|key| (key, Person(smallest))));
            }
        }
        Self { joined }
    }

    /// The person of an account; one that no link names is a person of its own.
    ///
    /// # Errors
    /// A unit or id that the engine does not accept.
    pub fn of_account(&self, bu: &str, local_user_id: &str) -> Result<Person> {
        let key = rows::account(bu, local_user_id)?.hash();
        Ok(self.joined.get(&key).copied().unwrap_or(Person(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_accounts_are_one_person_and_others_are_not() {
        let link = |a: &str, b: &str| LinkRow {
            ts_ms: 0,
            bu_a: "shop".into(),
            local_user_a: a.into(),
            bu_b: "films".into(),
            local_user_b: b.into(),
        };
        let persons = Persons::of_links(&[link("1", "x"), link("2", "x"), link("3", "z"), link("", "z")]);
        let person = |bu, id| persons.of_account(bu, id).unwrap();
        assert_eq!(person("shop", "1"), person("shop", "2"));
        assert_eq!(person("shop", "1"), person("films", "x"));
        assert_ne!(person("shop", "1"), person("shop", "3"));
        assert_ne!(person("shop", "4"), person("shop", "5"));
        assert!(persons.of_account("", "1").is_err());
    }
}
