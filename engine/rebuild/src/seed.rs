//! What a server starts from where the log no longer tells it: the catalogue, and people's latest items as seed of the live neighbours.
//!
//! The seed names nobody: of a person it has, by unit, which items were taken last and when. As among live neighbours, an item that too
//! few took is never among them.

use faces_core::{
    catalogue::ItemAttributes,
    neighbours::{LINE_ITEMS, TAKERS_MAX, TAKERS_MIN},
};

use crate::training::{Interaction, Log};

/// Most people in a seed.
const PEOPLE_MAX: usize = 500_000;
const MINUTE_MS: i64 = 60_000;

/// What a server starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seed {
    /// By item row, what the catalogue says.
    pub catalogue: Vec<ItemAttributes>,
    /// Who took what last.
    pub neighbours: NeighbourSeed,
}

/// People's latest items, those who were active last at the end. A line is what a person took in one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourSeed {
    /// By person, where their lines end.
    pub(crate) line_ends: Vec<u32>,
    /// By line, where its items end.
    pub(crate) item_ends: Vec<u32>,
    /// Item rows, newest first.
    pub(crate) rows: Vec<u32>,
    /// When each was taken, in minutes since 1970.
    pub(crate) minutes: Vec<u32>,
}

impl Seed {
    /// The seed that a log gives; `None` where it does not say what the catalogue holds.
    pub(crate) fn of(log: &Log) -> Option<Self> {
        let mut catalogue = log.attributes()?.to_vec();
        for (row, vector) in log.embeddings().into_iter().flat_map(|embeddings| embeddings.iter()) {
            if let Some(of) = catalogue.get_mut(row as usize) {
                of.embedding = vector.to_vec();
            }
        }
        Some(Self { catalogue, neighbours: NeighbourSeed::of(log) })
    }

    /// Whether it is one of a generation of so many items.
    pub(crate) fn check(&self, items: usize) -> Result<(), String> {
        if self.catalogue.len() != items {
            return Err(format!("its catalogue covers {} items of {items}", self.catalogue.len()));
        }
        let NeighbourSeed { line_ends, item_ends, rows, minutes } = &self.neighbours;
        let is_cut = |ends: &[u32], len: usize| ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == len;
        if !is_cut(line_ends, item_ends.len()) || !is_cut(item_ends, rows.len()) || minutes.len() != rows.len() {
            return Err("its seed of neighbours is cut in the wrong places".into());
        }
        match rows.iter().find(|row| **row as usize >= items) {
            Some(row) => Err(format!("its seed of neighbours names item row {row} of {items}")),
            None => Ok(()),
        }
    }
}

impl NeighbourSeed {
    /// Those of a log's people whom a server would keep as takers of some item: the latest of each.
    fn of(log: &Log) -> Self {
        let (items, acts) = (log.items().len(), log.interactions());
        let people: Vec<&[Interaction]> = acts.chunk_by(|left, right| left.person == right.person).collect();
        let mut takers = vec![0_u32; items];
        let mut last_taker = vec![u32::MAX; items];
        for (n, acts) in people.iter().enumerate() {
            for act in *acts {
                let row = act.item as usize;
                if std::mem::replace(&mut last_taker[row], n as u32) != n as u32 {
                    takers[row] += 1;
                }
            }
        }
        drop(last_taker);
        let mut newest_first: Vec<usize> = (0..people.len()).collect();
        let newest = |n: &usize| people[*n].last().map(|act| (act.ts_ms, act.person));
        newest_first.sort_unstable_by_key(|n| std::cmp::Reverse(newest(n)));
        let (mut kept, mut places) = (Vec::new(), vec![0_u32; items]);
        for n in newest_first {
            let lines = lines(people[n], log.units_of_rows(), |row| takers[row as usize] as usize >= TAKERS_MIN);
            let rows = || lines.iter().flatten().map(|(row, _)| *row as usize);
            let has_place = rows().count() > 1 && rows().any(|row| (places[row] as usize) < TAKERS_MAX);
            if has_place {
                rows().for_each(|row| places[row] += 1);
                kept.push(lines);
            }
            if kept.len() == PEOPLE_MAX {
                break;
            }
        }
        let mut seed = Self::default();
        for lines in kept.iter().rev() {
            for line in lines {
                for (row, ts_ms) in line {
                    seed.rows.push(*row);
                    seed.minutes.push((ts_ms / MINUTE_MS).clamp(0, i64::from(u32::MAX)) as u32);
                }
                seed.item_ends.push(seed.rows.len() as u32);
            }
            seed.line_ends.push(seed.item_ends.len() as u32);
        }
        seed
    }

    /// How many people it has.
    pub fn people_count(&self) -> usize {
        self.line_ends.len()
    }

    /// Of each person the lines, and of each line the item rows and times (milliseconds since 1970), newest first.
    pub fn people(&self) -> impl Iterator<Item = impl Iterator<Item = impl Iterator<Item = (u32, i64)> + '_> + '_> + '_ {
        spans(&self.line_ends, 0).map(|lines| {
            let start = lines.start.checked_sub(1).and_then(|before| self.item_ends.get(before)).map_or(0, |end| *end as usize);
            spans(self.item_ends.get(lines).unwrap_or_default(), start).map(|items| {
                let minutes = self.minutes.get(items.clone()).unwrap_or_default();
                let rows = self.rows.get(items).unwrap_or_default();
                rows.iter().zip(minutes).map(|(row, minute)| (*row, i64::from(*minute) * MINUTE_MS))
            })
        })
    }
}

/// What lies between one end and the next, from `start` on.
fn spans(ends: &[u32], start: usize) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    ends.iter().scan(start, |start, end| Some(std::mem::replace(start, *end as usize)..*end as usize))
}

/// A person's latest items by unit, each once, newest first.
fn lines(acts: &[Interaction], units: &[u16], may_name: impl Fn(u32) -> bool) -> Vec<Vec<(u32, i64)>> {
    let mut lines: Vec<(u16, Vec<(u32, i64)>)> = Vec::new();
    for act in acts.iter().rev().filter(|act| may_name(act.item)) {
        let unit = units[act.item as usize];
        let place = lines.iter().position(|(of, _)| *of == unit).unwrap_or_else(|| {
            lines.push((unit, Vec::new()));
            lines.len() - 1
        });
        let line = &mut lines[place].1;
        if line.len() < LINE_ITEMS && line.iter().all(|(row, _)| *row != act.item) {
            line.push((act.item, act.ts_ms));
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainingItem;

    fn log(acts: &[(u32, u32, i64)]) -> Log {
        let item = |n: u32| TrainingItem { bu: format!("u{}", n % 2), item_id: n.to_string() };
        let act = |(person, item, minute): &(u32, u32, i64)| Interaction {
            person: *person,
            item: *item,
            ts_ms: minute * MINUTE_MS + 7,
            weight: 1.0,
        };
        let attributes = |n: u32| ItemAttributes { title: format!("item {n}"), ..ItemAttributes::default() };
        let log = Log::new((0..30).map(item).collect(), acts.iter().map(act).collect()).unwrap();
        log.with_attributes((0..30).map(attributes).collect()).unwrap()
    }

    fn people(seed: &NeighbourSeed) -> Vec<Vec<Vec<(u32, i64)>>> {
        let minutes = |(row, ts_ms)| (row, ts_ms / MINUTE_MS);
        seed.people().map(|lines| lines.map(|line| line.map(minutes).collect()).collect()).collect()
    }

    #[test]
    fn lines_are_by_unit_newest_first_and_who_was_active_last_is_last() {
        let of_three = |minute| [(1, 0, minute), (1, 2, minute + 1), (1, 1, minute + 2)];
        let acts: Vec<_> = [(1, 100), (2, 50), (3, 200)]
            .into_iter()
            .flat_map(|(person, minute)| of_three(minute).map(|(_, item, minute)| (person, item, minute)))
            .chain([(1, 0, 190)]) // once more: an item is in a line once, at its newest
            .collect();
        let seed = Seed::of(&log(&acts)).unwrap();
        assert_eq!(seed.catalogue[7].title, "item 7");
        let line = |minute| vec![vec![(1, minute + 2)], vec![(2, minute + 1), (0, minute)]];
        assert_eq!(people(&seed.neighbours), [line(50), vec![vec![(0, 190), (2, 101)], vec![(1, 102)]], line(200)]);
        seed.check(30).unwrap();
        assert!(seed.check(29).unwrap_err().contains("covers 30 items of 29"));
    }

    #[test]
    fn what_too_few_took_is_not_in_it_and_who_is_left_with_less_than_two_items_neither() {
        let acts = [(1, 0, 1), (2, 0, 1), (3, 0, 1), (1, 2, 2), (2, 2, 2), (1, 4, 3), (2, 4, 3), (3, 4, 3)];
        let seed = NeighbourSeed::of(&log(&acts));
        assert_eq!(people(&seed), vec![vec![vec![(4, 3), (0, 1)]]; 3], "item 2 has two takers");
        assert_eq!(seed.people_count(), 3);
        assert_eq!(NeighbourSeed::of(&log(&acts[..5])), NeighbourSeed::default(), "one item each leads nowhere");
    }

    #[test]
    fn a_line_is_as_long_as_a_live_one_and_an_item_has_as_many_takers() {
        let many = TAKERS_MAX as u32 + 20;
        let acts: Vec<_> =
            (0..many).flat_map(|person| (0..30).map(move |item| (person, item, i64::from(person + item)))).collect();
        let seed = NeighbourSeed::of(&log(&acts));
        let people = people(&seed);
        assert_eq!(people.len(), TAKERS_MAX, "the latest");
        assert!(people.iter().flatten().all(|line| line.len() == LINE_ITEMS));
        assert_eq!(people[0][0][0].1, i64::from(20 + 29), "of the first that is kept");
    }

    #[test]
    fn a_log_without_a_catalogue_gives_none_and_damage_is_seen() {
        let item = TrainingItem { bu: "u".into(), item_id: "a".into() };
        assert_eq!(Seed::of(&Log::new(vec![item], vec![]).unwrap()), None);
        let acts = [(1, 0, 1), (2, 0, 1), (3, 0, 1), (1, 4, 3), (2, 4, 3), (3, 4, 3)];
        let whole = Seed::of(&log(&acts)).unwrap();
        let refused = |spoil: fn(&mut NeighbourSeed)| {
            let mut seed = whole.clone();
            spoil(&mut seed.neighbours);
            seed.check(30).unwrap_err()
        };
        assert!(refused(|seed| seed.rows[0] = 30).contains("names item row 30 of 30"));
        for spoil in [
            (|seed| seed.item_ends[0] = 90) as fn(&mut NeighbourSeed),
            |seed| _ = seed.line_ends.pop(),
            |seed| _ = seed.minutes.pop(),
            |seed| seed.line_ends[0] = 9,
        ] {
            assert!(refused(spoil).contains("cut in the wrong places"));
        }
    }
}
