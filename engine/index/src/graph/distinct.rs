//! One node per distinct vector.
//!
//! Duplicates (catalogue variants, untrained rows) ruin a neighbour graph: their neighbours are each other, and the
//! way out is pruned. So rows whose scaled values are equal share a node, and an answer names them all.

use std::cmp::Ordering;

use crate::error::IndexError;
use crate::full::Full;
use crate::table::Table;
use crate::vectors::DIMENSION_MAX;

/// The rows of every node: node `n` has `rows[starts[n]..starts[n + 1]]`, at least one, ascending.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

impl Groups {
    /// Groups equal rows; nodes are in the order of their smallest row. Sorts the rows: n·log n comparisons.
    pub(crate) fn of(full: &Full) -> Self {
        let mut order: Vec<u32> = (0..full.len() as u32).collect();
        order.sort_unstable_by(|left, right| compare_full(full, *left, *right).then(left.cmp(right)));
        let mut groups: Vec<&[u32]> = order.chunk_by(|left, right| compare_full(full, *left, *right).is_eq()).collect();
        groups.sort_unstable_by_key(|group| group.first());
        Self::from_groups(groups)
    }

    pub(crate) fn from_groups<'a>(groups: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for group in groups {
            rows.extend_from_slice(group);
            starts.push(rows.len() as u32);
        }
        Self { starts, rows }
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The rows of a node, ascending.
    #[inline]
    pub(crate) fn rows(&self, node: u32) -> &[u32] {
        let node = node as usize;
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(&start), Some(&end)) => self.rows.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    pub(crate) fn check(&self, table: &Table) -> Result<(), IndexError> {
        let count = table.len();
        let malformed = |reason| Err(IndexError::Malformed { reason });
        let is_ascending = self.starts.is_sorted_by(|left, right| left < right);
        if self.starts.first() != Some(&0) || self.starts.last() != Some(&(count as u32)) || !is_ascending {
            return malformed("the nodes do not divide the rows");
        }
        let mut seen = vec![false; count];
        for &row in &self.rows {
            match seen.get_mut(row as usize) {
                Some(seen @ false) => *seen = true,
                _ => return malformed("a row is in no node, or in two"),
            }
        }
        if self.rows.len() != count {
            return malformed("a row is in no node, or in two");
        }
        for node in 0..self.len() as u32 {
            let is_group = self.rows(node).is_sorted_by(|left, right| left < right && compare(table, *left, *right).is_eq());
            if !is_group {
                return malformed("a node's rows differ");
            }
        }
        Ok(())
    }
}

/// Orders rows by their scaled values.
fn compare(table: &Table, left: u32, right: u32) -> Ordering {
    match table {
        Table::Full(full) => compare_full(full, left, right),
        Table::Compact(_) => compare_compact(table, left, right),
    }
}

fn compare_full(full: &Full, left: u32, right: u32) -> Ordering {
    let (left_scale, right_scale) = (full.scale(left), full.scale(right));
    let pairs = full.row(left).iter().zip(full.row(right));
    // Adding 0.0 makes -0.0 equal to 0.0.
    let mut orders = pairs.map(|(a, b)| (a * left_scale + 0.0).total_cmp(&(b * right_scale + 0.0)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn compare_compact(table: &Table, left: u32, right: u32) -> Ordering {
    let (mut left_values, mut right_values) = ([0.0; DIMENSION_MAX], [0.0; DIMENSION_MAX]);
    for (row, values) in [(left, &mut left_values), (right, &mut right_values)] {
        table.fill(row, values.get_mut(..table.dimension()).unwrap_or_default());
    }
    let mut orders = left_values.iter().zip(&right_values).map(|(a, b)| (a + 0.0).total_cmp(&(b + 0.0)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::vectors::Vectors;

    #[test]
    fn equal_rows_share_a_node() {
        let data = vec![2.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, -0.0, 0.0];
        let groups = |metric| Groups::of(&Full::new(Vectors::new(2, data.clone()).unwrap(), metric));
        let by_product = groups(Metric::InnerProduct);
        assert_eq!((by_product.starts, by_product.rows), (vec![0, 1, 3, 4, 6], vec![0, 1, 3, 2, 4, 5]));
        let by_cosine = groups(Metric::Cosine);
        assert_eq!((by_cosine.starts, by_cosine.rows), (vec![0, 2, 4, 6], vec![0, 2, 1, 3, 4, 5]));
    }
}
