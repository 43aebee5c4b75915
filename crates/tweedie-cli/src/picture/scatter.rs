//! Samples of a 2-D run over its training data, with equal axes.

use super::canvas::{Surface, draw, failed, px, text};
use super::{CLASSES, DATA, FAINT, GREY, INK};
use anyhow::Result;
use image::RgbImage;
use plotters::element::{Circle, Rectangle, Text};
use plotters::prelude::*;

/// A square part of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    center: [f32; 2],
    half: f32,
}

impl Window {
    /// The least square that holds all points, and a margin.
    pub(crate) fn around(points: &[[f32; 2]]) -> Self {
        let range = |axis: usize| {
            let values = points.iter().map(|p| p[axis]).filter(|v| v.is_finite());
            let (low, high) = values.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
            if low <= high { (low, high) } else { (-1.0, 1.0) }
        };
        let (x, y) = (range(0), range(1));
        let half = 0.5 * (x.1 - x.0).max(y.1 - y.0).max(1e-3) * 1.12;
        Window { center: [0.5 * (x.0 + x.1), 0.5 * (y.0 + y.1)], half }
    }

    /// Where a point is, from the lower left corner in units of a side; nothing for one outside.
    pub(crate) fn place(&self, point: &[f32; 2]) -> Option<[f32; 2]> {
        let [u, v] = [0, 1].map(|axis| (point[axis] - self.center[axis]) / self.half);
        // Also false for what is not a number.
        (u.abs() < 0.99 && v.abs() < 0.99).then(|| [u, v].map(|w| 0.5 * (1.0 + w)))
    }
}

/// What is drawn in one picture.
pub(crate) struct Scatter<'a> {
    /// The first line.
    pub(crate) title: &'a str,
    /// The training data, in grey below the samples.
    pub(crate) data: &'a [[f32; 2]],
    /// The samples.
    pub(crate) samples: &'a [[f32; 2]],
    /// The class of each sample, for its colour.
    pub(crate) classes: Option<&'a [i64]>,
    /// The part of the plane to show.
    pub(crate) window: Window,
}

/// Draws a square below a title, `size` pixels wide in all.
pub(crate) fn scatter(what: &Scatter<'_>, size: u32) -> Result<RgbImage> {
    let (header, margin) = (44, 16);
    draw((size, size - margin + header), |surface| {
        let (head, body) = surface.split_vertically(px(header));
        title(&head, what.title)?;
        let body = body.margin(0, px(margin), px(margin), px(margin));
        plane(&body, what)
    })
}

fn title(head: &Surface<'_>, words: &str) -> Result<()> {
    let (width, _) = head.dim_in_pixel();
    let y = px(14) as i32;
    let words = Text::new(words.to_owned(), (px(16) as i32, y), text(15, INK));
    head.draw(&words).map_err(failed)?;
    // The legend, from the right.
    let mut x = width as i32 - px(76) as i32;
    for (name, color, wide) in [("samples", CLASSES[0], 0), ("data", DATA, 62)] {
        x -= px(wide) as i32;
        let dot = (x - px(8) as i32, y + px(7) as i32);
        head.draw(&Circle::new(dot, px(4) as i32, color.filled())).map_err(failed)?;
        head.draw(&Text::new(name, (x, y + px(1) as i32), text(13, GREY))).map_err(failed)?;
    }
    Ok(())
}

fn plane(body: &Surface<'_>, what: &Scatter<'_>) -> Result<()> {
    let (width, height) = body.dim_in_pixel();
    let (width, height) = (width as i32, height as i32);
    let frame = Rectangle::new([(0, 0), (width - 1, height - 1)], FAINT.stroke_width(px(1)));
    body.draw(&frame).map_err(failed)?;
    let place = |p: &[f32; 2]| -> Option<(i32, i32)> {
        let [u, v] = what.window.place(p)?;
        Some(((u * width as f32).round() as i32, ((1.0 - v) * height as f32).round() as i32))
    };
    let dot = |at, radius: f32, style: ShapeStyle| -> Result<()> {
        let radius = (radius * px(1) as f32).round().max(1.0) as i32;
        body.draw(&Circle::new(at, radius, style)).map_err(failed)
    };
    for p in what.data.iter().filter_map(place) {
        dot(p, radius(what.data.len()) + 0.6, DATA.mix(0.55).filled())?;
    }
    for (i, p) in what.samples.iter().enumerate() {
        let class = what.classes.and_then(|c| c.get(i)).copied().unwrap_or(0);
        let color = CLASSES[class.unsigned_abs() as usize % CLASSES.len()];
        if let Some(p) = place(p) {
            dot(p, radius(what.samples.len()), color.mix(0.8).filled())?;
        }
    }
    Ok(())
}

/// Many points are drawn smaller.
fn radius(count: usize) -> f32 {
    (40.0 / (count.max(1) as f32).sqrt()).clamp(1.1, 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_equal_and_hold_every_point() {
        let window = Window::around(&[[-2.0, 0.0], [2.0, 1.0], [f32::NAN, 0.0]]);
        assert_eq!(window.center, [0.0, 0.5]);
        assert!(window.half > 2.0);
    }

    #[test]
    fn no_points_and_infinite_points_are_drawn_as_nothing() {
        let window = Window::around(&[]);
        let what = Scatter {
            title: "none",
            data: &[],
            samples: &[[f32::INFINITY, 0.0]],
            classes: None,
            window,
        };
        assert_eq!(scatter(&what, 200).unwrap().dimensions(), (200, 228));
    }
}
