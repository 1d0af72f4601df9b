//! A run as one HTML page: no scripts, nothing loaded from elsewhere, light or dark as the reader has it.
//!
//! Knows figures, not where they come from. Every name is escaped.

pub(crate) mod markup;
pub(crate) mod plots;
mod variants;

use anyhow::Result;

use self::{
    markup::{Page, escape, estimate, share},
    plots::{BLUE, Bar, ORANGE, Series},
};
use super::{
    bootstrap::Estimate,
    measures::Measure,
    summary::{GroupFigures, Summary},
};

/// What is told of a run beside its figures.
#[derive(Clone, Debug, Default)]
pub struct RunNotes {
    /// What was measured, in a line.
    pub subtitle: String,
    /// How many times persons were resampled.
    pub rounds: u32,
    /// Files and flags, by name.
    pub inputs: Vec<(String, String)>,
    /// Keys of the configuration that matter for answers, by name.
    pub configuration: Vec<(String, String)>,
}

/// The page.
///
/// # Errors
/// A plot that can't be drawn.
pub fn render(summary: &Summary, notes: &RunNotes) -> Result<String> {
    let mut page = Page::new("Offline quality", &notes.subtitle);
    tiles(&mut page, &summary.all);

    page.heading("By segment");
    page.text(
        "Warm: the person has done something in the unit before (thin: one to four things). Cold: only elsewhere in the group. None: nowhere.",
    );
    page.push(&bars("HR@20 by segment, %", Measure::Hr20, BLUE, &summary.all, &summary.segments)?);
    page.push(&bars("NDCG@10 by segment, %", Measure::Ndcg10, ORANGE, &summary.all, &summary.segments)?);

    page.heading("All figures");
    page.text(&format!(
        "Shares in %, novelty in bits. In small: where the figure lies in 95 of 100 of {} resamplings of persons.",
        notes.rounds
    ));
    figures(&mut page, summary);

    if let Some(comparison) = &summary.over_siloed {
        variants::over_siloed(&mut page, comparison);
    }
    variants::sources(&mut page, &summary.variants)?;

    page.heading(&format!("Over time, by {}", summary.period.name()));
    page.push(&over_time(summary)?);

    page.heading("Where the first hit stands");
    page.text("How many queries found the first item that the person then took at which rank of the answer.");
    let ranks = summary.first_hits.iter().enumerate().map(|(place, count)| Bar::plain((place + 1).to_string(), *count as f64));
    page.push(&plots::bars("Queries by rank of the first hit", "rank", &ranks.collect::<Vec<_>>(), BLUE)?);

    page.heading("How popular is what is recommended");
    page.text(
        "Each step to the right is half as popular: at 0 an item has all events of its unit so far, at 10 about a thousandth. Where recommended items lie left of those taken, answers lean on best sellers; \
         to the right of them, on the long tail.",
    );
    page.push(&popularity(summary)?);

    page.heading("Variety");
    variety(&mut page, summary);

    page.heading("This run");
    page.pairs(&notes.inputs);
    page.folded("Configuration", |page| page.pairs(&notes.configuration));
    page.folded("What the figures mean", |page| page.pairs(&meanings()));
    Ok(page.finish())
}

fn tiles(page: &mut Page, all: &GroupFigures) {
    let mean = |measure: Measure| estimate(measure, all.mean(measure));
    page.tiles(&[
        ("queries", format!("<b>{}</b>", all.queries)),
        ("persons", format!("<b>{}</b>", all.persons)),
        ("HR@20 %", mean(Measure::Hr20)),
        ("NDCG@10 %", mean(Measure::Ndcg10)),
        ("coverage@20 %", share(all.lists.coverage_20)),
        ("personalisation %", share(all.lists.personalisation_20)),
    ]);
}

fn bars(
    title: &str,
    measure: Measure,
    colour: plotters::style::RGBColor,
    all: &GroupFigures,
    groups: &[GroupFigures],
) -> Result<String> {
    let groups = std::iter::once(all).chain(groups);
    let bars: Vec<Bar> = groups.map(|group| Bar::new(group.name.clone(), shown(measure, group.mean(measure)))).collect();
    plots::bars(title, "", &bars, colour)
}

fn figures(page: &mut Page, summary: &Summary) {
    let mut header = vec!["", "queries", "persons"];
    header.extend(Measure::ALL.iter().map(|measure| measure.title()));
    page.table(&header, |rows| {
        for (title, groups) in [
            ("", std::slice::from_ref(&summary.all)),
            ("segment", &summary.segments),
            ("unit", &summary.units),
            ("taken as", &summary.kinds),
        ] {
            for group in groups {
                let mut cells = vec![group.queries.to_string(), group.persons.to_string()];
                cells.extend(Measure::ALL.iter().map(|measure| estimate(*measure, group.mean(*measure))));
                rows.row(&label(title, &group.name), &cells);
            }
        }
    });
}

fn variety(page: &mut Page, summary: &Summary) {
    let header = ["", "coverage@20 %", "personalisation %", "Gini %", "top hundredth %", "novelty, bits"];
    page.table(&header, |rows| {
        let groups = summary.units.iter().map(|group| ("unit", group));
        let groups = groups.chain(summary.segments.iter().map(|group| ("segment", group)));
        for (title, group) in std::iter::once(("", &summary.all)).chain(groups) {
            let lists = group.lists;
            let shares = [lists.coverage_20, lists.personalisation_20, lists.gini_20, lists.top_share_20];
            let mut cells: Vec<String> = shares.into_iter().map(share).collect();
            cells.push(estimate(Measure::Novelty20, group.mean(Measure::Novelty20)));
            rows.row(&label(title, &group.name), &cells);
        }
    });
}

fn over_time(summary: &Summary) -> Result<String> {
    let labels: Vec<String> = summary.periods.iter().map(|period| period.label.clone()).collect();
    let series = [(Measure::Hr20, BLUE), (Measure::Ndcg10, ORANGE)].map(|(measure, colour)| {
        let estimates = summary.periods.iter().map(|period| period.means.get(measure as usize).copied().unwrap_or_default());
        Series { name: measure.title(), colour, points: estimates.map(|estimate| shown(measure, estimate)).collect() }
    });
    plots::lines("HR@20 and NDCG@10, %", "", &labels, &series)
}

fn popularity(summary: &Summary) -> Result<String> {
    let both = || summary.recommended_bits.iter().zip(&summary.taken_bits).map(|(one, other)| one + other);
    let first = both().position(|share| share > 0.0).unwrap_or(0);
    let bins = both().rposition(|share| share > 0.0).map_or(0, |last| last + 1 - first);
    let labels: Vec<String> = (first..first + bins).map(|bits| bits.to_string()).collect();
    let series = [("recommended", BLUE, &summary.recommended_bits), ("taken", ORANGE, &summary.taken_bits)];
    let series = series.map(|(name, colour, shares)| {
        let point = |share: &f64| Estimate { value: Some(share * 100.0), interval: None };
        Series { name, colour, points: shares.iter().skip(first).take(bins).map(point).collect() }
    });
    plots::lines("Share of items, %", "rarity of the item at that moment, bits", &labels, &series)
}

fn shown(measure: Measure, estimate: Estimate) -> Estimate {
    estimate.map(|value| measure.shown(value))
}

fn label(title: &str, name: &str) -> String {
    if title.is_empty() { escape(name) } else { format!("<i>{title}</i> {}", escape(name)) }
}

fn meanings() -> Vec<(String, String)> {
    [
        ("HR@10, HR@20", "In how many of 100 queries something that the person then took stands among the first 10, or 20."),
        ("NDCG@10", "The same with regard to rank: 100 when all that was taken stands first, less the lower it stands."),
        ("MRR@20", "Mean of 1 / rank of the first hit."),
        ("recall@20", "Which part of what was taken stands among the first 20."),
        ("coverage@20", "Which part of the catalogue stands among the first 20 of some answer."),
        ("novelty", "How rare the recommended items are, in bits; one more is half as popular."),
        ("personalisation", "Which part of their answers two random persons in a unit do not have in common."),
        ("Gini", "How unevenly the catalogue is shown: 0 all items alike, 100 one alone."),
        ("top hundredth", "Which part of all places the most recommended hundredth of the catalogue has."),
        ("queries", "Only queries after which something was taken; all other items of the unit compete, none is sampled away."),
    ]
    .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
    .to_vec()
}

#[cfg(test)]
mod tests;
