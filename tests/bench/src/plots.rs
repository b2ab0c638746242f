//! Plots of lines on logarithmic axes, as SVG.

use plotters::prelude::*;
use sandbox::Result;

use crate::stats::figure;

const SIZE: (u32, u32) = (720, 400);
/// The colours of the lines, in their order.
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 96, 39), RGBColor(44, 140, 60), RGBColor(130, 90, 170)];

pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// A line of this name.
    pub fn new(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.to_owned(), points: points.into_iter().collect() }
    }
}

pub struct Plot<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    pub series: Vec<Series>,
}

impl Plot<'_> {
    pub fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area()).map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    ) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(70)
            .build_cartesian_2d(self.range(|point| point.0).log_scale(), self.range(|point| point.1).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x).y_desc(self.y).light_line_style(WHITE.mix(0.0));
        mesh.x_label_formatter(&|value| label(*value)).y_label_formatter(&|value| label(*value)).draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2)).point_size(3);
            let legend = move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(&series.name).legend(legend);
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
        area.present()
    }

    /// The range of an axis: from slightly below the lowest value to slightly above the highest.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
        let values = self.series.iter().flat_map(|series| &series.points).map(of);
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        low.max(1e-6) * 0.8..high.max(1e-3) * 1.25
    }
}

/// The label of a value on an axis.
fn label(value: f64) -> String {
    if value >= 1000.0 { figure(value) } else { value.to_string() }
}
