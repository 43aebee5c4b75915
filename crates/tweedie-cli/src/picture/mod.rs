//! Everything that is drawn.
//!
//! Pictures are drawn at twice their size and averaged down, which smooths every edge, with a font
//! that is part of the program: they look the same on every machine.

pub(crate) mod animation;
mod canvas;
pub(crate) mod curve;
pub(crate) mod grid;
pub(crate) mod levels;
pub(crate) mod precision;
pub(crate) mod scatter;

pub(crate) use canvas::{beside, png};

use plotters::style::RGBColor;

/// Text, axes.
pub(crate) const INK: RGBColor = RGBColor(38, 43, 51);
/// Less important text, raw curves.
pub(crate) const GREY: RGBColor = RGBColor(150, 156, 166);
/// Grid lines.
pub(crate) const FAINT: RGBColor = RGBColor(230, 232, 236);
/// Training data.
pub(crate) const DATA: RGBColor = RGBColor(196, 201, 209);
/// Colours that can be told apart, also by most colour-blind readers (Okabe and Ito, and two more).
pub(crate) const CLASSES: [RGBColor; 10] = [
    RGBColor(0, 94, 162),
    RGBColor(213, 94, 0),
    RGBColor(0, 140, 105),
    RGBColor(190, 90, 150),
    RGBColor(200, 140, 0),
    RGBColor(70, 160, 215),
    RGBColor(150, 40, 40),
    RGBColor(90, 90, 90),
    RGBColor(120, 90, 190),
    RGBColor(120, 150, 40),
];
