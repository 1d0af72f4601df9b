//! Lists of items beside each item: what a generation holds wherever one item leads to others. This module must not know why it does.

/// Each item's neighbours, best first: `rows[offsets[i]..offsets[i + 1]]` with `weights` alike.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourLists {
    offsets: Vec<u32>,
    rows: Vec<u32>,
    weights: Vec<f32>,
}

impl NeighbourLists {
    /// Takes the three arrays; `offsets` has one entry more than there are items.
    ///
    /// # Errors
    /// What is wrong: offsets that do not start at 0, fall or end elsewhere than at the number of rows, a row past the
    /// items, an item that is its own neighbour, a neighbour twice, a weight that is not finite and above 0, or
    /// weights that are not in falling order.
    pub fn new(offsets: Vec<u32>, rows: Vec<u32>, weights: Vec<f32>) -> Result<Self, String> {
        let Some(item_count) = offsets.len().checked_sub(1) else {
            return Err("the neighbours' offsets are empty".into());
        };
        if rows.len() != weights.len() {
            return Err(format!("{} neighbours have {} weights", rows.len(), weights.len()));
        }
        let ends_right = offsets.last().is_some_and(|&last| last as usize == rows.len());
        if offsets.first() != Some(&0) || !ends_right || !offsets.is_sorted() {
            return Err("the neighbours' offsets do not cover them".into());
        }
        let this = Self { offsets, rows, weights };
        let mut seen_by = vec![u32::MAX; item_count];
        for item in 0..item_count as u32 {
            let mut ceiling = f32::MAX;
            for (row, weight) in this.neighbours(item) {
                if row as usize >= item_count || row == item {
                    return Err(format!("item row {item} has the neighbour {row} of {item_count} items"));
                }
                if !(weight > 0.0 && weight <= ceiling) {
                    return Err(format!("item row {item} has the weight {weight} after {ceiling}"));
                }
                if std::mem::replace(&mut seen_by[row as usize], item) == item {
                    return Err(format!("item row {item} has the neighbour {row} twice"));
                }
                ceiling = weight;
            }
        }
        Ok(this)
    }

    /// From the kept neighbours of every item, in the order of rows.
    pub(crate) fn of_lists(lists: Vec<Vec<(u32, f32)>>) -> Self {
        let mut this = Self { offsets: vec![0], rows: Vec::new(), weights: Vec::new() };
        for neighbours in lists {
            this.rows.extend(neighbours.iter().map(|&(row, _)| row));
            this.weights.extend(neighbours.iter().map(|&(_, weight)| weight));
            this.offsets.push(this.rows.len() as u32);
        }
        this
    }

    /// No neighbours for any of so many items.
    pub fn none(item_count: usize) -> Self {
        Self { offsets: vec![0; item_count + 1], rows: Vec::new(), weights: Vec::new() }
    }

    /// The neighbours of an item row with their weights, heaviest first; none for an unknown row.
    pub fn neighbours(&self, row: u32) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
        let bounds = self.offsets.get(row as usize).zip(self.offsets.get(row as usize + 1));
        let range = bounds.map_or(0..0, |(&from, &to)| from as usize..to as usize);
        let rows = self.rows.get(range.clone()).unwrap_or_default();
        let weights = self.weights.get(range).unwrap_or_default();
        rows.iter().copied().zip(weights.iter().copied())
    }

    /// Where each item's neighbours begin, and one end more.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The neighbours' item rows.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The neighbours' weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// How many items there are, with neighbours or without.
    pub fn item_count(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_arrays_are_refused() {
        let check = |offsets: &[u32], rows: &[u32], weights: &[f32], reason: &str| {
            let refusal = NeighbourLists::new(offsets.into(), rows.into(), weights.into()).unwrap_err();
            assert!(refusal.contains(reason), "{refusal}");
        };
        check(&[], &[], &[], "empty");
        check(&[0, 2], &[0], &[1.0], "do not cover");
        check(&[1, 1], &[0], &[1.0], "do not cover");
        check(&[0, 2, 1], &[1], &[1.0], "do not cover");
        check(&[0, 1, 1], &[1], &[], "weights");
        check(&[0, 1, 1], &[2], &[1.0], "neighbour 2 of 2");
        check(&[0, 1, 1], &[0], &[1.0], "neighbour 0 of 2");
        check(&[0, 2, 2, 2], &[1, 2], &[1.0, 2.0], "weight 2 after 1");
        check(&[0, 1, 1], &[1], &[f32::NAN], "weight NaN");
        check(&[0, 2, 2], &[1, 1], &[1.0, 1.0], "twice");
    }
}
