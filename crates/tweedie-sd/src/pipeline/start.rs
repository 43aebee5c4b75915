//! Where sampling starts: from noise, or from a picture.

use super::plan::{Way, aside};
use super::request::{Init, Latents, NoiseKind, Request};
use crate::scheduler::Start;
use crate::{Error, Result, Vae};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Grid, Noise, NoiseLevel};

/// What sampling starts from.
pub(super) struct Begun {
    /// The state at the grid's first level, `[count, 4, …]`.
    pub(super) x: Tensor,
    pub(super) grid: Grid,
    /// The mask and the masked picture's latent, for UNets that take them.
    pub(super) extra: Option<Tensor>,
    /// What is kept of the picture where the UNet does not know of the mask.
    pub(super) kept: Option<Kept>,
}

/// The known part of a picture.
pub(super) struct Kept {
    latent: Tensor,
    noise: Tensor,
    /// 1 where something new is drawn.
    mask: Tensor,
}

impl Kept {
    /// `x` with the known part as it is at a level of noise; at the end it is clean.
    pub(super) fn back_in(&self, x: &Tensor, level: NoiseLevel, end: bool) -> Result<Tensor> {
        let known = match end {
            true => self.latent.shallow_clone(),
            false => mixed(&self.latent, level, &self.noise)?,
        };
        Ok(known.f_lerp_tensor(x, &self.mask.f_expand_as(x)?)?)
    }
}

/// `alpha·x0 + sigma·noise`.
pub(super) fn mixed(x0: &Tensor, level: NoiseLevel, noise: &Tensor) -> Result<Tensor> {
    Ok(x0.f_mul_scalar(level.alpha)?.f_add(&noise.f_mul_scalar(level.sigma)?)?)
}

/// From noise alone: `shape` is `[count, channels, height, width]` of the latents.
pub(super) fn from_noise(
    way: &Way,
    shape: &[i64; 4],
    device: Device,
    noise: &mut Noise,
) -> Result<Begun> {
    let x = noise.initial(shape, Kind::Float, device)?;
    let x = scaled(x, way.start, &way.grid)?;
    Ok(Begun { x, grid: way.grid.clone(), extra: None, kept: None })
}

fn scaled(noise: Tensor, start: Start, grid: &Grid) -> Result<Tensor> {
    match start {
        Start::Unit => Ok(noise),
        Start::Level => Ok(noise.f_mul_scalar(grid.start().sigma)?),
    }
}

/// From latents that have some of the way behind them.
pub(super) fn from_latents(
    way: &Way,
    latents: &Latents,
    shape: &[i64; 4],
    device: Device,
) -> Result<Begun> {
    if latents.x.size() != shape {
        return Err(Error::shape("the latents", format!("{shape:?}"), &latents.x.size()));
    }
    let x = latents.x.f_to_device(device)?.f_to_kind(Kind::Float)?;
    Ok(Begun { x, grid: way.after(latents.level)?, extra: None, kept: None })
}

/// From a picture, of which a mask may keep a part. `takes_mask` says whether the UNet is one for
/// inpainting. The order of the draws is diffusers'.
pub(super) fn from_picture(
    init: &Init,
    way: &Way,
    shape: &[i64; 4],
    vae: &Vae,
    takes_mask: bool,
    request: &Request,
    noise: &mut Noise,
) -> Result<Begun> {
    let factor = vae.config().factor();
    let device = vae.parameters().device();
    let (width, height) = ((shape[3] * factor) as u32, (shape[2] * factor) as u32);
    let picture = init.picture.resized(width, height).to_tensor(device)?;
    let mask = match &init.mask {
        Some(mask) => Some(mask.resized(width, height).to_mask(device)?),
        None => None,
    };
    let encode = |picture: &Tensor, nth, noise: &mut Noise| -> Result<Tensor> {
        let latent = vae.encode(picture)?;
        super::finite(&latent.mean, "the encoded picture", "vae")?;
        let (mean, std) = (batch(&latent.mean, request)?, batch(&latent.std, request)?);
        // PyTorch's stream gives one draw for all pictures; keyed noise one for each.
        let like = if request.noise == NoiseKind::Torch {
            mean.f_narrow(0, 0, 1)?
        } else {
            mean.shallow_clone()
        };
        Ok(mean.f_add(&std.f_mul(&aside(noise, nth, &like)?)?)?)
    };
    let from_scratch = mask.is_some() && init.strength >= 1.0;
    let latent = match takes_mask && from_scratch {
        true => None,
        false => Some(encode(&picture, 0, noise)?),
    };
    let unit = noise.initial(shape, Kind::Float, device)?;
    let grid = if from_scratch { way.grid.clone() } else { way.last(init.strength)? };
    let x = match &latent {
        Some(latent) if !from_scratch => mixed(latent, grid.start(), &unit)?,
        _ => scaled(unit.shallow_clone(), way.start, &grid)?,
    };
    let mut begun = Begun { x, grid, extra: None, kept: None };
    let Some(mask) = mask else { return Ok(begun) };
    let masked = picture.f_mul(&mask.f_lt(0.5)?.f_to_kind(Kind::Float)?)?;
    let masked = encode(&masked, 1, noise)?;
    let small = mask.f_upsample_nearest2d([shape[2], shape[3]], None, None)?;
    if takes_mask {
        begun.extra = Some(Tensor::f_cat(&[batch(&small, request)?, masked], 1)?);
    } else if let Some(latent) = latent {
        begun.kept = Some(Kept { latent, noise: unit, mask: small });
    }
    Ok(begun)
}

/// The same for each picture of the request.
fn batch(t: &Tensor, request: &Request) -> Result<Tensor> {
    let count = request.count as i64;
    Ok(if t.size()[0] == count { t.shallow_clone() } else { t.f_repeat([count, 1, 1, 1])? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_samplers::interpolation::slerp;

    /// A variation towards the same seed is no variation; between others the spread stays.
    #[test]
    fn noise_turns_on_the_sphere() {
        let a = Tensor::from_slice(&[3.0_f32, 0.0, 0.0, 4.0]).view([1, 1, 2, 2]);
        let b = Tensor::from_slice(&[0.0_f32, 5.0, 0.0, 0.0]).view([1, 1, 2, 2]);
        let far = |x: &Tensor, y: &Tensor| f64::try_from((x - y).abs().max()).unwrap();
        assert!(far(&slerp(&a, &a, 0.3).unwrap(), &a) < 1e-6);
        assert!(far(&slerp(&a, &b, 0.0).unwrap(), &a) < 1e-6);
        assert!(far(&slerp(&a, &b, 1.0).unwrap(), &b) < 1e-6);
        // A right angle: half of it is 45 degrees, and all have the length 5.
        let half = (&a + &b) * 0.5_f64.sqrt();
        assert!(far(&slerp(&a, &b, 0.5).unwrap(), &half) < 1e-6);
    }
}
