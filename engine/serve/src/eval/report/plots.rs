//! Plots as inline SVG. Colours are names that the page's style maps to the reader's scheme.

use anyhow::Result;
use plotters::{coord::ranged1d::SegmentValue, prelude::*};

use super::{super::bootstrap::Estimate, markup::escape};

const SIZE: (u32, u32) = (960, 300);

/// First colour (Okabe and Ito 2008: told apart by the colour-blind too).
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
/// Second colour.
pub const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GRID: RGBColor = RGBColor(204, 204, 204);

/// Most names below an axis.
const LABELS_MAX: usize = 26;

/// Pixels that a letter of a name below an axis takes, and room to the next name.
const LETTER_WIDTH: usize = 9;

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    label: String,
    height: Estimate,
}

/// A line over the places of an axis.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its colour.
    pub colour: RGBColor,
    /// A point for each place.
    pub points: Vec<Estimate>,
}

impl Bar {
    /// With an interval, where it has one.
    #[must_use]
    pub const fn new(label: String, height: Estimate) -> Self {
        Self { label, height }
    }

    /// Without.
    #[must_use]
    pub const fn plain(label: String, height: f64) -> Self {
        Self { label, height: Estimate { value: Some(height), interval: None } }
    }
}

/// Axes with a few horizontal lines, and the name of each place where there is room.
macro_rules! axes {
    ($chart:expr, $labels:expr, $x_title:expr) => {{
        let room = SIZE.0 as usize / $labels.len().clamp(1, LABELS_MAX) / LETTER_WIDTH;
        let name = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(place) => $labels.get(*place).map(|label| shortened(label, room)).unwrap_or_default(),
            _ => String::new(),
        };
        let number =
            |value: &f64| if (value - value.round()).abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.2}") };
        let mut mesh = $chart.configure_mesh();
        mesh.disable_x_mesh()
            .x_labels(LABELS_MAX)
            .x_label_formatter(&name)
            .y_labels(6)
            .y_label_formatter(&number)
            .label_style(("sans-serif", 14));
        mesh.bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(GRID);
        if !$x_title.is_empty() {
            mesh.x_desc($x_title);
        }
        mesh.draw()?;
    }};
}

/// An upright line with caps.
macro_rules! whisker {
    ($chart:expr, $place:expr, $interval:expr, $colour:expr) => {{
        let ends = [$interval.low, $interval.high].map(|end| (SegmentValue::CenterOf($place), end));
        $chart.draw_series([PathElement::new(ends.to_vec(), $colour.stroke_width(1))])?;
        for end in ends {
            let cap = PathElement::new(vec![(-4, 0), (4, 0)], $colour.stroke_width(1));
            $chart.draw_series([EmptyElement::at(end) + cap])?;
        }
    }};
}

/// Bars side by side, each with its interval as a whisker and its value above.
///
/// # Errors
/// A plot that can't be drawn.
pub fn bars(title: &str, x_title: &str, bars: &[Bar], colour: RGBColor) -> Result<String> {
    let labels: Vec<String> = bars.iter().map(|bar| bar.label.clone()).collect();
    let top = top_of(bars.iter().map(|bar| bar.height));
    figure(title, &[], &labels, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_top(24)
            .x_label_area_size(if x_title.is_empty() { 32 } else { 48 })
            .y_label_area_size(64)
            .build_cartesian_2d((0..bars.len().max(1) - 1).into_segmented(), 0.0..top)?;
        axes!(chart, labels, x_title);
        for (place, bar) in bars.iter().enumerate() {
            let Some(height) = bar.height.value else { continue };
            let corners = [(SegmentValue::Exact(place), 0.0), (SegmentValue::Exact(place + 1), height)];
            let mut rectangle = Rectangle::new(corners, colour.filled());
            let gap = (SIZE.0 as usize / bars.len().max(1) / 5) as u32;
            rectangle.set_margin(0, 0, gap, gap);
            chart.draw_series([rectangle])?;
            let mut above = height;
            if let Some(interval) = bar.height.interval {
                whisker!(chart, place, interval, BLACK);
                above = interval.high;
            }
            let text = if height.fract() == 0.0 { height.to_string() } else { format!("{height:.2}") };
            let font = ("sans-serif", 14).into_font().color(&BLACK);
            let x_shift = -4 * i32::try_from(text.len()).unwrap_or(0);
            let text = EmptyElement::at((SegmentValue::CenterOf(place), above)) + Text::new(text, (x_shift, -18), font);
            chart.draw_series([text])?;
        }
        Ok(())
    })
}

/// Lines over the same places, each point with its interval as a whisker.
///
/// # Errors
/// A plot that can't be drawn.
pub fn lines(title: &str, x_title: &str, labels: &[String], series: &[Series<'_>]) -> Result<String> {
    let top = top_of(series.iter().flat_map(|series| series.points.iter().copied()));
    let names: Vec<(&str, RGBColor)> = series.iter().map(|series| (series.name, series.colour)).collect();
    figure(title, &names, labels, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(if x_title.is_empty() { 32 } else { 48 })
            .y_label_area_size(64)
            .build_cartesian_2d((0..labels.len().max(1) - 1).into_segmented(), 0.0..top)?;
        axes!(chart, labels, x_title);
        for line in series {
            let colour = line.colour;
            let points: Vec<_> =
                line.points.iter().enumerate().filter_map(|(place, point)| Some((place, point.value?))).collect();
            let points = points.into_iter().map(|(place, value)| (SegmentValue::CenterOf(place), value));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
            for (place, point) in line.points.iter().enumerate() {
                if let Some(interval) = point.interval {
                    whisker!(chart, place, interval, colour);
                }
            }
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws, and wraps the drawing with its title and the names of its colours; in words where there is nothing to draw.
fn figure(
    title: &str,
    names: &[(&str, RGBColor)],
    labels: &[String],
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let title = escape(title);
    if labels.is_empty() {
        return Ok(format!("<p>{title}: nothing to show.</p>\n"));
    }
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    // The opening tag is replaced by one that scales and needs no namespace inside HTML.
    let drawing = svg.split_once('>').map_or("", |(_, rest)| rest);
    let (width, height) = SIZE;
    let key = |(name, colour): &(&str, RGBColor)| {
        let class = if *colour == ORANGE { "orange" } else { "blue" };
        format!("<i class=\"{class}\"></i>{}", escape(name))
    };
    let names: String = names.iter().map(key).collect();
    Ok(format!(
        "<figure>\n<figcaption>{title}{names}</figcaption>\n<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\
         {drawing}</figure>\n"
    ))
}

/// The upper end of an axis from 0 on which all of this has room.
fn top_of(estimates: impl Iterator<Item = Estimate>) -> f64 {
    let ends = estimates.filter_map(|estimate| estimate.interval.map(|interval| interval.high).or(estimate.value));
    let top = ends.filter(|end| end.is_finite()).fold(0.0, f64::max);
    if top > 0.0 { top * 1.12 } else { 1.0 }
}

/// Without its middle, where it is too long: names that begin alike mostly end otherwise.
fn shortened(text: &str, letters_max: usize) -> String {
    let (letters, kept) = (text.chars().count(), letters_max.max(2) - 1);
    if letters <= kept + 1 {
        return text.to_owned();
    }
    let last = kept / 2;
    text.chars().take(kept - last).chain(['…']).chain(text.chars().skip(letters - last)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use faces_core::ranking::SourceSet;

    use super::*;

    #[test]
    fn shortened_names_of_all_sources_differ() {
        let room = SIZE.0 as usize / (SourceSet::NAMES.len() + 1) / LETTER_WIDTH;
        let names: HashSet<String> = SourceSet::NAMES.iter().map(|(_, name)| shortened(name, room)).collect();
        assert_eq!(names.len(), SourceSet::NAMES.len(), "{names:?}");
        assert_eq!(["warm", "warmer", "warmest"].map(|name| shortened(name, 6)), ["warm", "warmer", "war…st"]);
        assert_eq!((shortened("warm", 0), shortened("", 3)), ("w…".into(), String::new()));
    }
}
