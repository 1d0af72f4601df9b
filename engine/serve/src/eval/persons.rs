//! Who is one person, as far as a measurement is concerned: the accounts that links join, whenever they were stated.
//!
//! Queries of one person are not independent, so persons, not queries, are what intervals are drawn over.

use anyhow::Result;
use faces_core::key::KeyHash;
use faces_rebuild::{
    tables::{LinkRow, TableError},
    training::LinkedAccounts,
};

use crate::rows;

/// A person: the smallest key of the accounts that are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person(KeyHash);

/// Which person an account belongs to.
#[derive(Debug, Default)]
pub struct Persons {
    linked: LinkedAccounts,
}

impl Persons {
    /// The engine's own partition of all links, within the default limits. Links that the engine would not accept join nobody.
    ///
    /// # Errors
    /// None: rows in memory can be read.
    pub fn of_links(links: &[LinkRow]) -> Result<Self, TableError> {
        Ok(Self { linked: LinkedAccounts::read(links.iter().cloned().map(Ok), None)? })
    }

    /// The person of an account; one that no link names is a person of its own.
    ///
    /// # Errors
    /// A unit or id that the engine does not accept.
    pub fn of_account(&self, bu: &str, local_user_id: &str) -> Result<Person> {
        let key = rows::account(bu, local_user_id)?.hash();
        Ok(Person(self.linked.person(bu, local_user_id).unwrap_or(key)))
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
            is_unlink: false,
            evidence: faces_core::identity::Evidence::Declared,
            confidence: faces_core::identity::Confidence::FULL,
        };
        let persons = Persons::of_links(&[link("1", "x"), link("2", "x"), link("3", "z"), link("", "z")]).unwrap();
        let person = |bu, id| persons.of_account(bu, id).unwrap();
        assert_eq!(person("shop", "1"), person("shop", "2"));
        assert_eq!(person("shop", "1"), person("films", "x"));
        assert_ne!(person("shop", "1"), person("shop", "3"));
        assert_ne!(person("shop", "4"), person("shop", "5"));
        assert!(persons.of_account("", "1").is_err());
    }
}
