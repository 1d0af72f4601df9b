//! What each source is worth, and what the units are worth together.

use anyhow::Result;

use super::{
    super::{
        bootstrap::Estimate,
        compare::{Comparison, GroupUplift},
        measures::Measure,
        variants::{Variant, VariantFigures, segments_of},
    },
    label,
    markup::{Page, difference, escape, estimate},
    plots::{self, BLUE, Bar, ORANGE},
    shown,
};

const COLUMNS: [Measure; 3] = [Measure::Hr20, Measure::Ndcg10, Measure::Mrr20];

/// Each source alone and the answers without it: as bars over all queries, and by segment with differences to the served answers.
///
/// # Errors
/// A plot that can't be drawn.
pub fn sources(page: &mut Page, variants: &[VariantFigures]) -> Result<()> {
    if variants.is_empty() {
        return Ok(());
    }
    page.heading("What each source is worth");
    page.text(
        "Only: the source alone orders the slate, which is not filled up. Without: it is not asked, and the ranker knows nothing of it but keeps the weights it learnt with it. \
         Out of the same replay; differences are relative to the served answers, over the same persons.",
    );
    let is_without = |figures: &&VariantFigures| matches!(figures.variant, Variant::Without(_));
    let (without, alone): (Vec<_>, Vec<_>) = variants.iter().partition(is_without);
    for (title, colour, these) in
        [("HR@20 of each alone, all queries, %", BLUE, alone), ("HR@20 without each, all queries, %", ORANGE, without)]
    {
        if !these.is_empty() {
            page.push(&plots::bars(title, "", &bars(&these), colour)?);
        }
    }
    for segment in segments_of(variants) {
        let of_segment = || variants.iter().filter_map(|figures| Some((figures.variant.name(), figures.of(&segment)?)));
        let Some((_, first)) = of_segment().next() else { continue };
        let queries = format!("{segment} ({})", first.queries);
        page.table(&[&queries, "HR@20 %", "difference %", "NDCG@10 %", "difference %", "MRR@20 %", "difference %"], |rows| {
            let served = COLUMNS.iter().flat_map(|measure| [estimate(*measure, first.of(*measure)[0]), "–".into()]);
            rows.row("served", &served.collect::<Vec<_>>());
            for (name, group) in of_segment() {
                rows.row(&escape(&name), &cells(group));
            }
        });
    }
    Ok(())
}

/// The served answers first, for scale. Bars have room for short names only.
fn bars(variants: &[&VariantFigures]) -> Vec<Bar> {
    let hr_20 = |estimate: Estimate| shown(Measure::Hr20, estimate);
    let all = |figures: &&VariantFigures| figures.of("all").map(|group| group.of(Measure::Hr20));
    let served = variants.iter().find_map(all).map(|[served, ..]| Bar::new("served".into(), hr_20(served)));
    let bar = |figures: &&VariantFigures| {
        let [_, value, _] = all(figures)?;
        let name = figures.variant.name();
        Some(Bar::new(name.trim_start_matches("only ").trim_start_matches("without ").to_owned(), hr_20(value)))
    };
    served.into_iter().chain(variants.iter().filter_map(bar)).collect()
}

fn cells(group: &GroupUplift) -> Vec<String> {
    let cell = |measure: &Measure| {
        let [_, value, relative] = group.of(*measure);
        [estimate(*measure, value), difference(relative)]
    };
    COLUMNS.iter().flat_map(cell).collect()
}

/// The uplift of the units together over each on its own.
pub fn over_siloed(page: &mut Page, comparison: &Comparison) {
    page.heading("Together against each unit alone");
    page.text(
        "The same queries, answered a second time with what was done in the asked unit alone, in profiles and in training. Relative uplift of the answers with all units, over the same persons.",
    );
    let mut header = vec!["", "queries", "persons"];
    header.extend(["HR@20 % alone", "together", "uplift %", "NDCG@10 % alone", "together", "uplift %"]);
    page.table(&header, |rows| {
        for (title, groups) in [("", &comparison.segments), ("unit", &comparison.units), ("taken as", &comparison.kinds)] {
            for group in groups {
                let mut cells = vec![group.queries.to_string(), group.persons.to_string()];
                for measure in [Measure::Hr20, Measure::Ndcg10] {
                    let [alone, together, uplift] = group.of(measure);
                    cells.extend([estimate(measure, alone), estimate(measure, together), difference(uplift)]);
                }
                rows.row(&label(title, &group.name), &cells);
            }
        }
    });
}
