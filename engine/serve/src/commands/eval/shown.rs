//! Figures as lines of text.

use crate::eval::{Comparison, Estimate, GroupFigures, GroupUplift, Measure, Summary};

const COLUMNS: [Measure; 5] = [Measure::Hr10, Measure::Hr20, Measure::Ndcg10, Measure::Mrr20, Measure::Recall20];

/// A table of means, and beside it the intervals of the two that matter most.
pub fn summary(summary: &Summary) {
    println!(
        "{:<10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}  95 % of HR@20, NDCG@10",
        "segment", "queries", "HR@10 %", "HR@20 %", "NDCG@10", "MRR@20", "recall@20", "novelty"
    );
    std::iter::once(&summary.all).chain(&summary.segments).for_each(|group| line("", group));
    summary.units.iter().for_each(|group| line("unit ", group));
    summary.kinds.iter().for_each(|group| line("type ", group));
    let percent = |share: Option<f64>| share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0));
    let lists = summary.all.lists;
    println!(
        "personalisation@20 {}; Gini {}; top hundredth of the items has {} of all places",
        percent(lists.personalisation_20),
        percent(lists.gini_20),
        percent(lists.top_share_20)
    );
}

fn line(title: &str, group: &GroupFigures) {
    print!("{:<10} {:>8}", format!("{title}{}", group.name), group.queries);
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
    println!("{:<10} {:>8} {:>8}  uplift, 95 % of resamplings", "segment", "queries", "persons");
    comparison.segments.iter().for_each(|group| uplift_line("", group));
    comparison.units.iter().for_each(|group| uplift_line("unit ", group));
    comparison.kinds.iter().for_each(|group| uplift_line("type ", group));
}

fn uplift_line(title: &str, group: &GroupUplift) {
    print!("{:<10} {:>8} {:>8} ", format!("{title}{}", group.name), group.queries, group.persons);
    for measure in [Measure::Hr20, Measure::Ndcg10] {
        let [baseline, new, uplift] = group.of(measure);
        let percent = uplift.value.map_or_else(|| "–".into(), |uplift| format!("{:+.1} %", uplift * 100.0));
        print!(" {} {} -> {}: {percent}", measure.title(), shown(measure, baseline), shown(measure, new));
        if let Some(interval) = uplift.interval {
            print!(" [{:+.1}, {:+.1}]", interval.low * 100.0, interval.high * 100.0);
        }
        print!("{}", if measure == Measure::Hr20 { ";" } else { "\n" });
    }
}
