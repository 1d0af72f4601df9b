//! The frontier as a picture: recall to the right, queries per CPU-second upwards, one line a contestant.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::{Run, contestants::Contestant};

const SIZE: (u32, u32) = (960, 600);

/// Recall left of this is of no use to anyone, so the axis does not go further unless all runs are there.
const RECALL_SHOWN_MIN: f64 = 0.6;

/// One colour a contestant, told apart by the colour-blind too (Okabe and Ito 2008).
const COLOURS: [RGBColor; 5] =
    [RGBColor(0, 0, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(213, 94, 0), RGBColor(204, 121, 167)];

/// Draws `runs` as an SVG file.
///
/// # Errors
/// No run to draw, or a file that can't be written.
pub fn draw(runs: &[Run], title: &str, path: &Path) -> Result<()> {
    let recall_min = least(runs.iter().map(|run| run.recall)).ok_or_else(|| anyhow!("no run to draw"))?;
    let best = runs.iter().map(|run| run.recall).fold(0.0, f64::max);
    let left = if best > RECALL_SHOWN_MIN { recall_min.max(RECALL_SHOWN_MIN) } else { recall_min };
    let right = best.max(left + 0.01);
    let margin = (right - left) * 0.05;
    let slowest = least(runs.iter().map(|run| run.qps_cpu)).unwrap_or(1.0);
    let fastest = runs.iter().map(|run| run.qps_cpu).fold(slowest, f64::max);

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(left - margin..right + margin, (slowest / 1.5..fastest * 1.5).log_scale())?;
    let thousands = |rate: &f64| if *rate >= 1e3 { format!("{} k", rate / 1e3) } else { rate.to_string() };
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("recall").y_desc("queries per CPU-second, one thread").y_label_formatter(&thousands);
    mesh.light_line_style(WHITE).draw()?;
    for (contestant, colour) in Contestant::ALL.into_iter().zip(COLOURS) {
        let own = runs.iter().filter(|run| run.kind == contestant && run.recall >= left);
        let mut points: Vec<(f64, f64)> = own.map(|run| (run.recall, run.qps_cpu)).collect();
        if points.is_empty() {
            continue;
        }
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3));
        chart.draw_series(line)?.label(contestant.name()).legend(legend);
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::LowerLeft).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

fn least(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::min)
}
