//! The file of rules: from TOML to checked rules, with every problem at once.
//!
//! Form: a list `[[pin]]`, `[[boost]]`, `[[bury]]`, `[[hide]]`, `[[cap]]`, and at most one `[diversity]` and `[explore]`;
//! `docs/operations.md` has every key. Limits: [`FILE_BYTES_MAX`], [`RULES_MAX`]. What rules do is none of this module's business: see
//! [`faces_core::ranking::rerank`].

mod contradictions;
mod fields;
mod kinds;
mod problem;
#[cfg(test)]
mod tests;
mod watch;

use faces_core::{
    catalogue::Catalogue,
    ranking::rules::{Rule, Rules},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use self::{
    fields::Fields,
    kinds::Read,
    problem::{Lines, Place, beginnings},
};
pub use self::{
    problem::Problem,
    watch::{RulesError, RulesFile, put_in_force, read},
};

/// Largest file, bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Most rules of one file: every request looks at each.
pub const RULES_MAX: usize = 500;

/// A sound file.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Its rules.
    pub rules: Rules,
    mentions: Vec<Mention>,
}

/// A business unit that a rule names, and items of it.
#[derive(Clone, Debug)]
struct Mention {
    place: Place,
    bu: String,
    ids: Vec<String>,
}

/// Reads and checks a file of rules.
///
/// # Errors
/// All problems, in the order of the file. A text that is no TOML has those of the syntax only, and one that is too long no others.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are allowed", text.len());
        return Err(vec![Problem { line: 1, message }]);
    }
    let beginnings = beginnings(text);
    let lines = Lines(&beginnings);
    let (table, errors) = DeTable::parse_recoverable(text);
    let syntax = |error: &toml::de::Error| {
        let line = lines.at(error.span().map_or(0, |span| span.start));
        Problem { line, message: format!("this is no TOML: {}", error.message()) }
    };
    if !errors.is_empty() {
        return Err(errors.iter().map(syntax).collect());
    }
    // Before any is looked at: contradictions are of pairs, so there could be millions.
    let count: usize = table.get_ref().values().map(|kind| kind.get_ref().as_array().map_or(1, |list| list.iter().count())).sum();
    if count > RULES_MAX {
        let message = format!("the file holds {count} rules; at most {RULES_MAX} are allowed");
        return Err(vec![Problem { line: 1, message }]);
    }
    let mut file = File { table: table.get_ref(), lines, problems: Vec::new(), mentions: Vec::new() };
    let rules = file.rules();
    let File { mut problems, mentions, .. } = file;
    problems.sort();
    if problems.is_empty() { Ok(Parsed { rules, mentions }) } else { Err(problems) }
}

impl Parsed {
    /// Warnings: units and items that nothing has named yet. They may come later, so they are no errors.
    #[must_use]
    pub fn unknown(&self, catalogue: &Catalogue) -> Vec<Problem> {
        let mut warnings = Vec::new();
        for Mention { place, bu, ids } in &self.mentions {
            let mut warn = |message: String| warnings.push(Problem { line: place.line, message: format!("{place}: {message}") });
            let Some(id) = catalogue.bu(bu) else {
                warn(format!("business unit {bu:?} is not known yet; check the spelling"));
                continue;
            };
            for item in ids.iter().filter(|item| catalogue.item(id, item).is_none()) {
                warn(format!("item {item:?} of {bu:?} is not known yet; check the spelling"));
            }
        }
        warnings
    }
}

/// A file while it is read.
struct File<'t> {
    table: &'t DeTable<'t>,
    lines: Lines<'t>,
    problems: Vec<Problem>,
    mentions: Vec<Mention>,
}

const KINDS: [&str; 7] = ["pin", "boost", "bury", "hide", "cap", "diversity", "explore"];

impl<'t> File<'t> {
    fn rules(&mut self) -> Rules {
        for key in self.table.keys().filter(|key| !KINDS.contains(&key.get_ref().as_ref())) {
            let message = format!("{} is not known; the kinds of rules are {}", key.get_ref(), KINDS.join(", "));
            self.problems.push(Problem { line: self.lines.at(key.span().start), message });
        }
        let (pins, boosts) = (self.list("pin", kinds::pin), self.list("boost", kinds::boost));
        let (burials, hidden) = (self.list("bury", kinds::items), self.list("hide", kinds::items));
        let caps = self.list("cap", kinds::cap);
        let (diversity, explore) = (self.single("diversity", kinds::diversity), self.single("explore", kinds::explore));
        contradictions::contradictions(&pins, &boosts, &burials, &hidden, &mut self.problems);
        Rules {
            pins: self.taken(pins),
            boosts: self.taken(boosts),
            burials: self.taken(burials),
            hidden: self.taken(hidden),
            caps: self.taken(caps),
            diversity: self.taken(diversity).pop(),
            explore: self.taken(explore).pop(),
        }
    }

    fn entry(&self, kind: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(key, _)| key.get_ref() == kind).map(|(_, value)| value)
    }

    /// The rules of a kind that may stand more than once.
    fn list<T>(&mut self, kind: &'static str, read: impl Fn(Fields<'_>) -> Option<Read<T>>) -> Vec<Read<T>> {
        let Some(entry) = self.entry(kind) else { return Vec::new() };
        let mut rules = Vec::new();
        let list = entry.get_ref().as_array().map(|list| list.iter().collect::<Vec<_>>()).unwrap_or_default();
        if list.is_empty() || list.iter().any(|item| item.get_ref().as_table().is_none()) {
            let message = format!("each rule of this kind begins with [[{kind}]], in two brackets");
            self.problems.push(Problem { line: self.lines.at(entry.span().start), message });
            return rules;
        }
        for (n, item) in (1..).zip(list) {
            if let Some(table) = item.get_ref().as_table() {
                let line = self.lines.at(item.span().start);
                rules.extend(read(Fields::of(table, format!("[[{kind}]] {n}"), line, self.lines, &mut self.problems)));
            }
        }
        rules
    }

    /// The rule of a kind that may stand once.
    fn single<T>(&mut self, kind: &'static str, read: impl Fn(Fields<'_>) -> Option<Read<T>>) -> Vec<Read<T>> {
        let Some(entry) = self.entry(kind) else { return Vec::new() };
        let line = self.lines.at(entry.span().start);
        let Some(table) = entry.get_ref().as_table() else {
            self.problems.push(Problem { line, message: format!("there is one [{kind}] in one bracket, with its keys below") });
            return Vec::new();
        };
        read(Fields::of(table, format!("[{kind}]"), line, self.lines, &mut self.problems)).into_iter().collect()
    }

    /// Rules without their places; what they name is noted.
    fn taken<T>(&mut self, read: Vec<Read<T>>) -> Vec<Rule<T>> {
        let mut rules = Vec::with_capacity(read.len());
        for Read { place, rule, ids } in read {
            self.mentions.extend(rule.scope.bu.as_deref().map(|bu| Mention { place, bu: bu.to_owned(), ids }));
            rules.push(rule);
        }
        rules
    }
}
