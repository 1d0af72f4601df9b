//! Who asks: source keys from a file or numbered, some far more often than others.

use std::{collections::HashMap, path::Path};

use faces_proto::v1::{KeyKind, SourceKey};
use rand::{Rng, RngExt as _, distr::weighted::WeightedIndex};

use crate::error::LoadError;

/// Most people in one run; the table of weights takes 8 bytes each.
pub const PEOPLE_MAX: usize = 10_000_000;
const ID_BYTES_MAX: usize = 256;

/// A set of accounts and how often each is drawn.
#[derive(Debug)]
pub struct People {
    accounts: Accounts,
    draw: Draw,
}

#[derive(Debug)]
enum Accounts {
    Listed { bus: Vec<String>, rows: Vec<(usize, Box<str>)> },
    Numbered { bu: String },
}

#[derive(Debug)]
enum Draw {
    Even { count: usize },
    Skewed(WeightedIndex<f64>),
}

impl Draw {
    /// Rank `r` (from 1) is drawn with weight `r^-exponent` (Zipf); exponent 0 draws evenly.
    fn zipf(count: usize, exponent: f64) -> Result<Self, LoadError> {
        if exponent == 0.0 {
            return Ok(Self::Even { count });
        }
        let weights = (1..=count).map(|rank| (rank as f64).powf(-exponent));
        WeightedIndex::new(weights).map(Self::Skewed).map_err(LoadError::Weights)
    }
}

impl People {
    /// Accounts `u1` to `u<count>` of `bu`, `u1` the busiest.
    ///
    /// # Errors
    /// [`LoadError::OutOfRange`] for no people or more than [`PEOPLE_MAX`].
    pub fn numbered(bu: &str, count: usize, zipf_exponent: f64) -> Result<Self, LoadError> {
        if !(1..=PEOPLE_MAX).contains(&count) {
            return Err(LoadError::OutOfRange { name: "people", value: count.to_string(), allowed: "1 to 10000000" });
        }
        Ok(Self { accounts: Accounts::Numbered { bu: bu.to_owned() }, draw: Draw::zipf(count, zipf_exponent)? })
    }

    /// Accounts of a CSV file with a header that has `bu` and `local_user_id`; other columns are ignored, and a row that occurs
    /// twice is drawn twice as often. Skew follows the order of the rows.
    ///
    /// # Errors
    /// [`LoadError::PeopleRead`] or [`LoadError::PeopleInvalid`].
    pub fn listed(path: &Path, zipf_exponent: f64) -> Result<Self, LoadError> {
        let read_error = |source| LoadError::PeopleRead { path: path.to_owned(), source };
        let invalid = |why: String| LoadError::PeopleInvalid { path: path.to_owned(), why };
        let mut reader = csv::Reader::from_path(path).map_err(read_error)?;
        let headers = reader.headers().map_err(read_error)?.clone();
        let column = |name: &str| {
            let position = headers.iter().position(|header| header == name);
            position.ok_or_else(|| invalid(format!("has no column `{name}`; its header must have bu and local_user_id")))
        };
        let (bu_column, id_column) = (column("bu")?, column("local_user_id")?);
        let mut bus = Vec::new();
        let mut bu_positions = HashMap::new();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(read_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let bu = record.get(bu_column).unwrap_or_default();
            let id = record.get(id_column).unwrap_or_default();
            if !is_bu(bu) {
                return Err(invalid(format!("names a business unit `{bu}` in line {line}; allowed is 1 to 64 of [a-z0-9_-]")));
            }
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(invalid(format!("has a local_user_id of {} bytes in line {line}; allowed is 1 to 256", id.len())));
            }
            if rows.len() == PEOPLE_MAX {
                return Err(invalid(format!("has more than {PEOPLE_MAX} rows")));
            }
            let bu_position = *bu_positions.entry(bu.to_owned()).or_insert_with(|| {
                bus.push(bu.to_owned());
                bus.len() - 1
            });
            rows.push((bu_position, id.into()));
        }
        if rows.is_empty() {
            return Err(invalid("has a header but no rows".to_owned()));
        }
        let draw = Draw::zipf(rows.len(), zipf_exponent)?;
        Ok(Self { accounts: Accounts::Listed { bus, rows }, draw })
    }

    /// Draws one account. Cost: a random number and, where skewed, a binary search.
    pub fn draw(&self, random: &mut impl Rng) -> SourceKey {
        let position = match &self.draw {
            Draw::Even { count } => random.random_range(0..*count),
            Draw::Skewed(weights) => random.sample(weights),
        };
        let (bu, id) = match &self.accounts {
            Accounts::Numbered { bu } => (bu.clone(), format!("u{}", position + 1)),
            Accounts::Listed { bus, rows } => {
                let row = rows.get(position);
                let bu = row.and_then(|(bu_position, _)| bus.get(*bu_position)).cloned().unwrap_or_default();
                (bu, row.map(|(_, id)| id.to_string()).unwrap_or_default())
            }
        };
        SourceKey { bu, kind: KeyKind::Account.into(), id }
    }
}

/// Whether `name` is a business unit as `faces.v1` has them.
#[must_use]
pub fn is_bu(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn draws(people: &People, count: usize) -> BTreeMap<String, usize> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut drawn = BTreeMap::new();
        for _ in 0..count {
            let key = people.draw(&mut random);
            assert_eq!(key.kind(), KeyKind::Account);
            *drawn.entry(format!("{}/{}", key.bu, key.id)).or_default() += 1;
        }
        drawn
    }

    #[test]
    fn numbered_people_follow_zipf() {
        let people = People::numbered("video", 100, 1.0).unwrap();
        let drawn = draws(&people, 100_000);
        let share = |id: &str| drawn.get(id).copied().unwrap_or(0) as f64 / 100_000.0;
        // The 100th harmonic number is 5.187: the first takes 19.3 %, the tenth a tenth of that.
        assert!((share("video/u1") - 0.193).abs() < 0.005, "{}", share("video/u1"));
        assert!((share("video/u10") - 0.0193).abs() < 0.002, "{}", share("video/u10"));
        assert_eq!(drawn.len(), 100);
    }

    #[test]
    fn listed_people_keep_their_own_business_unit_and_ignore_other_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        fs::write(&path, "ts_ms,bu,local_user_id\n1,video,k1\n2,\"groceries\",\"k,2\"\n").unwrap();
        let drawn = draws(&People::listed(&path, 0.0).unwrap(), 1_000);
        assert_eq!(drawn.keys().collect::<Vec<_>>(), ["groceries/k,2", "video/k1"]);
        assert!(drawn.values().all(|count| (400..600).contains(count)), "{drawn:?}");
    }

    #[test]
    fn unusable_files_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        for (content, expected) in [
            ("bu,user\nvideo,k1\n", "no column `local_user_id`"),
            ("bu,local_user_id\n", "no rows"),
            ("bu,local_user_id\nVideo,k1\n", "line 2"),
            ("bu,local_user_id\nvideo,k1\nvideo,\n", "line 3"),
        ] {
            fs::write(&path, content).unwrap();
            let refusal = People::listed(&path, 0.0).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
        assert!(matches!(People::listed(&folder.path().join("none.csv"), 0.0), Err(LoadError::PeopleRead { .. })));
        assert!(People::numbered("video", 0, 1.0).is_err());
    }
}
