//! A plot of the times: the share of orders that were accepted, and completed, within a time.

use std::fs::{OpenOptions, remove_file};
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::Report;
use crate::exit::Failure;

const SIZE: (u32, u32) = (720, 400);
const COLOURS: [RGBColor; 2] = [RGBColor(31, 119, 180), RGBColor(214, 96, 39)];

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Fails if the file can't be written. Changes nothing.
pub fn check(file: &Path) -> Result<(), Failure> {
    let existed = file.exists();
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .map_err(|error| Failure::Usage(format!("{} can't be written: {error}", file.display())))?;
    if !existed {
        let _ = remove_file(file); // An empty file that stays does no harm.
    }
    Ok(())
}

/// Draws the times of a report.
pub fn svg(report: &Report) -> Result<String, Failure> {
    let curves = report.curves();
    let mut svg = String::new();
    draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), &report.title(), &curves)
        .map_err(|error| Failure::Other(format!("the picture can't be drawn: {error}")))?;
    Ok(svg)
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, curves: &[(&'static str, Vec<(f64, f64)>)]) -> Drawn {
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(range(curves).log_scale(), 0.0..100.0)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("within (seconds)").y_desc("share of orders (%)").light_line_style(WHITE.mix(0.0)).draw()?;
    for ((name, points), colour) in curves.iter().zip(COLOURS) {
        let legend = move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2));
        let line = PathElement::new(points.clone(), colour.stroke_width(2));
        chart.draw_series(std::iter::once(line))?.label(*name).legend(legend);
    }
    let mut labels = chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()
}

/// The x axis: from a little below the shortest time to a little above the longest.
fn range(curves: &[(&'static str, Vec<(f64, f64)>)]) -> std::ops::Range<f64> {
    let times = curves.iter().flat_map(|(_, points)| points).map(|(time, _)| *time);
    let (low, high) = times.fold((f64::INFINITY, 0.0_f64), |(low, high), time| (low.min(time), high.max(time)));
    low.clamp(1e-6, 1e6) * 0.8..high.max(1e-3) * 1.25
}
