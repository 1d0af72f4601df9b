//! From a grown graph to a flat one: every node reachable, numbered in the order a walk meets them.

use crate::graph::distinct::Groups;
use crate::graph::grow::Grown;
use crate::graph::layout::Layout;
use crate::graph::reduce::Points;

/// Values that every search scores first: 256 consecutive rows at d = 64, some 1.5 µs; fewer where rows are longer.
const ENTRY_VALUES: usize = 256 * 64;

/// The fewest entries, however long rows are.
const ENTRIES_MIN: usize = 32;

/// The most entries, however short rows are.
const ENTRIES_MAX: usize = 256;

/// Lays the graph out. `degree_max` bounds a node's neighbours; a node's code has so many `columns`.
pub(crate) fn freeze(grown: Grown, groups: Groups, points: &Points, degree_max: usize, columns: usize) -> Layout {
    let Grown { order, mut links } = grown;
    for node_links in &mut links {
        node_links.truncate(degree_max);
    }
    add_reverse_links(&order, &mut links, degree_max);
    let entries = order.len().min((ENTRY_VALUES / columns.max(1)).clamp(ENTRIES_MIN, ENTRIES_MAX));
    let reach = Reach::of(order, links, entries, points, degree_max);
    number(&reach, &groups, entries)
}

/// Fills free places with the reverse of links, nearest first: `hnsw_rs` cuts these off by distance alone, which
/// leaves some nodes that nothing links to.
fn add_reverse_links(order: &[u32], links: &mut [Vec<u32>], degree_max: usize) {
    let forward = links.to_vec();
    for &node in order {
        for &link in forward.get(node as usize).into_iter().flatten() {
            if let Some(reverse) = links.get_mut(link as usize)
                && reverse.len() < degree_max
                && !reverse.contains(&node)
            {
                reverse.push(node);
            }
        }
    }
}

/// A breadth-first search from the entries that links in whatever it cannot reach.
struct Reach<'a> {
    points: &'a Points,
    degree_max: usize,
    links: Vec<Vec<u32>>,
    /// Which node's link reached a node first; an entry's parent is itself. Such links are never replaced, so what is
    /// reached stays reached.
    parents: Vec<Option<u32>>,
    /// The nodes reached, in that order.
    reached: Vec<u32>,
}

impl<'a> Reach<'a> {
    fn of(order: Vec<u32>, links: Vec<Vec<u32>>, entries: usize, points: &'a Points, degree_max: usize) -> Self {
        let parents = vec![None; links.len()];
        let reached = Vec::with_capacity(links.len());
        let mut reach = Self { points, degree_max, links, parents, reached };
        for &entry in order.iter().take(entries) {
            reach.mark(entry, entry);
        }
        reach.spread(0);
        let mut strays: Vec<u32> = order.into_iter().filter(|node| reach.parent(*node).is_none()).collect();
        while !strays.is_empty() {
            let before = reach.reached.len();
            strays.retain(|stray| !reach.adopt(*stray));
            if reach.reached.len() == before {
                // An island: nothing it links to is reached. Its first node is tied to the nearest entry.
                if let Some(&stray) = strays.first() {
                    reach.bridge(stray, entries);
                }
            }
        }
        reach
    }

    fn parent(&self, node: u32) -> Option<u32> {
        self.parents.get(node as usize).copied().flatten()
    }

    fn neighbours(&self, node: u32) -> &[u32] {
        self.links.get(node as usize).map(Vec::as_slice).unwrap_or_default()
    }

    fn mark(&mut self, node: u32, parent: u32) {
        if let Some(place @ None) = self.parents.get_mut(node as usize) {
            *place = Some(parent);
            self.reached.push(node);
        }
    }

    /// Follows links from the `from`-th reached node on.
    fn spread(&mut self, from: usize) {
        let mut at = from;
        while let Some(&node) = self.reached.get(at) {
            let neighbours = self.links.get_mut(node as usize).map(std::mem::take).unwrap_or_default();
            for &link in &neighbours {
                self.mark(link, node);
            }
            if let Some(links) = self.links.get_mut(node as usize) {
                *links = neighbours;
            }
            at += 1;
        }
    }

    /// Whether `stray` is reached, linking it from the nearest of its own neighbours that is reached and has room.
    fn adopt(&mut self, stray: u32) -> bool {
        let hosts = self.neighbours(stray).to_vec();
        self.parent(stray).is_some() || hosts.into_iter().any(|host| self.parent(host).is_some() && self.link(host, stray))
    }

    /// Links `stray` from the nearest entry that has room, else from the last node reached: that one is no parent, so
    /// all its places are free to take.
    fn bridge(&mut self, stray: u32, entries: usize) {
        let mut hosts: Vec<u32> = self.reached.iter().take(entries).copied().collect();
        hosts.sort_by(|left, right| {
            let distance = |host| self.points.distance(host, stray);
            distance(*left).total_cmp(&distance(*right))
        });
        hosts.extend(self.reached.last());
        let _is_linked = hosts.into_iter().any(|host| self.link(host, stray));
    }

    /// Links `host` to `stray` if `host` has a free place, or a link that is not the one that reached its target.
    fn link(&mut self, host: u32, stray: u32) -> bool {
        let free = self.neighbours(host).iter().rposition(|link| self.parent(*link) != Some(host));
        let degree_max = self.degree_max;
        let Some(links) = self.links.get_mut(host as usize) else {
            return false;
        };
        if links.len() < degree_max {
            links.push(stray);
        } else if let Some(place) = free.and_then(|at| links.get_mut(at)) {
            *place = stray;
        } else {
            return false;
        }
        let from = self.reached.len();
        self.mark(stray, host);
        self.spread(from);
        true
    }
}

/// Renumbers nodes in the order they were reached and flattens their links.
fn number(reach: &Reach<'_>, groups: &Groups, entries: usize) -> Layout {
    let mut numbers = vec![0u32; reach.reached.len()];
    for (&node, number) in reach.reached.iter().zip(0..) {
        if let Some(place) = numbers.get_mut(node as usize) {
            *place = number;
        }
    }
    let degree = reach.links.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut links = Vec::with_capacity(reach.reached.len() * degree);
    for (&node, number) in reach.reached.iter().zip(0u32..) {
        let neighbours = reach.neighbours(node).iter();
        let numbered = neighbours.filter_map(|link| numbers.get(*link as usize).copied());
        links.extend(numbered.chain(std::iter::repeat(number)).take(degree));
    }
    let groups = Groups::from_groups(reach.reached.iter().map(|node| groups.rows(*node)));
    Layout { groups, entries, degree, links }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::full::Full;
    use crate::metric::Metric;
    use crate::table::Table;
    use crate::vectors::Vectors;

    /// Freezes hand-made links over points on a line; its check wants all to be reachable.
    fn check(count: u16, degree_max: usize, links: impl Fn(u32) -> Vec<u32>) {
        let vectors = Vectors::new(2, (0..count).flat_map(|row| [f32::from(row), 1.0]).collect()).unwrap();
        let full = Full::new(vectors, Metric::InnerProduct);
        let groups = Groups::of(&full);
        let points = Points::of(&full, &groups);
        let order: Vec<u32> = (0..u32::from(count)).collect();
        let links = order.iter().map(|node| links(*node)).collect();
        let layout = freeze(Grown { order, links }, groups, &points, degree_max, 2);
        assert!(layout.degree <= degree_max);
        let rows = layout.groups.rows.len();
        assert_eq!(rows, usize::from(count));
        layout.check(&Table::Full(full)).unwrap();
    }

    #[test]
    fn whatever_was_grown_every_node_is_reached() {
        check(0, 4, |_| Vec::new());
        check(1, 4, |_| Vec::new());
        check(1000, 4, |_| Vec::new()); // all alone
        check(2000, 2, |node| vec![node ^ 1]); // a thousand islands
        check(1000, 1, |node| vec![(node + 1) % 1000]); // a ring with no place to spare
        check(1000, 3, |_| vec![0, 1, 2]); // all look at the same three
        check(1000, 4, |node| (0..4).map(|step| node / 250 * 250 + (node * 7 + step * 3) % 250).collect()); // four islands
    }
}
