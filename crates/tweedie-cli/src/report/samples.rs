//! The samples of a run: a row a class, or all of them, or points over the data.

use super::dots::Plane;
use super::images::img;
use crate::picture::grid::Images;
use crate::recipe::data::View;
use crate::run::{Request, Run, Samples};
use crate::show::class_name;
use anyhow::Result;
use maud::{Markup, html};

/// Pixels of a side, about.
const SIZE: u32 = 56;
/// A row of fewer would be mostly empty.
const ROW: usize = 3;

/// The section on samples.
pub(super) fn section(run: &Run, request: &Request, samples: &Samples) -> Result<Markup> {
    let shown = match &run.view {
        View::Points { data } => points(data, request, samples),
        View::Images { class_names, .. } => {
            let images = images(&run.view, &samples.values);
            match request.classes.as_deref() {
                Some(classes) => by_class(&images, classes, class_names)?,
                None => html! { div.tiles { (tiles(&images, 0..request.count, "")?) } },
            }
        }
    };
    Ok(html! {
        p { (how(request, samples)) }
        (shown)
    })
}

/// In which way the samples were made.
fn how(request: &Request, samples: &Samples) -> Markup {
    let sampler = serde_json::to_value(request.sampler).unwrap_or_default();
    html! {
        (request.count) " samples, none of them chosen: sampler "
        code { (sampler["name"].as_str().unwrap_or("unknown")) } ", "
        (request.steps) " steps, " (samples.evaluations) " network calls each, seed " (request.seed)
        @if request.classes.is_some() { ", guidance scale " (request.guidance_scale) }
        "."
    }
}

/// The values as images, whatever the shape that the network has for them.
pub(super) fn images(view: &View, values: &[f32]) -> Images {
    let (channels, height, width) = match *view {
        View::Images { channels, height, width, .. } => (channels, height, width),
        View::Points { .. } => (1, 1, 2),
    };
    Images { values: values.to_vec(), channels, height, width }
}

fn points(data: &[[f32; 2]], request: &Request, samples: &Samples) -> Markup {
    let plane = Plane::around(data);
    let points = samples.values.as_chunks().0;
    let title = format!("{} samples over the training data", request.count);
    html! {
        (plane.backdrop(data))
        figure.scatter {
            (plane.svg(points, request.classes.as_deref(), "large", &title))
            figcaption { "Samples in colour" @if request.classes.is_some() { ", one for each class" } ", training data in grey." }
        }
    }
}

fn by_class(images: &Images, classes: &[i64], names: &[String]) -> Result<Markup> {
    let runs: Vec<&[i64]> = classes.chunk_by(|a, b| a == b).collect();
    if runs.iter().all(|run| run.len() < ROW) {
        return named(images, classes, names);
    }
    let mut first = 0;
    let mut rows = Vec::new();
    for run in runs {
        let name = class_name(names, run[0]);
        let of_class = format!(" of class {name}");
        rows.push((name, tiles(images, first..first + run.len(), &of_class)?));
        first += run.len();
    }
    Ok(html! {
        dl.classes { @for (name, tiles) in rows { div { dt { (name) } dd.tiles { (tiles) } } } }
    })
}

/// Many classes: each sample with its own name.
fn named(images: &Images, classes: &[i64], names: &[String]) -> Result<Markup> {
    let tile = |(i, class): (usize, &i64)| -> Result<(Markup, String)> {
        let name = class_name(names, *class);
        Ok((img(images, i, SIZE, &format!("a sample of class {name}"))?, name))
    };
    let all = classes.iter().enumerate().map(tile).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        div.tiles { @for (img, name) in all { figure.named { (img) figcaption { (name) } } } }
    })
}

fn tiles(images: &Images, range: std::ops::Range<usize>, of_class: &str) -> Result<Markup> {
    let first = range.start;
    let tile = |i: usize| img(images, i, SIZE, &format!("sample {}{of_class}", i - first + 1));
    let all = range.map(tile).collect::<Result<Vec<_>>>()?;
    Ok(html! { @for img in all { (img) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(classes: &[i64]) -> String {
        let images =
            Images { values: vec![0.0; 64 * classes.len()], channels: 1, height: 8, width: 8 };
        by_class(&images, classes, &["a<".to_owned()]).unwrap().into_string()
    }

    #[test]
    fn a_class_has_a_row_and_many_classes_have_names_each() {
        let rows = of(&[0, 0, 0, 0, 7, 7, 7, 7]);
        assert_eq!((rows.matches("<dt>").count(), rows.matches("<img").count()), (2, 8));
        assert!(
            rows.contains("<dt>a&lt;</dt>") && rows.contains("alt=\"sample 4 of class 7\""),
            "{rows}"
        );
        let many = of(&[0, 1, 2]);
        assert_eq!((many.matches("<figcaption>").count(), many.matches("<img").count()), (3, 3));
    }
}
