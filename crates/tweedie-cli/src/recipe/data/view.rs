//! How samples are shown.

use anyhow::{Result, bail, ensure};
use tweedie::data::toy::Points;

/// How samples are shown.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// Points in the plane, over the training data.
    Points {
        /// The training data.
        data: Vec<[f32; 2]>,
    },
    /// Images; of more than three channels, as latents have, the first three are drawn.
    Images {
        /// At least 1.
        channels: usize,
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
        /// A name for each class.
        class_names: Vec<String>,
    },
}

pub(super) fn points(points: &Points) -> View {
    View::Points { data: points.xy.iter().map(|p| p.map(|v| v as f32)).collect() }
}

pub(super) fn images(shape: &[i64], class_names: Vec<String>) -> Result<View> {
    let &[channels, height, width] = shape else {
        bail!("samples of shape {shape:?}, expected [channels, height, width]");
    };
    let [channels, height, width] = [channels, height, width].map(|n| n as usize);
    Ok(View::Images { channels, height, width, class_names })
}

/// The shape of a square grey image with so many pixels.
pub(super) fn square(dim: i64) -> Result<Vec<i64>> {
    let side = (dim as f64).sqrt().round() as i64;
    ensure!(side * side == dim, "{dim} numbers are no square image");
    Ok(vec![1, side, side])
}

impl View {
    /// As many samples as make a good picture.
    pub(crate) fn usual_count(&self) -> usize {
        match self {
            View::Points { .. } => 1000,
            View::Images { .. } => 64,
        }
    }

    /// The standard deviation of the data, about.
    pub(crate) fn spread(&self) -> f64 {
        match self {
            View::Points { data } => {
                let squares = data.as_flattened().iter().map(|v| f64::from(v * v)).sum::<f64>();
                (squares / (2 * data.len()).max(1) as f64).sqrt().max(1e-6)
            }
            View::Images { .. } => 0.7,
        }
    }

    /// A name for each class, if there are any.
    pub(crate) fn class_names(&self) -> &[String] {
        match self {
            View::Points { .. } => &[],
            View::Images { class_names, .. } => class_names,
        }
    }
}
