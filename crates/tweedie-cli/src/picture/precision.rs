//! Error against work, both on logarithmic axes.

use super::canvas::{Surface, draw, failed, px, text};
use super::curve::{log_ticks, range, short};
use super::{CLASSES, FAINT, GREY, INK};
use anyhow::{Result, ensure};
use image::RgbImage;
use plotters::prelude::*;

/// Lines that share axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_axis: &'static str,
    pub(crate) y_axis: &'static str,
    /// Names and their points; all coordinates positive.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
    /// What no line can get below, but by chance.
    pub(crate) floor: Option<f64>,
}

/// Pixels of a panel.
const SIZE: (u32, u32) = (560, 380);
const COLUMNS: usize = 2;

/// Draws the panels, row after row.
pub(crate) fn panels(panels: &[Panel]) -> Result<RgbImage> {
    ensure!(!panels.is_empty(), "no points to draw");
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let size = (SIZE.0 * columns as u32, SIZE.1 * rows as u32);
    draw(size, |surface| {
        let parts = surface.split_evenly((rows, columns));
        parts.iter().zip(panels).try_for_each(|(part, panel)| paint(part, panel))
    })
}

fn paint(area: &Surface<'_>, panel: &Panel) -> Result<()> {
    let points = || panel.lines.iter().flat_map(|line| &line.1);
    ensure!(points().next().is_some(), "no points to draw");
    let (left, right) = range(points().map(|p| p.0));
    let (low, high) = range(points().map(|p| p.1).chain(panel.floor));
    let ((left, right), (low, high)) = ((left * 0.85, right * 1.15), (low * 0.6, high * 1.6));
    let x = (left..right).log_scale().with_key_points(log_ticks(left, right));
    let y = (low..high).log_scale().with_key_points(log_ticks(low, high));
    let (chart_area, legend) = area.split_horizontally(px(SIZE.0 - 150));
    let mut chart = ChartBuilder::on(&chart_area)
        .caption(&panel.title, text(15, INK))
        .margin(px(10))
        .x_label_area_size(px(38))
        .y_label_area_size(px(60))
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT.stroke_width(px(1)))
        .light_line_style(WHITE)
        .axis_style(GREY.stroke_width(px(1)))
        .label_style(text(11, INK))
        .x_desc(panel.x_axis)
        .y_desc(panel.y_axis)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| short(*y))
        .draw()
        .map_err(failed)?;
    if let Some(floor) = panel.floor {
        let line = [(left, floor), (right, floor)];
        let dashed = DashedLineSeries::new(line, px(2), px(3), GREY.stroke_width(px(1)));
        chart.draw_series(dashed).map_err(failed)?;
    }
    for (i, (_, points)) in panel.lines.iter().enumerate() {
        let style = CLASSES[i % CLASSES.len()].stroke_width(px(2));
        let line = points.iter().copied();
        if i < CLASSES.len() {
            chart.draw_series(LineSeries::new(line, style)).map_err(failed)?;
        } else {
            let dashed = DashedLineSeries::new(line, px(5), px(4), style);
            chart.draw_series(dashed).map_err(failed)?;
        }
        let dot = |p: &(f64, f64)| Circle::new(*p, px(3), style.filled());
        chart.draw_series(points.iter().map(dot)).map_err(failed)?;
    }
    names(&legend, panel)
}

/// The legend beside the chart, where it hides no line.
fn names(area: &Surface<'_>, panel: &Panel) -> Result<()> {
    for (i, (name, _)) in panel.lines.iter().enumerate() {
        let style = CLASSES[i % CLASSES.len()].stroke_width(px(2));
        let y = px(34 + 18 * i as u32) as i32;
        // The dashes of a second round of colours.
        let ends: &[(u32, u32)] =
            if i < CLASSES.len() { &[(0, 18)] } else { &[(0, 5), (7, 12), (14, 18)] };
        for (from, to) in ends {
            let ends = [(px(*from) as i32, y), (px(*to) as i32, y)];
            area.draw(&PathElement::new(ends, style)).map_err(failed)?;
        }
        let at = (px(24) as i32, y - px(6) as i32);
        area.draw(&Text::new(name.clone(), at, text(11, INK))).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_gets_its_colour() {
        let line = |k: f64| (k.to_string(), vec![(5.0, k), (50.0, 0.01 * k)]);
        let panel = Panel {
            title: "t".into(),
            x_axis: "x",
            y_axis: "y",
            lines: (1..=12).map(|k| line(f64::from(k))).collect(),
            floor: Some(0.1),
        };
        let picture = panels(&[panel]).unwrap();
        assert_eq!(picture.dimensions(), SIZE);
        for colour in CLASSES {
            let RGBColor(r, g, b) = colour;
            assert!(picture.pixels().any(|p| p.0 == [r, g, b]), "{colour:?}");
        }
        assert!(panels(&[]).is_err());
    }
}
