//! The words of the simulated group: 24 themes of 4 niches, each with templates of titles for every business unit.
//!
//! They live in text files, one template a line, so that they can be read and extended as text:
//!
//! ```text
//! theme <name> | <marketplace department> | <groceries …> | <video …> | <payments …>
//! makers <brand>, …            brands of the theme's goods
//! producers <brand>, …         brands of the theme's groceries
//! niche <name> [> <theme that it also belongs to>]
//! m|g|v|p <tag> <yen min>-<yen max> <template of titles>
//! ```
//!
//! Templates are described in [`super::title`].

use std::ops::RangeInclusive;

use super::Unit;

/// The files, in the order of their themes.
const TEXTS: [&str; 6] = [
    include_str!("outdoors.txt"),
    include_str!("kitchen.txt"),
    include_str!("home.txt"),
    include_str!("stories.txt"),
    include_str!("pastimes.txt"),
    include_str!("evenings.txt"),
];

/// A taste that crosses business units.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) name: &'static str,
    /// First level of its items' categories, by unit.
    departments: [&'static str; Unit::ALL.len()],
    makers: Vec<&'static str>,
    producers: Vec<&'static str>,
}

/// A few dozen items of a theme that go together.
#[derive(Debug)]
pub(super) struct Niche {
    pub(super) name: &'static str,
    /// Position of its theme.
    pub(super) theme: usize,
    /// Position of a second theme that it belongs to.
    pub(super) also: Option<usize>,
    also_name: Option<&'static str>,
    lines: [Vec<Line>; Unit::ALL.len()],
}

/// A family of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tag: &'static str,
    pub(super) price_yen: RangeInclusive<u32>,
    pub(super) template: &'static str,
}

/// All the words.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    pub(super) themes: Vec<Theme>,
    pub(super) niches: Vec<Niche>,
}

/// One line of a file.
#[derive(Debug)]
enum Entry {
    Theme(Theme),
    Makers(Vec<&'static str>),
    Producers(Vec<&'static str>),
    Niche { name: &'static str, also_name: Option<&'static str> },
    Line(Unit, Line),
}

impl Theme {
    /// First level of the categories of its items in `unit`.
    pub(super) fn department(&self, unit: Unit) -> &'static str {
        unit.of(&self.departments).copied().unwrap_or(self.name)
    }

    /// Names under which its items in `unit` are sold; empty where the theme has none of its own.
    pub(super) fn brands(&self, unit: Unit) -> &[&'static str] {
        match unit {
            Unit::Marketplace => &self.makers,
            Unit::Groceries => &self.producers,
            Unit::Video | Unit::Payments => &[],
        }
    }
}

impl Niche {
    /// Its families of products in `unit`.
    pub(super) fn lines(&self, unit: Unit) -> &[Line] {
        unit.of(&self.lines).map_or(&[], Vec::as_slice)
    }
}

impl Vocabulary {
    /// Reads the files. Lines that make no sense are left out; a test sees to it that there are none.
    pub(super) fn read() -> Self {
        let mut vocabulary = Self::default();
        for entry in TEXTS.into_iter().flat_map(str::lines).filter_map(parse) {
            vocabulary.push(entry);
        }
        // Only now are all themes known.
        for niche in &mut vocabulary.niches {
            niche.also = niche.also_name.and_then(|name| vocabulary.themes.iter().position(|theme| theme.name == name));
        }
        vocabulary
    }

    /// Positions of the niches that belong to a theme, the theme's own first.
    pub(super) fn niches_of(&self, theme: usize) -> Vec<usize> {
        let own = self.niches.iter().enumerate().filter(|(_, niche)| niche.theme == theme);
        let adopted = self.niches.iter().enumerate().filter(|(_, niche)| niche.also == Some(theme));
        own.chain(adopted).map(|(position, _)| position).collect()
    }

    fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Theme(theme) => self.themes.push(theme),
            Entry::Makers(names) => self.themes.last_mut().into_iter().for_each(|theme| theme.makers.clone_from(&names)),
            Entry::Producers(names) => self.themes.last_mut().into_iter().for_each(|theme| theme.producers.clone_from(&names)),
            Entry::Niche { name, also_name } => {
                let theme = self.themes.len().saturating_sub(1);
                self.niches.push(Niche { name, theme, also: None, also_name, lines: Default::default() });
            }
            Entry::Line(unit, line) => {
                let lines = self.niches.last_mut().and_then(|niche| unit.of_mut(&mut niche.lines));
                lines.into_iter().for_each(|lines| lines.push(line.clone()));
            }
        }
    }
}

fn parse(text: &'static str) -> Option<Entry> {
    let (word, rest) = text.trim_end().split_once(' ')?;
    match word {
        "theme" => parse_theme(rest).map(Entry::Theme),
        "makers" => Some(Entry::Makers(rest.split(", ").collect())),
        "producers" => Some(Entry::Producers(rest.split(", ").collect())),
        "niche" => {
            let (name, also_name) = rest.split_once(" > ").map_or((rest, None), |(name, also)| (name, Some(also)));
            Some(Entry::Niche { name, also_name })
        }
        "m" => parse_line(rest).map(|line| Entry::Line(Unit::Marketplace, line)),
        "g" => parse_line(rest).map(|line| Entry::Line(Unit::Groceries, line)),
        "v" => parse_line(rest).map(|line| Entry::Line(Unit::Video, line)),
        "p" => parse_line(rest).map(|line| Entry::Line(Unit::Payments, line)),
        _ => None,
    }
}

fn parse_theme(text: &'static str) -> Option<Theme> {
    let (name, departments) = text.split_once(" | ")?;
    let departments: Vec<&'static str> = departments.split(" | ").collect();
    Some(Theme { name, departments: departments.try_into().ok()?, makers: Vec::new(), producers: Vec::new() })
}

fn parse_line(text: &'static str) -> Option<Line> {
    let (tag, rest) = text.split_once(' ')?;
    let (prices, template) = rest.split_once(' ')?;
    let (min, max) = prices.split_once('-')?;
    let price_yen = min.parse().ok()?..=max.parse().ok()?;
    (!price_yen.is_empty()).then_some(Line { tag, price_yen, template })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::title::Template;
    use super::*;

    #[test]
    fn every_line_makes_sense() {
        for line in TEXTS.into_iter().flat_map(str::lines).filter(|line| !line.is_empty()) {
            assert!(parse(line).is_some(), "{line}");
        }
    }

    #[test]
    fn the_group_is_whole() {
        let vocabulary = Vocabulary::read();
        assert_eq!((vocabulary.themes.len(), vocabulary.niches.len()), (24, 96));
        for (position, theme) in vocabulary.themes.iter().enumerate() {
            assert_eq!(vocabulary.niches.iter().filter(|niche| niche.theme == position).count(), 4, "{}", theme.name);
            assert!(theme.makers.len() >= 3 && theme.producers.len() >= 3, "{}", theme.name);
        }
        for niche in &vocabulary.niches {
            assert_eq!(niche.also.is_some(), niche.also_name.is_some(), "{}", niche.name);
            assert_ne!(niche.also, Some(niche.theme), "{}", niche.name);
        }
    }

    #[test]
    fn names_are_distinct() {
        let vocabulary = Vocabulary::read();
        let themes: HashSet<_> = vocabulary.themes.iter().map(|theme| theme.name).collect();
        let niches: HashSet<_> = vocabulary.niches.iter().map(|niche| niche.name).collect();
        let departments: HashSet<_> = vocabulary.themes.iter().flat_map(|theme| theme.departments).collect();
        assert_eq!((themes.len(), niches.len(), departments.len()), (24, 96, 96));
    }

    #[test]
    fn every_niche_has_words_for_its_share_of_the_default_assortment() {
        let vocabulary = Vocabulary::read();
        for niche in &vocabulary.niches {
            for (unit, needed) in Unit::ALL.into_iter().zip([15, 10, 10, 3]) {
                let titles: usize = niche.lines(unit).iter().map(|line| Template::parse(line.template).combinations()).sum();
                assert!(titles >= needed, "{}: {titles} titles for {}", niche.name, unit.name());
            }
        }
    }
}
