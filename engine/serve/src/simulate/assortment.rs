//! What the group sells: readable items, and behind each the niche and themes that the engine is not told.

use std::collections::{HashMap, HashSet};

use faces_proto::v1::{Item, ItemRef, Stock};
use rand::{
    Rng, RngExt,
    seq::{IndexedRandom, SliceRandom},
};

use super::{
    Unit, WorldSize,
    title::Template,
    vocabulary::{Line, Niche, Theme, Vocabulary},
};

/// Who makes films and series.
const STUDIOS: [&str; 10] = [
    "Studio Hinode",
    "Kawabe Pictures",
    "North Lantern",
    "Paper Moon",
    "Channel Eight",
    "Seto Documentary",
    "Velvet Fox",
    "Umi Films",
    "Long Take",
    "Tanuki Animation",
];

/// Who offers coupons, cashback and passes.
const WALLETS: [&str; 3] = ["Hoshi Pay", "Point House", "Kaede Wallet"];

/// Who issues cards and lends.
const BANKS: [&str; 2] = ["Kaede Bank", "Tsuru Card"];

/// Who insures.
const INSURERS: [&str; 2] = ["Minato Insurance", "Tsuru Mutual"];

/// Labels that say nothing of the theme.
const SHOP_TAGS: [&str; 6] = ["bestseller", "gift idea", "limited", "new in", "seasonal", "staff pick"];

/// Share of goods and groceries that are sold out.
const SOLD_OUT_SHARE: f64 = 0.025;

/// Rounds through a shelf's templates after which titles take an edition number.
const ROUNDS_MAX: usize = 20;

/// Everything sold, with what is hidden behind it.
#[derive(Debug)]
pub(super) struct Assortment {
    pub(super) items: Vec<Item>,
    /// Niche of each item, by position in `items`.
    niches: Vec<usize>,
    /// Per niche and unit the positions of its items, most appealing first.
    shelves: Vec<[Vec<usize>; Unit::ALL.len()]>,
    /// Per unit the positions of its items, most appealing first.
    popular: [Vec<usize>; Unit::ALL.len()],
    positions: [HashMap<String, usize>; Unit::ALL.len()],
}

/// An item before it has its place and number.
struct Draft {
    item: Item,
    niche: usize,
    appeal: f64,
}

impl Assortment {
    /// Stocks the shelves of every unit, each niche with its even share.
    pub(super) fn stock(vocabulary: &Vocabulary, size: &WorldSize, rng: &mut impl Rng) -> Self {
        let shelves = vocabulary.niches.iter().map(|_| Default::default()).collect();
        let mut assortment =
            Self { items: Vec::new(), niches: Vec::new(), shelves, popular: Default::default(), positions: Default::default() };
        for unit in Unit::ALL {
            let mut drafts = draft_unit(vocabulary, unit, size.items(unit), rng);
            // Numbers must not follow the themes, or an id would tell the taste.
            drafts.shuffle(rng);
            assortment.add_unit(unit, drafts);
        }
        assortment
    }

    /// Position of an item.
    pub(super) fn position(&self, unit: Unit, item_id: &str) -> Option<usize> {
        unit.of(&self.positions)?.get(item_id).copied()
    }

    /// Niche of the item at a position.
    pub(super) fn niche(&self, position: usize) -> Option<usize> {
        self.niches.get(position).copied()
    }

    /// Items of a niche in a unit, most appealing first.
    pub(super) fn shelf(&self, niche: usize, unit: Unit) -> &[usize] {
        self.shelves.get(niche).and_then(|shelves| unit.of(shelves)).map_or(&[], Vec::as_slice)
    }

    /// Items of a unit, most appealing first.
    pub(super) fn popular(&self, unit: Unit) -> &[usize] {
        unit.of(&self.popular).map_or(&[], Vec::as_slice)
    }

    fn add_unit(&mut self, unit: Unit, drafts: Vec<Draft>) {
        let mut by_appeal = Vec::with_capacity(drafts.len());
        for (number, Draft { mut item, niche, appeal }) in drafts.into_iter().enumerate() {
            let item_id = format!("{}-{:04}", unit.item_prefix(), number + 1);
            let position = self.items.len();
            item.r#ref = Some(ItemRef { bu: unit.name().to_owned(), item_id: item_id.clone() });
            self.items.push(item);
            self.niches.push(niche);
            by_appeal.push((appeal, position, niche));
            if let Some(positions) = unit.of_mut(&mut self.positions) {
                positions.insert(item_id, position);
            }
        }
        by_appeal.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, position, niche) in by_appeal {
            if let Some(popular) = unit.of_mut(&mut self.popular) {
                popular.push(position);
            }
            if let Some(shelf) = self.shelves.get_mut(niche).and_then(|shelves| unit.of_mut(shelves)) {
                shelf.push(position);
            }
        }
    }
}

fn draft_unit(vocabulary: &Vocabulary, unit: Unit, items: usize, rng: &mut impl Rng) -> Vec<Draft> {
    let niches = vocabulary.niches.len().max(1);
    let mut taken = HashSet::new();
    let mut drafts = Vec::with_capacity(items);
    for (position, niche) in vocabulary.niches.iter().enumerate() {
        let quota = items / niches + usize::from(position < items % niches);
        let Some(theme) = vocabulary.themes.get(niche.theme) else { continue };
        let also = niche.also.and_then(|also| vocabulary.themes.get(also));
        for (line, title) in titles(niche.lines(unit), quota, &mut taken, rng) {
            let item = item(unit, [Some(theme), also], niche, line, title, rng);
            drafts.push(Draft { item, niche: position, appeal: rng.random() });
        }
    }
    drafts
}

/// Titles for one shelf, none of them `taken`: templates in turn, each through its shuffled combinations.
fn titles<'lines>(
    lines: &'lines [Line],
    quota: usize,
    taken: &mut HashSet<String>,
    rng: &mut impl Rng,
) -> Vec<(&'lines Line, String)> {
    let mut decks: Vec<(&Line, Template, Vec<usize>)> =
        lines.iter().map(|line| (line, Template::parse(line.template), Vec::new())).collect();
    let mut shelf = Vec::with_capacity(quota);
    let mut rounds = 0;
    while shelf.len() < quota && !decks.is_empty() {
        for (line, template, deck) in &mut decks {
            if shelf.len() == quota {
                break;
            }
            if deck.is_empty() {
                deck.extend(0..template.combinations());
                deck.shuffle(rng);
                rounds += 1;
            }
            let mut title = template.render(deck.pop().unwrap_or_default(), rng);
            if rounds > ROUNDS_MAX * lines.len() {
                title = format!("{title}, edition {}", taken.len());
            }
            if taken.insert(title.clone()) {
                shelf.push((*line, title));
            }
        }
    }
    shelf
}

fn item(unit: Unit, themes: [Option<&Theme>; 2], niche: &Niche, line: &Line, title: String, rng: &mut impl Rng) -> Item {
    let [theme, also] = themes;
    let own_brands = theme.map_or(&[][..], |theme| theme.brands(unit));
    let brands = match (unit, line.tag) {
        (Unit::Marketplace | Unit::Groceries, _) => own_brands,
        (Unit::Video, _) => &STUDIOS,
        (Unit::Payments, "insurance") => &INSURERS,
        (Unit::Payments, "card" | "instalments") => &BANKS,
        (Unit::Payments, _) => &WALLETS,
    };
    let mut tags = vec![niche.name.to_owned(), line.tag.to_owned()];
    tags.extend(also.map(|also| also.name.to_owned()).filter(|name| name != line.tag));
    if rng.random_bool(0.3) {
        tags.extend(SHOP_TAGS.choose(rng).map(ToString::to_string));
    }
    let can_sell_out = matches!(unit, Unit::Marketplace | Unit::Groceries);
    let stock = if can_sell_out && rng.random_bool(SOLD_OUT_SHARE) { Stock::SoldOut } else { Stock::InStock };
    Item {
        r#ref: None,
        title,
        categories: theme.map(|theme| theme.department(unit).to_owned()).into_iter().chain([capitalised(niche.name)]).collect(),
        brand: brands.choose(rng).copied().unwrap_or_default().to_owned(),
        price: Some(price_yen(line, rng)),
        currency: "JPY".to_owned(),
        tags,
        regions: Vec::new(),
        stock: stock.into(),
        embedding: Vec::new(),
    }
}

/// A price as shops write them: 480, 2,980, 12,800; 0 for what costs nothing.
fn price_yen(line: &Line, rng: &mut impl Rng) -> f64 {
    let (min, max) = (f64::from(*line.price_yen.start()), f64::from(*line.price_yen.end()));
    if max <= 0.0 {
        return 0.0;
    }
    let raw = min.max(1.0) * (max / min.max(1.0)).powf(rng.random::<f64>());
    let (step, below) = match raw {
        ..500.0 => (10.0, 0.0),
        ..10_000.0 => (100.0, 20.0),
        _ => (1_000.0, 200.0),
    };
    ((raw / step).round() * step - below).clamp(min, max)
}

/// With a capital first letter.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::draw::{Stream, stream};
    use super::*;

    #[test]
    fn a_shelf_beyond_its_words_takes_edition_numbers() {
        let line = Line { tag: "tag", price_yen: 1..=9, template: "{a|b} {~1|2}" };
        let mut taken = HashSet::new();
        let lines = [line];
        let shelf = titles(&lines, 50, &mut taken, &mut stream(1, Stream::Assortment));
        assert_eq!((shelf.len(), taken.len()), (50, 50));
    }

    #[test]
    fn a_shelf_without_words_stays_empty() {
        assert!(titles(&[], 5, &mut HashSet::new(), &mut stream(1, Stream::Assortment)).is_empty());
    }

    #[test]
    fn prices_stay_in_their_range() {
        let mut rng = stream(1, Stream::Assortment);
        for price_yen_range in [0..=0, 120..=480, 1_480..=12_800, 9_800..=298_000] {
            let line = Line { tag: "tag", price_yen: price_yen_range.clone(), template: "" };
            for _ in 0..200 {
                assert!(price_yen_range.contains(&(price_yen(&line, &mut rng) as u32)));
            }
        }
    }
}
