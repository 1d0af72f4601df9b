//! Many searches in one pass over the codes.

use std::ops::Range;

use crate::codes::Blocks;
use crate::scratch::Scratch;
use crate::search::Search;
use crate::shortlist::Shortlist;

/// Looks at the rows of these blocks for each search, four searches in one pass over the codes.
pub(crate) fn scan_by_fours<'a>(
    mut waiting: impl Iterator<Item = (&'a Search<'a>, &'a mut Scratch)>,
    blocks: &Blocks,
    slots: &Range<usize>,
    row_of: impl Fn(u32) -> u32,
) {
    let admits = |search: &Search<'_>, slot| search.allowed.is_none_or(|set| set.contains(row_of(slot)));
    loop {
        let four = [waiting.next(), waiting.next(), waiting.next(), waiting.next()];
        match four {
            [Some(one), Some(two), Some(three), Some(four)] => {
                let searches = [one.0, two.0, three.0, four.0];
                let lanes = [one.1, two.1, three.1, four.1].map(|Scratch { code, shortlist, .. }| (&*code, shortlist));
                let admits = |turn: usize, slot| searches.get(turn).is_some_and(|search| admits(search, slot));
                Shortlist::scan_many(lanes, blocks, slots.clone(), admits);
            }
            rest => {
                for (search, Scratch { code, shortlist, .. }) in rest.into_iter().flatten() {
                    shortlist.scan(code, blocks, slots.clone(), |slot| admits(search, slot));
                }
                return;
            }
        }
    }
}
