//! The training data that are nearest to the samples: are they copies?

use super::axis::count;
use super::dots::Plane;
use super::images::img;
use super::samples::images;
use super::way::evenly;
use crate::picture::curve::short;
use crate::recipe::data::View;
use crate::run::{Request, Run, Samples};
use anyhow::{Context, Result};
use maud::{Markup, html};
use tch::Tensor;
use tweedie::eval::nearest::{Nearest, nearest};
use tweedie::torch::tensor;

/// Samples that are shown.
const SHOWN: usize = 20;
/// Training data whose own neighbours say what distances are usual.
const USUAL: usize = 256;
/// Pixels of a side, about.
const SIZE: u32 = 56;

/// The section on nearest neighbours.
///
/// # Errors
/// If the training data are no longer there, or no longer fit.
pub(super) fn section(run: &Run, request: &Request, samples: &Samples) -> Result<Markup> {
    let (data, _) =
        run.recipe.data.load(&run.recipe.model, run.recipe.seed).context("the training data")?;
    let data = data.samples();
    let found = nearest(&tensor::from_f32(&samples.values, &samples.shape)?, data)?;
    let picked = evenly(request.count, SHOWN);
    let rows: Vec<i64> = picked.iter().map(|&i| found.indices[i]).collect();
    let rows =
        tensor::to_f32(&data.index_select(0, &tensor::from_i64(&rows, &[rows.len() as i64])?))?;
    let shown = match &run.view {
        View::Points { data } => pairs(data, &samples.values, &picked, &rows),
        View::Images { .. } => side_by_side(run, samples, &picked, &rows, &found)?,
    };
    Ok(html! {
        (verdict(&run.view, &found, usual_distance(data)?, data.size()[0]))
        (shown)
    })
}

fn verdict(view: &View, found: &Nearest, usual: f64, of: i64) -> Markup {
    let copies = (found.memorised() * found.distances.len() as f64).round();
    let (distance, chance) = match view {
        View::Points { .. } => ("Euclidean", " In a plane full of points some do by chance."),
        View::Images { .. } => ("Euclidean, over all pixels, from −1 to 1", ""),
    };
    html! {
        p {
            (copies) " of " (found.distances.len()) " samples count as copies: their nearest of "
            (count(of.unsigned_abs())) " training data is less than a third as far away as the second nearest."
            (chance)
        }
        p {
            "The distance (" (distance) ") from a sample to its nearest is " (short(found.median_distance()))
            " in the median; from one training datum to the next nearest it is " (short(usual))
            ". Much nearer than that would be memorised, much farther not learnt."
        }
    }
}

/// The median distance from training data to the nearest other one.
fn usual_distance(data: &Tensor) -> Result<f64> {
    let rows: Vec<i64> =
        evenly(data.size()[0] as usize, USUAL).into_iter().map(|i| i as i64).collect();
    let some = data.index_select(0, &tensor::from_i64(&rows, &[rows.len() as i64])?);
    let found = nearest(&some, data)?;
    // The nearest is the datum itself.
    Ok(Nearest { distances: found.second.clone(), ..found }.median_distance())
}

fn side_by_side(
    run: &Run,
    samples: &Samples,
    picked: &[usize],
    rows: &[f32],
    found: &Nearest,
) -> Result<Markup> {
    let (made, real) = (images(&run.view, &samples.values), images(&run.view, rows));
    let pair = |(k, &i): (usize, &usize)| -> Result<Markup> {
        let sample = img(&made, i, SIZE, &format!("sample {}", i + 1))?;
        let nearest = img(&real, k, SIZE, "its nearest training image")?;
        let distance = short(found.distances[i]);
        Ok(html! { figure.pair { (sample) (nearest) figcaption { "distance " (distance) } } })
    };
    let pairs = picked.iter().enumerate().map(pair).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        p.note { "On the left a sample, on the right its nearest training image." }
        div.pairs { @for pair in pairs { (pair) } }
    })
}

fn pairs(data: &[[f32; 2]], samples: &[f32], picked: &[usize], rows: &[f32]) -> Markup {
    let samples = samples.as_chunks().0;
    let from: Vec<[f32; 2]> = picked.iter().map(|&i| samples[i]).collect();
    html! {
        figure.scatter {
            (Plane::around(data).pairs(&from, rows.as_chunks().0, "samples and their nearest training points"))
            figcaption { (from.len()) " of the samples (blue), each with a line to its nearest training point (orange)." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_distance_is_to_another_one() {
        let data = tensor::from_f32(&[0.0, 0.0, 0.0, 2.0, 0.0, 4.0], &[3, 2]).unwrap();
        assert_eq!(usual_distance(&data).unwrap(), 2.0);
    }

    #[test]
    fn copies_are_counted() {
        let found =
            Nearest { indices: vec![0, 1], distances: vec![0.0, 2.0], second: vec![1.0, 2.5] };
        let html = verdict(&View::Points { data: vec![] }, &found, 2.0, 12_345).into_string();
        assert!(
            html.contains("1 of 2 samples count as copies") && html.contains("12\u{202f}345"),
            "{html}"
        );
    }
}
