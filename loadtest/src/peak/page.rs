//! The report as one HTML file that needs nothing else: plots as inline SVG, tables, verdicts.

use std::fmt::Write as _;

use plotters::prelude::*;

use super::{report::PeakReport, watch::Sample};
use crate::latency::for_people;

const SIZE: (u32, u32) = (960, 240);
/// Colours that the colour-blind tell apart too (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const LEVELS: [&str; 6] = ["full", "lean", "co_visitation", "cached", "popular", "unnamed"];
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}.fail{color:#b00;font-weight:600}.ok{color:#070}svg{max-width:100%;height:auto}";

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The page.
///
/// # Errors
/// A plot that can't be drawn.
pub fn html(report: &PeakReport) -> anyhow::Result<String> {
    let mut page = String::new();
    let title = format!("faces-loadtest {}", report.scenario);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    )?;
    write!(
        page,
        "<p>{} · unit {} · page size {} · deadline {} ms. Latency counts from when a request was due; what got no answer counts \
         with its wait.</p>",
        escape(&report.target),
        escape(&report.bu),
        report.page_size,
        report.deadline_ms
    )?;
    report.finding.lines().iter().try_for_each(|line| write!(page, "<p>{}</p>", escape(line)))?;
    if report.generator_limited {
        page.push_str("<p class=\"fail\">The generator was the bottleneck in some phases: the server was offered less, or later, than asked.</p>");
    }
    verdicts(&mut page, report)?;
    phases(&mut page, report)?;
    for (title, unit, lines) in plots(report) {
        write!(page, "<h2>{title}</h2>{}", plot(unit, &lines)?)?;
    }
    page.push_str("</html>\n");
    Ok(page)
}

fn verdicts(page: &mut String, report: &PeakReport) -> std::fmt::Result {
    page.push_str("<h2>Limits</h2><table><tr><th>what<th>found<th>limit<th></tr>");
    for verdict in &report.verdicts {
        let found = verdict.found.map_or_else(|| "not known".to_owned(), |found| format!("{found:.4}"));
        let (class, word) = if verdict.holds { ("ok", "holds") } else { ("fail", "missed") };
        write!(page, "<tr><td>{}<td>{found}<td>{}<td class=\"{class}\">{word}</tr>", escape(&verdict.what), verdict.limit)?;
    }
    for command in &report.finding.commands {
        let (class, word) = if command.succeeded { ("ok", "done") } else { ("fail", "failed") };
        let (what, outcome) = (escape(&command.command), escape(&command.outcome));
        write!(page, "<tr><td>{} <code>{what}</code><td>{outcome}<td><td class=\"{class}\">{word}</tr>", command.option)?;
    }
    page.push_str("</table>");
    Ok(())
}

fn phases(page: &mut String, report: &PeakReport) -> std::fmt::Result {
    page.push_str(
        "<h2>Phases</h2><table><tr><th>phase<th>due /s<th>good /s<th>p50 ms<th>p99 ms<th>p99.9 ms<th>critical good %<th>\
         degraded<th>errors<th>CPU µs / answer</tr>",
    );
    for phase in &report.phases {
        let [p50, p99, p999] = [phase.p50_ms, phase.p99_ms, phase.p999_ms].map(for_people);
        write!(
            page,
            "<tr><td>{}<td>{:.0}<td>{:.0}<td>{p50}<td>{p99}<td>{p999}<td>{:.2}<td>{}<td>{}<td>{}</tr>",
            escape(&phase.name),
            phase.rate_per_s,
            phase.goodput_per_s,
            100.0 * phase.critical.good_share(),
            phase.counts.degraded,
            phase.counts.errors,
            phase.server_cpu_us_per_answer.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}")),
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

/// Title, unit and lines of every plot.
fn plots(report: &PeakReport) -> Vec<(&'static str, &'static str, Vec<Line>)> {
    let seconds = || {
        let all = report.phases.iter();
        all.flat_map(|phase| phase.by_second.iter().enumerate().map(move |(n, second)| (phase.began_s + n as f64, second)))
    };
    let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
    let quantile = |name: &str, quantile: f64| {
        let points = seconds().filter_map(|(at, second)| Some((at, second.latencies.quantile_ms(quantile)?)));
        line(name, points.collect())
    };
    let levels = LEVELS.iter().map(|level| {
        line(level, seconds().map(|(at, second)| (at, second.levels.get(level).copied().unwrap_or(0) as f64)).collect())
    });
    let server = |value: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        report.server.iter().filter_map(|sample| Some((sample.at_s, value(sample)?))).collect()
    };
    let cores = report.server.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        Some((after.at_s, (after.cpu_s? - before.cpu_s?) / (after.at_s - before.at_s).max(1e-9)))
    });
    let cores = cores.filter(|(_, busy)| *busy >= 0.0); // less than before: another process
    let cpu = report.phases.iter().filter_map(|phase| Some((phase, phase.server_cpu_us_per_answer?)));
    let cpu = cpu.flat_map(|(phase, us)| [(phase.began_s, us), (phase.began_s + phase.seconds, us)]);
    vec![
        (
            "Rate",
            "requests a second",
            vec![
                line("due", seconds().map(|(at, second)| (at, second.counts.due as f64)).collect()),
                line("good", seconds().map(|(at, second)| (at, second.counts.good as f64)).collect()),
                line("errors", seconds().map(|(at, second)| (at, second.counts.errors as f64)).collect()),
            ],
        ),
        ("Latency", "ms", vec![quantile("p50", 0.5), quantile("p99", 0.99), quantile("p99.9", 0.999)]),
        ("Levels of answers", "answers a second", levels.filter(|line| line.points.iter().any(|point| point.1 > 0.0)).collect()),
        ("Level in force", "0 full to 4 popular", vec![line("level", server(|sample| sample.level))]),
        ("Processor time of the server per answer, by phase", "µs", vec![line("CPU", cpu.collect())]),
        ("Processors that the server kept busy", "processors", vec![line("CPU", cores.collect())]),
        ("Freshness: age of the server's view", "s", vec![line("age", server(|sample| sample.view_age_s))]),
        ("Memory of the server", "MiB", vec![line("RSS", server(|sample| sample.rss_bytes.map(|bytes| bytes / 1_048_576.0)))]),
    ]
}

fn plot(unit: &str, lines: &[Line]) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (last, top) = points().fold((1.0_f64, 1e-9_f64), |(last, top), (x, y)| (last.max(*x), top.max(*y)));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..last, 0.0..top * 1.05)?;
        chart.configure_mesh().disable_x_mesh().light_line_style(TRANSPARENT).x_desc("s").y_desc(unit).draw()?;
        for (line, colour) in lines.iter().zip(COLOURS) {
            let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
            drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).position(SeriesLabelPosition::UpperLeft).draw()?;
        root.present()?;
    }
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
