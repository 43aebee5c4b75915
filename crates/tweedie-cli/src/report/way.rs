//! The way from noise to picture, step by step: the state, and what the model sees in it.

use super::dots::Plane;
use super::images::img;
use super::samples::images;
use crate::picture::curve::short;
use crate::picture::grid::Images;
use crate::recipe::data::View;
use crate::run::{Request, Run, Samples};
use crate::show::{class_name, shrunk};
use anyhow::{Result, ensure};
use maud::{Markup, html};
use tweedie::schedules::NoiseLevel;

/// Steps that a table has columns for.
const COLUMNS: usize = 24;
/// Steps that are drawn as scatter plots.
const PLOTS: usize = 12;
/// Pixels of a side, about.
const SIZE: u32 = 40;

/// The section on the way; `samples` with their states and estimates kept.
pub(super) fn section(run: &Run, request: &Request, samples: &Samples) -> Result<Markup> {
    ensure!(samples.estimates.len() + 1 == samples.way.len(), "the states were not kept");
    let states = samples.way.len();
    let most = if let View::Points { .. } = run.view { PLOTS } else { COLUMNS };
    let chosen = evenly(states, most);
    let shown = match &run.view {
        View::Points { data } => plots(run, data, request, samples, &chosen),
        View::Images { class_names, .. } => film(run, class_names, request, samples, &chosen)?,
    };
    Ok(html! {
        p {
            "Each state " i { "x" } " of the sampler, shrunk to the size of the data, and " i { "x̂₀" }
            ", the clean data that the model sees in it. σ/α is how much noise there is for each part of data."
            @if chosen.len() < states { " " (chosen.len()) " of " (states) " states are shown." }
        }
        (shown)
    })
}

/// At most `most` of `count` numbers, both ends among them.
pub(super) fn evenly(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let last = most.saturating_sub(1).max(1);
    (0..most).map(|i| (i * (count - 1) + last / 2) / last).collect()
}

fn film(
    run: &Run,
    names: &[String],
    request: &Request,
    samples: &Samples,
    chosen: &[usize],
) -> Result<Markup> {
    let spread = run.view.spread();
    let states: Vec<Images> = chosen
        .iter()
        .map(|&i| images(&run.view, &shrunk(samples.way[i].0, &samples.way[i].1, spread).1))
        .collect();
    let estimates: Vec<Option<Images>> =
        chosen.iter().map(|&i| samples.estimates.get(i).map(|x0| images(&run.view, x0))).collect();
    let name = |k: usize| match request.classes.as_deref() {
        Some(classes) => format!("class {}", class_name(names, classes[k])),
        None => format!("sample {}", k + 1),
    };
    let mut bodies = Vec::new();
    for k in 0..request.count {
        let x = |(image, i): (&Images, &usize)| img(image, k, SIZE, &format!("x at step {i}"));
        let x0 = |(image, i): (&Option<Images>, &usize)| match image {
            Some(image) => img(image, k, SIZE, &format!("the estimate at step {i}")),
            None => Ok(html! {}),
        };
        let x: Vec<Markup> = states.iter().zip(chosen).map(x).collect::<Result<_>>()?;
        let x0: Vec<Markup> = estimates.iter().zip(chosen).map(x0).collect::<Result<_>>()?;
        bodies.push((name(k), x, x0));
    }
    let levels: Vec<NoiseLevel> = chosen.iter().map(|&i| samples.way[i].0).collect();
    Ok(table(chosen, &bodies, &levels))
}

fn table(
    steps: &[usize],
    bodies: &[(String, Vec<Markup>, Vec<Markup>)],
    levels: &[NoiseLevel],
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="The way from noise to picture" {
            table.film {
                thead { tr { th scope="col" colspan="2" { "step" } @for i in steps { th scope="col" { (i) } } } }
                @for (name, x, x0) in bodies {
                    tbody {
                        tr {
                            th.sample scope="rowgroup" rowspan="2" { (name) }
                            th scope="row" { i { "x" } } @for img in x { td { (img) } }
                        }
                        tr { th scope="row" { i { "x̂₀" } } @for img in x0 { td { (img) } } }
                    }
                }
                tfoot { tr { th scope="row" colspan="2" { "σ/α" } @for level in levels { td { (ratio(*level)) } } } }
            }
        }
    }
}

fn plots(
    run: &Run,
    data: &[[f32; 2]],
    request: &Request,
    samples: &Samples,
    chosen: &[usize],
) -> Markup {
    let plane = Plane::around(data);
    let spread = run.view.spread();
    let classes = request.classes.as_deref();
    let plot =
        |values: &[f32], title: String| plane.svg(values.as_chunks().0, classes, "small", &title);
    html! {
        div.plots {
            @for &i in chosen {
                @let (level, x) = &samples.way[i];
                figure {
                    (plot(&shrunk(*level, x, spread).1, format!("x at step {i}")))
                    @if let Some(x0) = samples.estimates.get(i) {
                        (plot(x0, format!("the estimates at step {i}")))
                    }
                    figcaption { "step " (i) ", σ/α = " (ratio(*level)) }
                }
            }
        }
        p.note { "Above the states " i { "x" } ", below them " i { "x̂₀" } "; training data in grey." }
    }
}

fn ratio(level: NoiseLevel) -> String {
    let ratio = level.ratio();
    if ratio.is_finite() { short(ratio) } else { "∞".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_among_the_chosen() {
        assert_eq!(evenly(3, 24), [0, 1, 2]);
        assert_eq!(evenly(101, 5), [0, 25, 50, 75, 100]);
        for count in 25..200 {
            let chosen = evenly(count, 24);
            assert_eq!((chosen.len(), chosen[0], chosen[23]), (24, 0, count - 1));
            assert!(chosen.is_sorted_by(|a, b| a < b), "{count}: {chosen:?}");
        }
        assert!(evenly(0, 5).is_empty());
    }

    #[test]
    fn pure_noise_has_a_level_too() {
        assert_eq!(ratio(NoiseLevel { alpha: 0.0, sigma: 1.0 }), "∞");
        assert_eq!(ratio(NoiseLevel { alpha: 1.0, sigma: 0.25 }), "0.25");
    }
}
