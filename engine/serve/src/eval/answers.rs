//! Files of answers, in the form that `faces eval` writes: `query_id,rank,item_id`, rank from 1.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::{judge::Judge, outcome::Outcomes, queries::QuerySet};

/// Answers by query.
#[derive(Debug, Default)]
pub struct Answers {
    ranked: HashMap<String, Vec<(usize, String)>>,
}

#[derive(Deserialize)]
struct Row {
    query_id: String,
    rank: usize,
    item_id: String,
}

impl Answers {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that can't be read; a rank of 0; a rank or an item that an answer has twice.
    pub fn read(path: &Path) -> Result<Self> {
        let mut answers = Self::default();
        let mut reader = csv::Reader::from_path(path).with_context(|| format!("can't open {}", path.display()))?;
        for row in reader.deserialize() {
            let Row { query_id, rank, item_id } = row.with_context(|| format!("can't read {}", path.display()))?;
            ensure!(rank > 0, "{}: query {query_id} has an item at rank 0; ranks count from 1", path.display());
            answers.ranked.entry(query_id).or_default().push((rank, item_id));
        }
        for (query_id, ranked) in &mut answers.ranked {
            ranked.sort_unstable();
            let is_twice = ranked.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other));
            ensure!(!is_twice, "{}: query {query_id} has two items at one rank", path.display());
            let mut names: Vec<&str> = ranked.iter().map(|(_, name)| name.as_str()).collect();
            names.sort_unstable();
            if let Some([name, ..]) = names.windows(2).find(|pair| matches!(pair, [one, other] if one == other)) {
                bail!("{}: query {query_id} has an item twice: {name:?}", path.display());
            }
        }
        Ok(answers)
    }

    /// Judges them. A query without an answer is one answered with nothing; answers to other queries do not count.
    ///
    /// # Errors
    /// No answer to any of the queries; an account that the engine would not accept.
    pub fn judged(&self, set: &QuerySet, mut judge: Judge<'_>) -> Result<(Outcomes, usize)> {
        let mut unanswered = 0;
        for query in &set.queries {
            let ranked = self.ranked.get(&query.query_id).map(Vec::as_slice).unwrap_or_default();
            unanswered += usize::from(ranked.is_empty());
            judge.add(query, ranked.iter().map(|(rank, name)| (*rank, name.as_str())))?;
        }
        ensure!(unanswered < set.queries.len(), "there is no answer to any of the {} queries", set.queries.len());
        Ok((judge.finish(), unanswered))
    }
}
