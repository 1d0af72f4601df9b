//! Who is one person, for training: the components of the links that were known, within the engine's default limits.

use faces_core::{
    identity::{KeyPair, Limits, LivePair, Operation, Register, partition::partition},
    ids::EventTime,
    key::{KeyHash, KeyKind, SourceKey},
};
use foldhash::HashMap;

use crate::tables::{LinkRow, TableError};

/// Accounts that links join. Accounts that no link names are persons of their own.
#[derive(Debug, Clone, Default)]
pub struct LinkedAccounts {
    /// The smallest key of the person an account belongs to; accounts that no link names are missing.
    name_by_account: HashMap<KeyHash, KeyHash>,
    links_read: u64,
    links_left_out: u64,
}

impl LinkedAccounts {
    /// Reads links and what takes them back; with `until` (milliseconds since 1970) only those strictly before it count. Memory: some 100 bytes a linked account.
    ///
    /// # Errors
    /// The first bad row.
    pub fn read(links: impl IntoIterator<Item = Result<LinkRow, TableError>>, until: Option<i64>) -> Result<Self, TableError> {
        let mut this = Self::default();
        let mut stated = Vec::new();
        for link in links {
            let link = link?;
            this.links_read += 1;
            let known = until.is_none_or(|until_ms| link.ts_ms < until_ms);
            let ends = account(&link.bu_a, &link.local_user_a).zip(account(&link.bu_b, &link.local_user_b));
            match ends.and_then(|(a, b)| KeyPair::new(a, b)).filter(|_| known) {
                Some(pair) => {
                    let operation = if link.is_unlink { Operation::Unlink } else { Operation::Link };
                    let time = EventTime::from_millis(link.ts_ms);
                    stated.push(((pair, link.evidence), Register { time, operation, confidence: link.confidence }));
                }
                None => this.links_left_out += 1,
            }
        }
        // Of what is stated about a pair by one sort of evidence the newest stands; any evidence will do.
        stated.sort_unstable();
        let newest = stated.chunk_by(|(a, _), (b, _)| a == b).filter_map(<[_]>::last);
        let mut live: Vec<LivePair> = Vec::new();
        for ((pair, _), Register { confidence, .. }) in newest.filter(|(_, register)| register.operation == Operation::Link) {
            match live.last_mut().filter(|last| last.pair == *pair) {
                Some(last) => last.confidence = last.confidence.max(*confidence),
                None => live.push(LivePair { pair: *pair, confidence: *confidence }),
            }
        }
        for person in partition(&live, Limits::default()) {
            if let Some(&name) = person.first() {
                this.name_by_account.extend(person.iter().map(|&key| (key, name)));
            }
        }
        Ok(this)
    }

    /// The name of the person whose account this is: equal for accounts of one person, and persons are numbered in its order. `None`
    /// for a unit or an id that the engine does not accept.
    pub fn person(&self, bu: &str, local_user_id: &str) -> Option<KeyHash> {
        let key = account(bu, local_user_id)?;
        Some(self.name_by_account.get(&key).copied().unwrap_or(key))
    }

    /// Links read.
    pub fn links_read(&self) -> u64 {
        self.links_read
    }

    /// Links at or after the cut-off, of an account with itself, or of accounts the engine does not accept.
    pub fn links_left_out(&self) -> u64 {
        self.links_left_out
    }
}

fn account(bu: &str, local_user_id: &str) -> Option<KeyHash> {
    SourceKey::new(bu, KeyKind::Account, local_user_id).ok().map(|key| key.hash())
}

#[cfg(test)]
mod tests {
    use faces_core::identity::{Confidence, Evidence};

    use super::*;

    #[test]
    fn evidence_takes_back_what_it_stated_itself() {
        let stated = |ts_ms, evidence, is_unlink| LinkRow {
            ts_ms,
            bu_a: "shop".into(),
            local_user_a: "anna".into(),
            bu_b: "films".into(),
            local_user_b: "a".into(),
            is_unlink,
            evidence,
            confidence: Confidence::FULL,
        };
        let login = stated(1, Evidence::Login, false);
        for (then, is_one) in [
            (stated(2, Evidence::Inferred, true), true),
            (stated(2, Evidence::Login, true), false),
            (stated(0, Evidence::Login, true), true),
        ] {
            let linked = LinkedAccounts::read([Ok(login.clone()), Ok(then.clone())], None).unwrap();
            let (anna, a) = (linked.person("shop", "anna").unwrap(), linked.person("films", "a").unwrap());
            assert_eq!(anna == a, is_one, "{then:?}");
        }
    }
}
