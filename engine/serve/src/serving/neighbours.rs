//! What each item leads to, laid out so that a request reads one run of memory for an item and a unit.

use faces_core::{
    catalogue::Catalogue,
    ids::{BuId, ItemId},
};

/// Items asked about together: looks at memory that don't hang on each other wait together.
const TOGETHER: usize = 16;

/// The neighbours of all items by one relation.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// By item position: where its runs lie.
    runs_of: Vec<(u32, u32)>,
    /// Of all items, grouped by business unit inside an item.
    neighbours: Vec<(ItemId, f32)>,
    runs: Vec<Run>,
}

/// The neighbours of one item in one business unit.
#[derive(Clone, Copy, Debug)]
struct Run {
    bu: BuId,
    start: u32,
    end: u32,
}

impl Neighbours {
    /// None yet, for items of positions below `items`, with room for so many pairs.
    pub(super) fn new(items: usize, pairs: usize) -> Self {
        Self { runs_of: vec![(0, 0); items], neighbours: Vec::with_capacity(pairs), runs: Vec::new() }
    }

    /// Adds those of an item, heaviest first; once for an item.
    pub(super) fn add(&mut self, item: ItemId, mut neighbours: Vec<(ItemId, f32)>, catalogue: &Catalogue) {
        neighbours.sort_by_key(|(neighbour, _)| catalogue.bu_of(*neighbour)); // stable: heaviest first inside a unit
        let runs_start = self.runs.len() as u32;
        for (neighbour, weight) in neighbours {
            let Some(bu) = catalogue.bu_of(neighbour) else { continue };
            let at = self.neighbours.len() as u32;
            let first_of_item = self.runs.len() as u32 == runs_start;
            match self.runs.last_mut().filter(|run| !first_of_item && run.bu == bu) {
                Some(run) => run.end = at + 1,
                None => self.runs.push(Run { bu, start: at, end: at + 1 }),
            }
            self.neighbours.push((neighbour, weight));
        }
        if let Some(runs) = self.runs_of.get_mut(item.position()) {
            *runs = (runs_start, self.runs.len() as u32);
        }
    }

    /// The neighbours of an item in a unit, heaviest first.
    pub(super) fn of(&self, item: ItemId, bu: BuId) -> &[(ItemId, f32)] {
        let (start, end) = self.runs_of.get(item.position()).copied().unwrap_or_default();
        let runs = self.runs.get(start as usize..end as usize).unwrap_or_default();
        let run = runs.iter().find(|run| run.bu == bu).map(|run| run.start as usize..run.end as usize);
        run.and_then(|run| self.neighbours.get(run)).unwrap_or_default()
    }

    /// Calls `take` with the neighbours of each of these items in a unit, weights multiplied by the item's.
    pub(super) fn of_each(&self, weighed: &mut dyn Iterator<Item = (ItemId, f32)>, bu: BuId, take: &mut dyn FnMut(ItemId, f32)) {
        loop {
            // A few at a time, each step for all of them.
            let asked: [Option<(ItemId, f32)>; TOGETHER] = std::array::from_fn(|_| weighed.next());
            let runs = asked.map(|asked| asked.map(|(item, weight)| (self.of(item, bu), weight)));
            let lines = runs.iter().flatten().flat_map(|(run, _)| run.iter().step_by(64 / size_of::<(ItemId, f32)>()));
            std::hint::black_box(lines.fold(0, |sum, (item, _)| sum ^ item.number()));
            for (run, weight) in runs.into_iter().flatten() {
                run.iter().for_each(|(neighbour, strength)| take(*neighbour, weight * strength));
            }
            if asked.iter().any(Option::is_none) {
                return;
            }
        }
    }
}
