//! Titles from templates.
//!
//! A template is text with slots: `{a|b|c}` counts, every combination of such slots is a title of its own;
//! `{~a|b|c}` is drawn freely (sizes, weights), so that a shelf doesn't hold one thing in six sizes; `{~1949..1964}`
//! draws a number; `{year}` draws the year of a film.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt, seq::IndexedRandom};

/// Years of films that don't say otherwise.
const YEARS: RangeInclusive<u32> = 2004..=2025;

/// A parsed template.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(&'static str),
    Choice(Vec<&'static str>),
    Free(Vec<&'static str>),
    Number(RangeInclusive<u32>),
}

impl Template {
    /// Reads a template; a brace that isn't closed is text.
    pub(super) fn parse(template: &'static str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, slot, after)) =
            rest.split_once('{').and_then(|(text, tail)| tail.split_once('}').map(|(slot, after)| (text, slot, after)))
        {
            parts.push(Part::Text(text));
            parts.push(Part::slot(slot));
            rest = after;
        }
        parts.push(Part::Text(rest));
        Self { parts }
    }

    /// How many titles differ in more than what is drawn freely; at least 1.
    pub(super) fn combinations(&self) -> usize {
        self.parts.iter().map(Part::radix).product()
    }

    /// The title of one combination (taken modulo their number); `rng` fills the free slots.
    pub(super) fn render(&self, combination: usize, rng: &mut impl Rng) -> String {
        let mut title = String::new();
        let mut digits = combination;
        for part in &self.parts {
            match part {
                Part::Text(text) => title.push_str(text),
                Part::Choice(words) => {
                    title.push_str(words.get(digits % words.len()).copied().unwrap_or_default());
                    digits /= words.len();
                }
                Part::Free(words) => title.push_str(words.choose(rng).copied().unwrap_or_default()),
                Part::Number(numbers) => title.push_str(&rng.random_range(numbers.clone()).to_string()),
            }
        }
        title
    }
}

impl Part {
    /// Reads what stands between braces. `split` yields at least one word, so that no choice is empty.
    fn slot(slot: &'static str) -> Self {
        if slot == "year" {
            return Self::Number(YEARS);
        }
        let Some(free) = slot.strip_prefix('~') else {
            return Self::Choice(slot.split('|').collect());
        };
        match free.split_once("..").map(|(min, max)| (min.parse(), max.parse())) {
            Some((Ok(min), Ok(max))) if min <= max => Self::Number(min..=max),
            _ => Self::Free(free.split('|').collect()),
        }
    }

    fn radix(&self) -> usize {
        match self {
            Self::Choice(words) => words.len(),
            Self::Text(_) | Self::Free(_) | Self::Number(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn check(template: &'static str, expected: &[&str]) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let parsed = Template::parse(template);
        let titles: BTreeSet<String> =
            (0..parsed.combinations()).map(|combination| parsed.render(combination, &mut rng)).collect();
        assert_eq!(titles, expected.iter().map(ToString::to_string).collect(), "{template}");
    }

    #[test]
    fn combinations_are_the_product_of_the_choices() {
        check("plain", &["plain"]);
        check("{a|b} {c|d}", &["a c", "a d", "b c", "b d"]);
        check("{a|b}, {~7} g", &["a, 7 g", "b, 7 g"]);
        check("film, {~1953..1953}", &["film, 1953"]);
        check("open { brace", &["open { brace"]);
    }

    #[test]
    fn free_slots_draw_from_their_words() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let template = Template::parse("{~x|y}");
        let drawn: BTreeSet<String> = (0..100).map(|_| template.render(0, &mut rng)).collect();
        assert_eq!(drawn, ["x", "y"].map(String::from).into());
    }
}
