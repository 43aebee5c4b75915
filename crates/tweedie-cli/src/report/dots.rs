//! Points in the plane as SVG, over the training data.

use crate::picture::scatter::Window;
use maud::{Markup, PreEscaped, html};
use std::fmt::Write;

/// Units along a side: whole numbers are fine enough, and short.
const SIDE: f32 = 400.0;
/// Training points that are drawn: more would hide each other.
const MOST_DATA: usize = 2000;
/// How many colours the style sheet has.
pub(super) const COLOURS: usize = 10;

/// The part of the plane that is shown, with the data once for all pictures of it.
pub(super) struct Plane {
    window: Window,
}

impl Plane {
    /// Around the training data.
    pub(super) fn around(data: &[[f32; 2]]) -> Self {
        Plane { window: Window::around(data) }
    }

    /// The data as a shape that [`svg`](Self::svg) refers to; it shows nothing by itself.
    pub(super) fn backdrop(&self, data: &[[f32; 2]]) -> Markup {
        let every = data.len().div_ceil(MOST_DATA).max(1);
        let path = self.path(data.iter().step_by(every));
        html! {
            svg.hidden width="0" height="0" aria-hidden="true" {
                defs { path id="data-points" d=(PreEscaped(path)) {} }
            }
        }
    }

    /// `points` in the colours of their classes; `size` is a class of the style sheet.
    pub(super) fn svg(
        &self,
        points: &[[f32; 2]],
        classes: Option<&[i64]>,
        size: &str,
        title: &str,
    ) -> Markup {
        let class_of =
            |i: usize| classes.and_then(|c| c.get(i)).map_or(0, |c| c.unsigned_abs() as usize);
        let groups = (0..COLOURS).map(|colour| {
            let of = points.iter().enumerate().filter(|(i, _)| class_of(*i) % COLOURS == colour);
            self.path(of.map(|(_, p)| p))
        });
        self.frame(
            size,
            title,
            html! {
                @for (colour, path) in groups.enumerate().filter(|(_, path)| !path.is_empty()) {
                    path class={ "dots c" (colour) } d=(PreEscaped(path)) {}
                }
            },
        )
    }

    /// Lines from each of `from` to the one of `to` at the same place.
    pub(super) fn pairs(&self, from: &[[f32; 2]], to: &[[f32; 2]], title: &str) -> Markup {
        let mut lines = String::new();
        for (from, to) in from.iter().zip(to) {
            if let (Some((x, y)), Some((u, v))) = (self.place(from), self.place(to)) {
                let _ = write!(lines, "M{x} {y}L{u} {v}");
            }
        }
        self.frame(
            "large",
            title,
            html! {
                path.pair-line d=(PreEscaped(lines)) {}
                path.dots.c1.big d=(PreEscaped(self.path(to.iter()))) {}
                path.dots.c0.big d=(PreEscaped(self.path(from.iter()))) {}
            },
        )
    }

    fn frame(&self, size: &str, title: &str, inside: Markup) -> Markup {
        html! {
            svg class={ "plane " (size) } viewBox={ "0 0 " (SIDE) " " (SIDE) } role="img" aria-label=(title) {
                use href="#data-points" class="dots data" {}
                (inside)
            }
        }
    }

    /// Dots are lines of no length with round ends.
    fn path<'a>(&self, points: impl Iterator<Item = &'a [f32; 2]>) -> String {
        let mut path = String::new();
        for (x, y) in points.filter_map(|p| self.place(p)) {
            let _ = write!(path, "M{x} {y}h0");
        }
        path
    }

    fn place(&self, point: &[f32; 2]) -> Option<(i32, i32)> {
        let [u, v] = self.window.place(point)?;
        Some(((u * SIDE).round() as i32, ((1.0 - v) * SIDE).round() as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_inside_are_dots_and_others_are_left_out() {
        let plane = Plane::around(&[[-1.0, -1.0], [1.0, 1.0]]);
        let points = [[0.0, 0.0], [f32::NAN, 0.0], [1e9, 0.0], [0.0, f32::INFINITY]];
        assert_eq!(plane.path(points.iter()), "M200 200h0");
        let svg = plane.svg(&points, Some(&[12, 0, 0, 0]), "small", "a<b").into_string();
        assert!(svg.contains("dots c2") && svg.contains("a&lt;b"), "{svg}");
        let top = plane.place(&[0.0, 0.9]).unwrap();
        assert!(top.1 < 200, "y goes up");
    }
}
