//! Line charts as SVG: a pure function from numbers to markup. Colours are the page's.

use super::axis::Axis;
use maud::{Markup, PreEscaped, html};
use std::fmt::Write;

/// One line: (x, y), with a gap where there is no y.
pub(super) type Points = Vec<(f64, Option<f64>)>;

/// A line of a chart.
pub(super) struct Line {
    /// What it is, in the legend; nothing: it has no entry.
    pub(super) name: String,
    /// The class of its colour and width in the style sheet.
    pub(super) class: String,
    /// In order of x.
    pub(super) points: Points,
}

/// A chart with its axes.
pub(super) struct Chart<'a> {
    /// What it shows, for those who don't see it.
    pub(super) title: &'a str,
    /// What is along, with its unit.
    pub(super) x_name: &'a str,
    /// The unit of what is up; nothing: it has none.
    pub(super) y_name: &'a str,
    /// Along.
    pub(super) x: Axis,
    /// Up.
    pub(super) y: Axis,
    /// From the lowest to the topmost.
    pub(super) lines: Vec<Line>,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 256.0;
/// Room for labels: left, right, above, below.
const ROOM: [f64; 4] = [58.0, 12.0, 10.0, 42.0];
/// Columns that a line is drawn in, two points each at most.
const COLUMNS: usize = 420;

impl Chart<'_> {
    /// Its SVG.
    pub(super) fn svg(&self) -> Markup {
        let [left, right, top, bottom] = ROOM;
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) {
                @for (value, label) in &self.y.ticks {
                    @if let Some(y) = self.y.at(*value).map(up) {
                        path.mesh d={ "M" (left) " " (short(y)) "H" (WIDTH - right) } {}
                        text.tick x=(left - 7.0) y=(short(y + 4.0)) text-anchor="end" { (label) }
                    }
                }
                @for (value, label) in &self.x.ticks {
                    @if let Some(x) = self.x.at(*value).map(along) {
                        path.mesh d={ "M" (short(x)) " " (HEIGHT - bottom) "v5" } {}
                        text.tick x=(short(x)) y=(HEIGHT - bottom + 18.0) text-anchor="middle" { (label) }
                    }
                }
                path.axis d={ "M" (left) " " (top) "V" (HEIGHT - bottom) "H" (WIDTH - right) } {}
                text.name x=(WIDTH - right) y=(HEIGHT - 6.0) text-anchor="end" { (self.x_name) }
                @for line in &self.lines {
                    path class={ "line " (line.class) } d=(PreEscaped(self.path(&thinned(&line.points)))) {}
                }
            }
        }
    }

    /// The unit of what is up, and whether it goes by ratios.
    pub(super) fn unit(&self) -> String {
        let scale = self.y.is_logarithmic().then_some("logarithmic");
        let unit = Some(self.y_name).filter(|unit| !unit.is_empty());
        unit.into_iter().chain(scale).collect::<Vec<_>>().join(", ")
    }

    /// Swatches and names, where there is more than one line to tell apart.
    pub(super) fn legend(&self) -> Markup {
        let named: Vec<&Line> = self.lines.iter().filter(|l| !l.name.is_empty()).collect();
        html! {
            @if named.len() > 1 {
                ul.legend {
                    @for line in named { li { span class={ "swatch " (line.class) } {} (line.name) } }
                }
            }
        }
    }

    /// Pieces of a line; one without a neighbour is a dot.
    fn path(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut pen = Pen::Up;
        for &(x, y) in points {
            let place = y.and_then(|y| Some((along(self.x.at(x)?), up(self.y.at(y)?))));
            pen = match (place, pen) {
                (Some((x, y)), Pen::Up) => {
                    let _ = write!(path, "M{} {}", short(x), short(y));
                    Pen::AtStart
                }
                (Some((x, y)), _) => {
                    let _ = write!(path, "L{} {}", short(x), short(y));
                    Pen::Down
                }
                (None, Pen::AtStart) => {
                    path.push_str("h0");
                    Pen::Up
                }
                (None, _) => Pen::Up,
            };
        }
        if let Pen::AtStart = pen {
            path.push_str("h0");
        }
        path
    }
}

enum Pen {
    Up,
    AtStart,
    Down,
}

fn along(place: f64) -> f64 {
    ROOM[0] + place * (WIDTH - ROOM[0] - ROOM[1])
}

fn up(place: f64) -> f64 {
    HEIGHT - ROOM[3] - place * (HEIGHT - ROOM[2] - ROOM[3])
}

/// A tenth of a unit is less than anybody sees.
fn short(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The lowest and the highest of each column of a long line, gaps kept: what would be seen of it.
fn thinned(points: &[(f64, Option<f64>)]) -> Points {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for column in points.chunks(points.len().div_ceil(COLUMNS)) {
        let here = |pick: fn(f64, f64) -> bool| {
            let seen = column.iter().filter(|p| p.1.is_some_and(f64::is_finite));
            seen.reduce(
                |best, p| if pick(p.1.unwrap_or(0.0), best.1.unwrap_or(0.0)) { p } else { best },
            )
        };
        let (low, high) = (here(|new, best| new < best), here(|new, best| new > best));
        match (low, high) {
            (Some(low), Some(high)) if low.0 <= high.0 => kept.extend([*low, *high]),
            (Some(low), Some(high)) => kept.extend([*high, *low]),
            _ => kept.push((column[0].0, None)),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Points) -> Chart<'static> {
        let axis = || Axis::linear([0.0, 10.0].into_iter());
        let lines = vec![Line { name: "a & b".into(), class: "raw".into(), points }];
        Chart { title: "<loss>", x_name: "step", y_name: "loss", x: axis(), y: axis(), lines }
    }

    #[test]
    fn a_line_breaks_where_there_is_no_value_and_a_lone_one_is_a_dot() {
        let chart = chart(vec![]);
        let points =
            [(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(3.0)), (4.0, None)];
        let path = chart.path(&points);
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
        assert!(path.ends_with("h0"), "{path}");
        assert!(chart.path(&[(1.0, Some(f64::NAN))]).is_empty());
        assert!(chart.path(&[(1.0, Some(5.0))]).ends_with("h0"));
    }

    #[test]
    fn high_values_are_above_low_ones_and_words_are_escaped() {
        assert!(up(1.0) < up(0.0) && along(1.0) > along(0.0));
        let svg = chart(vec![(0.0, Some(0.0)), (10.0, Some(10.0))]).svg().into_string();
        assert!(svg.contains("aria-label=\"&lt;loss&gt;\""), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("<loss>"), "{svg}");
        assert!(svg.contains(">10</text>"), "{svg}");
    }

    #[test]
    fn long_lines_are_thinned_to_what_is_seen() {
        let mut points: Points = (0..100_000).map(|i| (f64::from(i), Some(1.0))).collect();
        points[51_234].1 = Some(9.0);
        points[70_000].1 = Some(f64::NAN);
        let kept = thinned(&points);
        assert!(kept.len() <= 2 * COLUMNS);
        assert!(kept.contains(&(51_234.0, Some(9.0))), "a spike stays");
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
