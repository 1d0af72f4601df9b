//! What the gates found, as one HTML page. Every name is escaped; nothing is loaded from elsewhere.

use anyhow::Result;
use faces_rebuild::{
    GenerationId,
    gates::{Bound, Finding, Gate, Outcome, Verdict},
};

use crate::eval::report::{
    markup::{Page, escape},
    plots::{self, BLUE, Bar},
};

/// Gates whose parts are worth a plot, with a title and what a part is multiplied by.
const PLOTTED: [(Gate, &str, f64); 5] = [
    (Gate::Size, "Items, % of those served", 100.0),
    (Gate::Recall, "Recall@10 by unit, %", 100.0),
    (Gate::Filters, "Slates of one category or brand, % filled", 100.0),
    (Gate::Quality, "NDCG@10, %", 1.0),
    (Gate::Latency, "Processor time of an answer, µs", 1.0),
];

/// The page.
///
/// # Errors
/// A plot that can't be drawn.
pub fn render(verdict: &Verdict, candidate: &GenerationId) -> Result<String> {
    let against = verdict.against.as_ref().map_or_else(|| "nothing served yet".to_owned(), ToString::to_string);
    let mut page = Page::new("Gates of a generation", &format!("{candidate}, held against {against}"));
    let refusals = verdict.refusals().count();
    let with = |outcome: Outcome| verdict.findings.iter().filter(|finding| finding.outcome == outcome).count();
    let result = match (refusals, &verdict.forced) {
        (0, _) => "may be published",
        (_, None) => "refused",
        (_, Some(_)) => "published by force",
    };
    page.tiles(&[
        ("result", format!("<b>{result}</b>")),
        ("passed", format!("<b>{}</b>", with(Outcome::Passed))),
        ("refused", format!("<b>{refusals}</b>")),
        ("skipped", format!("<b>{}</b>", with(Outcome::Skipped))),
    ]);
    if let Some(reason) = &verdict.forced {
        page.text(&format!("Published although gates refused it: {reason}"));
    }
    page.heading("Gates");
    page.table(&["", "result", "value", "threshold", ""], |rows| {
        for finding in &verdict.findings {
            let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), shown);
            let threshold = match finding.bound {
                _ if finding.threshold.is_none() => "–".to_owned(),
                Bound::AtLeast => format!("≥ {}", number(finding.threshold)),
                Bound::AtMost => format!("≤ {}", number(finding.threshold)),
            };
            let outcome = match finding.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Refused => "<b>refused</b>".to_owned(),
                Outcome::Skipped => "<i>skipped</i>".to_owned(),
            };
            rows.row(finding.gate.name(), &[outcome, number(finding.value), threshold, escape(&finding.detail)]);
        }
    });
    for (gate, title, factor) in PLOTTED {
        let found = verdict.findings.iter().find(|finding| finding.gate == gate && !finding.parts.is_empty());
        if let Some(finding) = found {
            let bars = finding.parts.iter().map(|(name, value)| Bar::plain(name.clone(), value * factor));
            page.push(&plots::bars(title, "", &bars.collect::<Vec<_>>(), BLUE)?);
        }
    }
    Ok(page.finish())
}

/// A finding in a line: what it is, and what it should be.
#[must_use]
pub fn judged(finding: &Finding) -> String {
    let bound = match finding.bound {
        Bound::AtLeast => "at least",
        Bound::AtMost => "at most",
    };
    match (finding.value, finding.threshold) {
        (Some(value), Some(threshold)) => {
            format!("{} ({} where {bound} {} is asked for)", finding.detail, shown(value), shown(threshold))
        }
        _ => finding.detail.clone(),
    }
}

/// Four digits at most behind the point, none that say nothing.
fn shown(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_every_gate_and_escapes_names() {
        let id: GenerationId = "gen-0123456789abcdef".parse().unwrap();
        let parts = vec![("shop <b>".to_owned(), 0.25), ("films".to_owned(), 1.0)];
        let findings = vec![
            Finding::judged(Gate::Size, Bound::AtLeast, 0.25, 0.8, "25 items & 100 before".into()).with_parts(parts),
            Finding::judged(Gate::Churn, Bound::AtMost, 0.1, 0.2, "few".into()),
            Finding::skipped(Gate::Quality, "nothing is served"),
        ];
        let verdict = Verdict { against: None, findings, forced: Some("the old one is <worse>".into()) };
        let page = render(&verdict, &id).unwrap();
        for part in
            ["size", "churn", "quality", "<b>refused</b>", "passed", "skipped", "0.25", "≥ 0.8", "≤ 0.2", "<svg", id.as_str()]
        {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("25 items &amp; 100 before") && page.contains("the old one is &lt;worse&gt;"));
        assert!(!page.contains("<worse>") && !page.contains("shop <b>") && !page.contains("<script"));
    }

    #[test]
    fn a_refusal_says_what_was_asked_for() {
        let finding = Finding::judged(Gate::Recall, Bound::AtLeast, 0.5, 0.95, "half is found".into());
        assert_eq!(judged(&finding), "half is found (0.5 where at least 0.95 is asked for)");
    }
}
