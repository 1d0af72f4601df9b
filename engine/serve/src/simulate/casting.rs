//! Who plays what in the demo: the two people to compare, and what one of them discovers.

use std::cmp::Reverse;

use faces_proto::v1::{Item, Stock};
use rand::{Rng, seq::IndexedRandom};

use super::{NewInterest, Shopper, Unit, assortment::Assortment, crowd::Persona, history::Footprint, vocabulary::Vocabulary};

/// Units in which a star has history.
const UNITS_MIN: usize = 3;

/// Events that make a history rich.
const EVENTS_RICH: usize = 40;

/// Shoppers looked at in pairs, the best suited first.
const SHORTLIST: usize = 64;

/// Items to begin a new interest with.
const ITEMS_TO_BROWSE: usize = 3;

/// Someone who may be a star.
#[derive(Clone, Copy)]
struct Candidate<'world> {
    number: usize,
    shopper: &'world Shopper,
    footprint: &'world Footprint,
}

/// See [`super::World::contrasting_pair`]. Cost: the shortlist squared.
pub(super) fn contrasting_pair(shoppers: &[Shopper], personas: &[Persona], footprints: &[Footprint]) -> (usize, usize) {
    let mut candidates: Vec<Candidate<'_>> = shoppers
        .iter()
        .zip(footprints)
        .enumerate()
        .map(|(number, (shopper, footprint))| Candidate { number, shopper, footprint })
        .collect();
    candidates.sort_by_key(|candidate| Reverse(candidate.suitability()));
    candidates.truncate(SHORTLIST);
    let pairs = candidates.iter().enumerate().flat_map(|(rank, a)| candidates.iter().skip(rank + 1).map(move |b| (a, b)));
    let best = pairs.min_by(|(a, b), (c, d)| {
        let clash = |x: &Candidate<'_>, y: &Candidate<'_>| {
            let shared_tastes = tastes_overlap(personas.get(x.number), personas.get(y.number));
            (shared_tastes, x.shopper.name == y.shopper.name)
        };
        clash(a, b).cmp(&clash(c, d)).then(a.likeness(b).total_cmp(&c.likeness(d)))
    });
    best.map_or((0, 0), |(a, b)| (a.number, b.number))
}

/// See [`super::World::new_interest`]. Cost: a look at every shelf.
pub(super) fn new_interest<'world>(
    vocabulary: &Vocabulary,
    assortment: &'world Assortment,
    persona: Option<(&Persona, &Footprint)>,
    rng: &mut impl Rng,
) -> NewInterest<'world> {
    let units = units_to_browse(persona.map(|(persona, _)| persona));
    let mut untried: Vec<(u32, usize, Unit)> = Vec::new();
    for (position, niche) in vocabulary.niches.iter().enumerate() {
        let themes = [Some(niche.theme), niche.also];
        let familiarity = themes.into_iter().flatten().map(|theme| familiarity(persona, theme)).sum();
        untried.extend(units.iter().map(|unit| (familiarity, position, *unit)));
    }
    untried.retain(|(_, niche, unit)| in_stock(assortment, *niche, *unit).nth(ITEMS_TO_BROWSE - 1).is_some());
    let least = untried.iter().map(|(familiarity, _, _)| *familiarity).min();
    untried.retain(|(familiarity, _, _)| Some(*familiarity) == least);
    let (_, position, unit) = untried.choose(rng).copied().unwrap_or((0, 0, Unit::Marketplace));
    let niche = vocabulary.niches.get(position);
    NewInterest {
        theme: niche.and_then(|niche| vocabulary.themes.get(niche.theme)).map_or("", |theme| theme.name),
        niche: niche.map_or("", |niche| niche.name),
        bu: unit.name(),
        items: in_stock(assortment, position, unit).take(ITEMS_TO_BROWSE).collect(),
    }
}

impl Candidate<'_> {
    /// Larger is better: first whether the demo's conditions hold, then at home in more units, then more history.
    fn suitability(&self) -> (bool, usize, usize) {
        let units = self.footprint.events_by_unit.iter().filter(|events| **events > 0).count();
        (units >= UNITS_MIN && self.footprint.events >= EVENTS_RICH, units, self.footprint.events)
    }

    /// Cosine of what both visited, by theme.
    fn likeness(&self, other: &Self) -> f64 {
        let dot = |a: &Footprint, b: &Footprint| -> f64 {
            a.visits_by_theme.iter().zip(&b.visits_by_theme).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let (a, b) = (self.footprint, other.footprint);
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
    }
}

fn tastes_overlap(a: Option<&Persona>, b: Option<&Persona>) -> bool {
    let themes = |persona: Option<&Persona>| -> Vec<usize> {
        persona.map(|persona| persona.tastes.iter().map(|taste| taste.theme).collect()).unwrap_or_default()
    };
    let (a, b) = (themes(a), themes(b));
    a.iter().any(|theme| b.contains(theme))
}

/// The person's units; payments only where there is no other, since its shelves are small.
fn units_to_browse(persona: Option<&Persona>) -> Vec<Unit> {
    let own = persona.map_or(&Unit::ALL[..], |persona| persona.units.as_slice());
    let shops: Vec<Unit> = own.iter().copied().filter(|unit| *unit != Unit::Payments).collect();
    if shops.is_empty() { own.to_vec() } else { shops }
}

/// 0 for a theme that the person neither likes nor ever visited.
fn familiarity(persona: Option<(&Persona, &Footprint)>, theme: usize) -> u32 {
    let Some((persona, footprint)) = persona else { return 0 };
    let visits = footprint.visits_by_theme.get(theme).copied().unwrap_or_default();
    let liked = persona.tastes.iter().any(|taste| taste.theme == theme);
    visits + if liked { 1_000 } else { 0 }
}

fn in_stock(assortment: &Assortment, niche: usize, unit: Unit) -> impl Iterator<Item = &Item> {
    let shelf = assortment.shelf(niche, unit).iter();
    shelf.filter_map(|position| assortment.items.get(*position)).filter(|item| item.stock() != Stock::SoldOut)
}
