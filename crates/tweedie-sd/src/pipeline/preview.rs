//! A quick look at latents.

use crate::image::Picture;
use crate::{Result, Vae};
use tch::{Kind, Tensor};
use tweedie_core::Noise;

/// Latents to small pictures by a linear map of their channels, a pixel for a latent pixel: what the
/// VAE's own decoder does on average.
#[derive(Debug)]
pub struct Previewer {
    /// `[channels + 1, 3]`; the last row is a constant.
    map: Tensor,
}

impl Previewer {
    /// Fits the map to what `vae` makes of noise, by least squares.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn new(vae: &Vae) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let (channels, device) = (vae.config().latent_channels, vae.parameters().device());
        let side = 16;
        let latents = Noise::seeded(0).initial(&[1, channels, side, side], Kind::Float, device)?;
        // Flat patches: pictures are mostly that, and white noise is never decoded.
        let latents =
            latents.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)?.f_mul_scalar(2.0)?;
        let latents = latents.f_upsample_nearest2d([side, side], None, None)?;
        let pictures = vae.decode(&latents)?;
        let small = pictures.f_adaptive_avg_pool2d([side, side])?;
        let rows = |t: &Tensor, n| t.f_permute([0, 2, 3, 1])?.f_reshape([-1, n]);
        let inputs = with_constant(&rows(&latents, channels)?)?;
        // (XᵀX + εI)⁻¹·Xᵀ·Y
        let square = inputs.f_tr()?.f_matmul(&inputs)?;
        let ridge = Tensor::f_eye(channels + 1, (Kind::Float, device))?.f_mul_scalar(1e-3)?;
        let right = inputs.f_tr()?.f_matmul(&rows(&small, 3)?)?;
        Ok(Previewer { map: Tensor::f_linalg_solve(&square.f_add(&ridge)?, &right, true)? })
    }

    /// Small pictures of latents `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn pictures(&self, latents: &Tensor) -> Result<Vec<Picture>> {
        let _guard = tch::no_grad_guard();
        let pixels = latents.f_to_kind(Kind::Float)?.f_permute([0, 2, 3, 1])?;
        let size = pixels.size();
        let rows = with_constant(&pixels.f_reshape([-1, size[3]])?)?;
        let colours = rows.f_matmul(&self.map)?.f_view([size[0], size[1], size[2], 3])?;
        Picture::from_batch(&colours.f_permute([0, 3, 1, 2])?)
    }
}

fn with_constant(rows: &Tensor) -> Result<Tensor> {
    let ones = Tensor::f_ones([rows.size()[0], 1], (rows.kind(), rows.device()))?;
    Ok(Tensor::f_cat(&[rows, &ones], 1)?)
}
