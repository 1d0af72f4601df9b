//! Whole-number counts per item and span of time.

use crate::ids::{BuId, EventTime, ItemId};

/// A behaviour that a fragment took (strength above 0) or let go (below).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demanded {
    pub(crate) bu: BuId,
    pub(crate) item: ItemId,
    pub(crate) time: EventTime,
    pub(crate) strength: i8,
}

/// The span that holds a time. `span_ms` is above 0.
pub(super) const fn span_of(span_ms: i64, time: EventTime) -> i64 {
    time.millis().div_euclid(span_ms)
}

#[derive(Debug)]
pub(super) struct Counts {
    span_ms: i64,
    rows: Vec<Row>, // by item
    touched: Vec<ItemId>,
}

/// Counts of one item.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    bu: Option<BuId>,
    is_touched: bool,
    spans: Vec<(i32, i32)>, // span, count; oldest first; never 0
}

impl Counts {
    pub(super) const fn new(span_ms: i64) -> Self {
        Self { span_ms, rows: Vec::new(), touched: Vec::new() }
    }

    pub(super) fn add(&mut self, demanded: &[Demanded]) {
        for one in demanded {
            let span = self.span_of(one.time);
            if let Some(row) = self.row_mut(one.item) {
                row.bu = Some(one.bu);
                row.add(span, i32::from(one.strength));
                self.touch(one.item);
            }
        }
    }

    /// Counts in a tally: whose the item is, is asked when it is merged.
    pub(super) fn add_unassigned(&mut self, item: ItemId, time: EventTime, strength: i8) {
        let span = self.span_of(time);
        if let Some(row) = self.row_mut(item).filter(|_| strength != 0) {
            row.add(span, i32::from(strength));
        }
    }

    /// Adds what was counted apart.
    pub(super) fn merge(&mut self, other: &Self, bu_of: impl Fn(ItemId) -> Option<BuId>) {
        for (item, counted) in other.rows().filter(|(_, row)| !row.spans.is_empty()) {
            if let Some(row) = self.row_mut(item) {
                row.bu = bu_of(item);
                counted.spans.iter().for_each(|(span, count)| row.add(*span, *count));
                self.touch(item);
            }
        }
    }

    fn span_of(&self, time: EventTime) -> i32 {
        i32::try_from(span_of(self.span_ms, time)).unwrap_or(i32::MIN)
    }

    fn row_mut(&mut self, item: ItemId) -> Option<&mut Row> {
        if self.rows.len() <= item.position() {
            self.rows.resize(item.position() + 1, Row::default());
        }
        self.rows.get_mut(item.position())
    }

    fn touch(&mut self, item: ItemId) {
        if let Some(row) = self.rows.get_mut(item.position()).filter(|row| !row.is_touched) {
            row.is_touched = true;
            self.touched.push(item);
        }
    }

    /// Has an item that is counted put in its places anew, though its counts stay.
    pub(super) fn touch_known(&mut self, item: ItemId) {
        if self.row(item).is_some_and(|row| row.bu.is_some()) {
            self.touch(item);
        }
    }

    /// Items counted since this was last asked.
    pub(super) fn take_touched(&mut self) -> Vec<ItemId> {
        let touched = std::mem::take(&mut self.touched);
        for item in &touched {
            if let Some(row) = self.rows.get_mut(item.position()) {
                row.is_touched = false;
            }
        }
        touched
    }

    pub(super) const fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    pub(super) fn row(&self, item: ItemId) -> Option<&Row> {
        self.rows.get(item.position())
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (ItemId, &Row)> {
        self.rows.iter().enumerate().map(|(position, row)| (ItemId::new(position as u32), row))
    }

    pub(super) fn visit(&self, mut visit: impl FnMut(ItemId, i64, i64)) {
        for (item, row) in self.rows() {
            row.spans.iter().for_each(|(span, count)| visit(item, i64::from(*span), i64::from(*count)));
        }
    }
}

impl Row {
    pub(super) fn add(&mut self, span: i32, added: i32) {
        // Nearly always the newest span.
        let position = match self.spans.last() {
            Some((last, _)) if *last == span => Ok(self.spans.len() - 1),
            Some((last, _)) if *last < span => Err(self.spans.len()),
            _ => self.spans.binary_search_by_key(&span, |(span, _)| *span),
        };
        match position {
            Ok(position) => {
                let Some((_, count)) = self.spans.get_mut(position) else { return };
                *count = count.saturating_add(added);
                // Below 0 it waits for what another writer took before this one let it go.
                if *count == 0 {
                    self.spans.remove(position);
                }
            }
            Err(position) => self.spans.insert(position, (span, added)),
        }
    }

    pub(super) const fn bu(&self) -> Option<BuId> {
        self.bu
    }

    /// All counts together, however old.
    pub(super) fn total(&self) -> i32 {
        self.spans.iter().map(|(_, count)| *count).fold(0, i32::saturating_add)
    }

    pub(super) const fn is_void(&self) -> bool {
        self.spans.is_empty()
    }

    /// Forgets counts of spans before `first`.
    pub(super) fn forget_before(&mut self, first: i32) {
        self.spans.retain(|(span, _)| *span >= first);
    }

    /// The newest span in which anything is counted.
    pub(super) fn newest(&self) -> Option<i32> {
        self.spans.last().map(|(span, _)| *span)
    }

    /// The sum of counts, each weighed by how many spans it lies after the landmark. The same counts give the same bits.
    pub(super) fn weigh(&self, weight_of: impl Fn(i32) -> f64) -> f64 {
        let sum: f64 = self.spans.iter().map(|(span, count)| f64::from(*count) * weight_of(*span)).sum();
        sum.max(0.0)
    }
}
