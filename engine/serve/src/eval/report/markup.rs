//! The page's HTML: well-formed as XML but for the doctype.

use std::fmt::Write as _;

use super::super::{bootstrap::Estimate, measures::Measure};

/// A page under construction.
pub struct Page(String);

/// Rows of a table under construction.
pub struct Rows(String);

/// A name as text of an element or an attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A figure with its interval below.
#[must_use]
pub fn estimate(measure: Measure, estimate: Estimate) -> String {
    let estimate = estimate.map(|value| measure.shown(value));
    let Some(value) = estimate.value else { return "–".into() };
    let mut cell = format!("<b>{value:.2}</b>");
    if let Some(interval) = estimate.interval {
        _ = write!(cell, "<small>{:.2} – {:.2}</small>", interval.low, interval.high);
    }
    cell
}

/// A relative difference as percent, with its sign and its interval below.
#[must_use]
pub fn difference(estimate: Estimate) -> String {
    let Some(value) = estimate.value else { return "–".into() };
    let mut cell = format!("<b>{:+.1}</b>", value * 100.0);
    if let Some(interval) = estimate.interval {
        _ = write!(cell, "<small>{:+.1} – {:+.1}</small>", interval.low * 100.0, interval.high * 100.0);
    }
    cell
}

/// A share in [0, 1] as percent.
#[must_use]
pub fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("<b>{:.1}</b>", value * 100.0))
}

impl Page {
    /// With its title and a line below it.
    pub fn new(title: &str, subtitle: &str) -> Self {
        let (title, subtitle) = (escape(title), escape(subtitle));
        Self(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p class=\"subtitle\">{subtitle}</p>\n",
            include_str!("style.css")
        ))
    }

    /// A heading of a section.
    pub fn heading(&mut self, text: &str) {
        _ = writeln!(self.0, "<h2>{}</h2>", escape(text));
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        _ = writeln!(self.0, "<p>{}</p>", escape(text));
    }

    /// Ready markup.
    pub fn push(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// Figures at a glance: name, ready markup.
    pub fn tiles(&mut self, tiles: &[(&str, String)]) {
        self.0.push_str("<div class=\"tiles\">\n");
        for (name, markup) in tiles {
            _ = writeln!(self.0, "<div><span>{}</span>{markup}</div>", escape(name));
        }
        self.0.push_str("</div>\n");
    }

    /// A table of figures.
    pub fn table(&mut self, header: &[&str], fill: impl FnOnce(&mut Rows)) {
        self.0.push_str("<div class=\"wide\"><table>\n<thead><tr>");
        for name in header {
            _ = write!(self.0, "<th>{}</th>", escape(name));
        }
        self.0.push_str("</tr></thead>\n<tbody>\n");
        let mut rows = Rows(String::new());
        fill(&mut rows);
        self.0.push_str(&rows.0);
        self.0.push_str("</tbody>\n</table></div>\n");
    }

    /// Names and what they stand for.
    pub fn pairs(&mut self, pairs: &[(String, String)]) {
        self.0.push_str("<dl>\n");
        for (name, text) in pairs {
            _ = writeln!(self.0, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(text));
        }
        self.0.push_str("</dl>\n");
    }

    /// Something that is shown when it is asked for.
    pub fn folded(&mut self, title: &str, fill: impl FnOnce(&mut Self)) {
        _ = writeln!(self.0, "<details><summary>{}</summary>", escape(title));
        fill(self);
        self.0.push_str("</details>\n");
    }

    /// The whole page.
    pub fn finish(mut self) -> String {
        self.0.push_str("</main>\n</body>\n</html>\n");
        self.0
    }
}

impl Rows {
    /// A row: what it is of and its figures, all ready markup.
    pub fn row(&mut self, label: &str, cells: &[String]) {
        _ = write!(self.0, "<tr><th>{label}</th>");
        for cell in cells {
            _ = write!(self.0, "<td>{cell}</td>");
        }
        self.0.push_str("</tr>\n");
    }
}
