//! Figures as lines of text.

use crate::eval::{Comparison, Estimate, GroupFigures, GroupUplift, Measure, Summary, VariantFigures, segments_of};

const VARIANT_COLUMNS: [Measure; 3] = [Measure::Hr20, Measure::Ndcg10, Measure::Mrr20];
const COLUMNS: [Measure; 5] = [Measure::Hr10, Measure::Hr20, Measure::Ndcg10, Measure::Mrr20, Measure::Recall20];

/// A table of means, and beside it the intervals of the two that matter most.
pub fn summary(summary: &Summary) {
    let groups: Vec<(String, &GroupFigures)> = std::iter::once(("", &summary.all))
        .chain(summary.segments.iter().map(|group| ("", group)))
        .chain(summary.units.iter().map(|group| ("unit ", group)))
        .chain(summary.kinds.iter().map(|group| ("type ", group)))
        .map(|(title, group)| (format!("{title}{}", group.name), group))
        .collect();
    let width = width_of(groups.iter().map(|(label, _)| label));
    println!(
        "{:<width$} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}  95 % of HR@20, NDCG@10",
        "segment", "queries", "HR@10 %", "HR@20 %", "NDCG@10", "MRR@20", "recall@20", "novelty"
    );
    groups.iter().for_each(|(label, group)| line(&format!("{label:<width$}"), group));
    let percent = |share: Option<f64>| share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0));
    let lists = summary.all.lists;
    println!(
        "personalisation@20 {}; Gini {}; top hundredth of the items has {} of all places",
        percent(lists.personalisation_20),
        percent(lists.gini_20),
        percent(lists.top_share_20)
    );
}

fn width_of<'a>(labels: impl Iterator<Item = &'a String>) -> usize {
    labels.map(|label| label.chars().count()).fold(10, usize::max)
}

fn line(label: &str, group: &GroupFigures) {
    print!("{label} {:>8}", group.queries);
    for measure in COLUMNS {
        let width = if measure == Measure::Recall20 { 9 } else { 8 };
        print!(" {:>width$}", shown(measure, group.mean(measure)));
    }
    print!(" {:>8} ", shown(Measure::Novelty20, group.mean(Measure::Novelty20)));
    for measure in [Measure::Hr20, Measure::Ndcg10] {
        if let Some(interval) = group.mean(measure).interval {
            print!(" [{:.2}, {:.2}]", measure.shown(interval.low), measure.shown(interval.high));
        }
    }
    println!();
}

fn shown(measure: Measure, estimate: Estimate) -> String {
    estimate.value.map_or_else(|| "–".into(), |value| format!("{:.2}", measure.shown(value)))
}

/// Per group: means before and after, and the uplift with its interval.
pub fn comparison(comparison: &Comparison) {
    let groups: Vec<(String, &GroupUplift)> = (comparison.segments.iter().map(|group| ("", group)))
        .chain(comparison.units.iter().map(|group| ("unit ", group)))
        .chain(comparison.kinds.iter().map(|group| ("type ", group)))
        .map(|(title, group)| (format!("{title}{}", group.name), group))
        .collect();
    let width = width_of(groups.iter().map(|(label, _)| label));
    println!("{:<width$} {:>8} {:>8}  uplift, 95 % of resamplings", "segment", "queries", "persons");
    groups.iter().for_each(|(label, group)| uplift_line(&format!("{label:<width$}"), group));
}

/// The same for one list of groups.
pub fn uplifts(groups: &[GroupUplift]) {
    let width = width_of(groups.iter().map(|group| &group.name));
    println!("{:<width$} {:>8} {:>8}  uplift, 95 % of resamplings", "segment", "queries", "persons");
    groups.iter().for_each(|group| uplift_line(&format!("{:<width$}", group.name), group));
}

fn uplift_line(label: &str, group: &GroupUplift) {
    print!("{label} {:>8} {:>8} ", group.queries, group.persons);
    for measure in VARIANT_COLUMNS {
        let [baseline, new, uplift] = group.of(measure);
        print!(" {} {} -> {}: {}", measure.title(), shown(measure, baseline), shown(measure, new), relative(uplift));
        print!("{}", if measure == Measure::Mrr20 { "\n" } else { ";" });
    }
}

/// Per segment: the served answers, then each variant with its difference to them.
pub fn variants(variants: &[VariantFigures]) {
    let width = variants.iter().map(|figures| figures.variant.name().chars().count()).fold(10, usize::max);
    for segment in segments_of(variants) {
        let of_segment = || variants.iter().filter_map(|figures| Some((figures.variant.name(), figures.of(&segment)?)));
        let Some((_, first)) = of_segment().next() else { continue };
        println!("\n{segment}: {} queries, {} persons; differences to the served answers, 95 %", first.queries, first.persons);
        let line = |name: &str, cell: &dyn Fn(Measure) -> String| {
            let cells: String = VARIANT_COLUMNS.iter().map(|measure| format!("  {:<31}", cell(*measure))).collect();
            println!("{}", format!("{name:<width$}{cells}").trim_end());
        };
        line("answered by", &|measure| format!("{} %", measure.title()));
        line("served", &|measure| format!("{:>5}", shown(measure, first.of(measure)[0])));
        for (name, group) in of_segment() {
            line(&name, &|measure| {
                let [_, value, difference] = group.of(measure);
                format!("{:>5} {}", shown(measure, value), relative(difference))
            });
        }
    }
}

fn relative(difference: Estimate) -> String {
    let Some(value) = difference.value else { return "–".into() };
    let interval = difference.interval.map(|of| format!(" [{:+.1}, {:+.1}]", of.low * 100.0, of.high * 100.0));
    format!("{:+.1} %{}", value * 100.0, interval.unwrap_or_default())
}
