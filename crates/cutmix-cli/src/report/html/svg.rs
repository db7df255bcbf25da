//! Charts as SVG, whose colours are those of the page.

use maud::{Markup, html};

use crate::terminal::grouped;

/// The size of a chart, in units that are about a pixel of a telephone.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
/// The ends of the plotted area: left and right, bottom and top.
pub const X_ENDS: [f64; 2] = [52.0, 390.0];
pub const Y_ENDS: [f64; 2] = [206.0, 10.0];
/// Points up to which a line has a dot at each.
const DOTTED: usize = 30;
/// The number of parts of a long curve. Of each the lowest and the highest point are drawn.
const PARTS: usize = 256;

/// Series of different colours.
const COLOURS: usize = 8;

/// A chart of numbers over an axis.
pub struct Chart<'a> {
    /// What it shows, with its unit.
    pub title: &'a str,
    /// What it shows in a sentence, for those who do not see it.
    pub description: String,
    pub x_label: &'a str,
    /// The part of the y axis that is shown at least.
    pub y_range: Option<[f64; 2]>,
    pub series: Vec<Series>,
    /// Behind the first series.
    pub bands: Vec<Band>,
}

/// What a series reaches over: x, and the lowest and the highest y.
pub struct Band(pub Vec<[f64; 3]>);

/// Points of one colour, by rising x. Those that are not finite are left out.
pub struct Series {
    pub label: String,
    pub shape: Shape,
    pub points: Vec<[f64; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Line,
    Dots,
}

impl Chart<'_> {
    /// The chart with its title and its legend.
    pub fn figure(&self) -> Markup {
        let drawn: Vec<_> = self.series.iter().map(Series::drawn).collect();
        let lengths = self.series.iter().zip(&drawn);
        let longest = lengths
            .filter(|(series, drawn)| drawn.len() < series.finite().count())
            .max_by_key(|(series, _)| series.points.len());
        let thinned = longest.map(|(series, drawn)| {
            format!(
                "{} of {} points are drawn, the lowest and the highest ones among them.",
                grouped(drawn.len()),
                grouped(series.finite().count())
            )
        });
        html! {
            figure {
                h3 { (self.title) }
                @if self.series.len() > 1 {
                    ul.legend {
                        @for (index, series) in self.series.iter().enumerate() {
                            li { (key(series.shape, index)) (series.label) }
                        }
                    }
                }
                (self.svg(&drawn))
                @if let Some(thinned) = thinned { figcaption { (thinned) } }
            }
        }
    }

    fn svg(&self, drawn: &[Vec<[f64; 2]>]) -> Markup {
        let points = || drawn.iter().flatten();
        let ends = self.bands.iter().flat_map(|band| &band.0);
        let ends = ends.flat_map(|[_, low, high]| [*low, *high]);
        let x = Axis::new(points().map(|point| point[0]), None, X_ENDS, 6);
        let y = Axis::new(
            points().map(|point| point[1]).chain(ends),
            self.y_range,
            Y_ENDS,
            5,
        );
        let curves = html! {
            @for (index, band) in self.bands.iter().enumerate() {
                @let low = band.0.iter().map(|[right, low, _]| (x.place(*right), y.place(*low)));
                @let high = band.0.iter().rev().map(|[right, _, high]| (x.place(*right), y.place(*high)));
                path class={ "band s" (index % COLOURS) } d=(line(&low.chain(high).collect::<Vec<_>>())) {}
            }
            @for (index, (series, points)) in self.series.iter().zip(drawn).enumerate() {
                @let places: Vec<_> = points.iter().map(|[right, up]| (x.place(*right), y.place(*up))).collect();
                @if series.shape == Shape::Dots {
                    path class={ "sample s" (index % COLOURS) } d=(dots(&places)) {}
                } @else {
                    @if places.len() > 1 {
                        path class={ "line s" (index % COLOURS) } d=(line(&places)) {}
                    }
                    @if places.len() <= DOTTED {
                        path class={ "dots s" (index % COLOURS) } d=(dots(&places)) {}
                    }
                }
            }
        };
        drawing(&self.description, [&x, &y], self.x_label, curves)
    }
}

impl Series {
    fn finite(&self) -> impl Iterator<Item = [f64; 2]> {
        let points = self.points.iter().copied();
        points.filter(|point| point.iter().all(|value| value.is_finite()))
    }

    /// The points that are drawn: of a long series its ends, and the lowest and the highest point of
    /// each of its parts.
    fn drawn(&self) -> Vec<[f64; 2]> {
        let points: Vec<_> = self.finite().collect();
        if points.len() <= 2 * PARTS {
            return points;
        }
        let mut kept = vec![0, points.len() - 1];
        for part in 0..PARTS {
            let [start, end] = [part, part + 1].map(|part| part * points.len() / PARTS);
            let by_height = |a: &usize, b: &usize| points[*a][1].total_cmp(&points[*b][1]);
            kept.extend((start..end).min_by(by_height));
            kept.extend((start..end).max_by(by_height));
        }
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(|at| points[at]).collect()
    }
}

/// A drawing over two axes, with a sentence for those who do not see it.
pub fn drawing(description: &str, axes: [&Axis; 2], x_label: &str, drawn: Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(description) {
            (frame(axes, x_label))
            (drawn)
        }
    }
}

/// The sign of a series in a legend.
fn key(shape: Shape, index: usize) -> Markup {
    let (class, path) = match shape {
        Shape::Line => ("line", "M0 5H28"),
        Shape::Dots => ("sample", "M5 5h0M14 3h0M23 6h0"),
    };
    html! {
        svg viewBox="0 0 28 10" aria-hidden="true" { path class={ (class) " s" (index % COLOURS) } d=(path) {} }
    }
}

/// The grid, the axes and their numbers.
fn frame([x, y]: [&Axis; 2], x_label: &str) -> Markup {
    let [left, right] = x.ends;
    let [bottom, _] = y.ends;
    html! {
        @for tick in y.ticks() {
            @let at = y.place(tick);
            path.grid d=(format!("M{left:.1} {at:.1}H{right:.1}")) {}
            text x=(format!("{:.1}", left - 7.0)) y=(format!("{:.1}", at + 4.5)) text-anchor="end" { (y.label(tick)) }
        }
        path.axis d=(format!("M{left:.1} {bottom:.1}H{right:.1}")) {}
        @for tick in x.ticks() {
            @let at = x.place(tick);
            path.axis d=(format!("M{at:.1} {bottom:.1}v4")) {}
            text x=(format!("{at:.1}")) y=(format!("{:.1}", bottom + 18.0)) text-anchor="middle" { (x.label(tick)) }
        }
        text x=(format!("{:.1}", (left + right) / 2.0)) y=(format!("{:.1}", bottom + 38.0)) text-anchor="middle" { (x_label) }
    }
}

/// Numbers on a line of the chart.
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
    /// The places of both ends.
    ends: [f64; 2],
}

impl Axis {
    /// An axis that shows all of `values`, and `range` where there is one, with about `count` numbers.
    pub fn new(
        values: impl Iterator<Item = f64>,
        range: Option<[f64; 2]>,
        ends: [f64; 2],
        count: usize,
    ) -> Self {
        let all = values.chain(range.into_iter().flatten());
        let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        // A single value is in the middle.
        let room = if high > low {
            0.0
        } else {
            0.05 * low.abs().max(1e-6)
        };
        let (low, high) = (low - room, high + room);
        let step = nice((high - low) / count as f64);
        let is_vertical = ends[0] > ends[1];
        let (low, high) = if is_vertical {
            // Ends at numbers.
            (
                (low / step + 1e-9).floor() * step,
                (high / step - 1e-9).ceil() * step,
            )
        } else {
            // The last batch of an epoch starts just before its end.
            let end = (high / step).ceil() * step;
            (low, if end - high < 0.05 * step { end } else { high })
        };
        Self {
            low,
            high,
            step,
            ends,
        }
    }

    /// The lowest value of the axis.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The highest value of the axis.
    pub fn high(&self) -> f64 {
        self.high
    }

    pub fn place(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.ends[0] + share * (self.ends[1] - self.ends[0])
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step - 1e-6).ceil() as i64;
        let last = (self.high / self.step + 1e-6).floor() as i64;
        let step = self.step;
        (first..=last).map(move |index| index as f64 * step)
    }

    /// A number with as many places as the steps need.
    fn label(&self, value: f64) -> String {
        if value != 0.0 && self.step < 1e-4 {
            return format!("{:.1e}", value);
        }
        let places = (-self.step.log10()).ceil().max(0.0) as usize;
        format!("{value:.places$}")
    }
}

/// The nearest of 1, 2 and 5 times a power of ten that is no smaller.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn line(places: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        path += &format!("{command}{x:.1} {y:.1}");
    }
    path
}

/// A line of no length, with round ends, is a dot.
fn dots(places: &[(f64, f64)]) -> String {
    let dots = places.iter().map(|(x, y)| format!("M{x:.1} {y:.1}h0"));
    dots.collect()
}

#[cfg(test)]
#[path = "../../../tests/unit/svg.rs"]
mod tests;
