//! The keys of one rule: each is read once and checked; at the end, what nobody asked for is unknown.

use faces_core::ids::EventTime;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::{Lines, Place, Problem};

/// Longest text of a rule, bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most items named by one rule.
const ITEMS_MAX: usize = 1_000;

/// One rule's table.
pub struct Fields<'a> {
    table: &'a DeTable<'a>,
    lines: Lines<'a>,
    place: Place,
    asked_for: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
    problems_before: usize,
}

impl<'a> Fields<'a> {
    /// The keys of the table with this header at this line.
    pub fn of(table: &'a DeTable<'a>, header: String, line: usize, lines: Lines<'a>, problems: &'a mut Vec<Problem>) -> Self {
        let problems_before = problems.len();
        let place = Place { header, line, name: None };
        let mut fields = Self { table, lines, place, asked_for: Vec::new(), problems, problems_before };
        fields.place.name = fields.text("name").map(str::to_owned);
        fields
    }

    /// Notes a problem of the key, or of the rule where the key is not given.
    pub fn problem(&mut self, key: &str, what: &str) {
        let line = self.line_of(key).unwrap_or(self.place.line);
        self.problems.push(Problem { line, message: format!("{}: {what}", self.place) });
    }

    /// Whether the key is given.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// A text that is not empty.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        match self.value(key)? {
            DeValue::String(text) if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => Some(text),
            DeValue::String(text) => {
                let bytes = text.len();
                self.problem(key, &format!("{key} has {bytes} bytes; 1 to {TEXT_BYTES_MAX} are allowed"));
                None
            }
            other => self.wrong_sort(key, other, "a text in quotes"),
        }
    }

    /// A list of ids.
    pub fn ids(&mut self, key: &'static str) -> Option<Vec<String>> {
        let list = match self.value(key)? {
            DeValue::Array(list) => list,
            other => return self.wrong_sort(key, other, "a list of texts, e.g. [\"a\", \"b\"]"),
        };
        if list.is_empty() || list.len() > ITEMS_MAX {
            self.problem(key, &format!("{key} holds {}; 1 to {ITEMS_MAX} are allowed", list.len()));
            return None;
        }
        let texts: Option<Vec<String>> =
            list.iter().map(|id| id.get_ref().as_str().filter(|id| !id.is_empty()).map(str::to_owned)).collect();
        if texts.is_none() {
            self.problem(key, &format!("{key} must hold texts that are not empty, e.g. [\"a\", \"b\"]"));
        }
        texts
    }

    /// A finite number.
    pub fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.value(key)?;
        let number = match value {
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(number) => number.to_string().replace('_', "").parse::<f64>().ok(),
            _ => return self.wrong_sort(key, value, "a number"),
        };
        let finite = number.filter(|number| number.is_finite());
        if finite.is_none() {
            self.problem(key, &format!("{key} must be a finite number"));
        }
        finite
    }

    /// A point in time.
    pub fn time(&mut self, key: &'static str) -> Option<EventTime> {
        let value = self.value(key)?;
        let text = match value {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            _ => return self.wrong_sort(key, value, "a time like 2026-11-11T00:00:00Z"),
        };
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Some(EventTime::from_millis(time.as_millisecond())),
            Err(_) => {
                self.problem(key, &format!("{key} is {text:?}; write it like 2026-11-11T00:00:00Z or 2026-11-11T00:00:00+09:00"));
                None
            }
        }
    }

    /// Notes that a key must be given.
    pub fn required<T>(&mut self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.problem(key, &format!("{key} is missing"));
        }
        value
    }

    /// Notes every key that nobody asked for; the place if the rule has no problem.
    pub fn finish(self) -> Option<Place> {
        let table = self.table;
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !self.asked_for.contains(&name) {
                let (line, known) = (self.lines.at(key.span().start), self.asked_for.join(", "));
                let message = format!("{}: {name} is not known here; the keys are {known}", self.place);
                self.problems.push(Problem { line, message });
            }
        }
        (self.problems.len() == self.problems_before).then_some(self.place)
    }

    fn value(&mut self, key: &'static str) -> Option<&'a DeValue<'a>> {
        if !self.asked_for.contains(&key) {
            self.asked_for.push(key);
        }
        self.entry(key).map(|(_, value)| value.get_ref())
    }

    fn entry(&self, key: &str) -> Option<(&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        self.table.iter().find(|(name, _)| name.get_ref() == key)
    }

    fn line_of(&self, key: &str) -> Option<usize> {
        self.entry(key).map(|(name, _)| self.lines.at(name.span().start))
    }

    fn wrong_sort<T>(&mut self, key: &str, value: &DeValue<'_>, wanted: &str) -> Option<T> {
        self.problem(key, &format!("{key} is {} {}; write {wanted}", article(value.type_str()), value.type_str()));
        None
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
