//! The page holds the figures, is well-formed, and asks for nothing from elsewhere.

use super::{RunNotes, escape, render};
use crate::eval::{
    Comparison, GroupUplift, ListFigures, Rounds, Summary,
    bootstrap::{Estimate, Interval},
    outcome::Outcomes,
    summary::{GroupFigures, PeriodFigures},
    variants::{Variant, VariantFigures, sources},
};

fn group(name: &str, value: f64) -> GroupFigures {
    let estimate = Estimate { value: Some(value), interval: Some(Interval { low: value - 0.05, high: value + 0.05 }) };
    let lists =
        ListFigures { coverage_20: Some(0.421), gini_20: Some(0.7), top_share_20: Some(0.25), personalisation_20: Some(0.613) };
    GroupFigures { name: name.into(), queries: 4_321, persons: 987, means: [estimate; 6], lists }
}

fn summary() -> Summary {
    let mut summary = Summary::new(&Outcomes::default(), Rounds::new(0));
    summary.all = group("all", 0.2046);
    summary.segments = vec![group("warm", 0.3117), group("cold <&\"' people", 0.1)];
    summary.units = vec![group("shop", 0.2), group("a unit with quite a long name of many words", 0.1)];
    summary.kinds = vec![group("purchase", 0.15)];
    let period = |label: &str, value| PeriodFigures { label: label.into(), queries: 10, means: group("", value).means };
    summary.periods = vec![period("2026-11-16", 0.2), period("2026-11-23", 0.25)];
    summary.first_hits = (0..20).map(|n| 400 - n * 20).collect();
    summary.recommended_bits = vec![0.0, 0.5, 0.5, 0.0];
    summary.taken_bits = vec![0.0, 0.25, 0.25, 0.5];
    summary
}

fn notes() -> RunNotes {
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    RunNotes {
        subtitle: "a <b> & c".into(),
        rounds: 300,
        inputs: vec![pair("events", "e<1>.csv")],
        configuration: vec![pair("ranking.base_score", "0.5")],
    }
}

/// Every tag is closed, in order; returns how many there are.
fn check_tags(page: &str) -> usize {
    let (mut open, mut tags) = (Vec::new(), 0);
    for part in page.strip_prefix("<!DOCTYPE html>").unwrap().split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>'), "an unescaped >: {part}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{part}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{part}");
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed.to_owned()));
        } else if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
        tags += 1;
    }
    assert_eq!(open, Vec::<String>::new());
    tags
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let page = render(&summary(), &notes()).unwrap();
    assert!(check_tags(&page) > 300);
    for foreign in ["http", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_page_holds_the_figures_and_escapes_names() {
    let page = render(&summary(), &notes()).unwrap();
    for figure in
        ["20.46", "15.46 – 25.46", "31.17", "4321", "987", "42.1", "61.3", "2026-11-23", "purchase", "ranking.base_score"]
    {
        assert!(page.contains(figure), "{figure}");
    }
    assert!(page.contains("cold &lt;&amp;&quot;&#39; people") && !page.contains("cold <"));
    assert!(page.contains("a &lt;b&gt; &amp; c") && page.contains("e&lt;1&gt;.csv"));
    assert_eq!(page.matches("<svg").count(), 5);
}

#[test]
fn sources_and_silos_have_tables_and_plots_of_their_own() {
    let estimate =
        |value: f64| Estimate { value: Some(value), interval: Some(Interval { low: value - 0.02, high: value + 0.02 }) };
    let uplift = |name: &str| GroupUplift {
        name: name.into(),
        queries: 77,
        persons: 66,
        baseline: [estimate(0.2); 6],
        new: [estimate(0.15); 6],
        uplift: [estimate(-0.25); 6],
    };
    let together = sources("together+latest").unwrap();
    let segments = vec![uplift("all"), uplift("warm <3")];
    let variants = [Variant::Only(together), Variant::Without(together), Variant::Textbook { takers_min: 3 }];
    let figures = variants.map(|variant| VariantFigures { variant, segments: segments.clone() }).to_vec();
    let comparison = Comparison { segments, units: Vec::new(), kinds: Vec::new() };
    let page = render(&Summary { variants: figures, over_siloed: Some(comparison), ..summary() }, &notes()).unwrap();
    check_tags(&page);
    assert_eq!(page.matches("<svg").count(), 7);
    for part in
        ["only together+latest", "textbook neighbours, 3 takers", "-25.0", "-27.0 – -23.0", "warm &lt;3 (77)", "each unit alone"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_run_without_anything_to_show_makes_a_page_too() {
    let page = render(&Summary::new(&Outcomes::default(), Rounds::new(10)), &RunNotes::default()).unwrap();
    assert!(check_tags(&page) > 50);
    assert!(page.contains("nothing to show"));
}

#[test]
fn plots_use_only_colours_that_the_style_knows() {
    let page = render(&summary(), &notes()).unwrap();
    let drawings = page.split("<svg").skip(1).map(|part| part.split("</svg>").next().unwrap());
    for drawing in drawings {
        for colour in drawing.split("=\"#").skip(1).map(|part| &part[..6]) {
            let has_rule = [r##"[fill="#"##, r##"[stroke="#"##].iter().any(|rule| page.contains(&format!("{rule}{colour}\"]")));
            assert!(has_rule, "#{colour} would look the same on dark paper");
        }
    }
}

#[test]
fn control_characters_are_replaced() {
    assert_eq!(escape("a\u{0}b\n"), "a\u{fffd}b\u{fffd}");
}
