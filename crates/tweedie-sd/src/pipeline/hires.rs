//! The second pass at a larger size.

use super::plan::{Way, aside, noise};
use super::start::{Begun, mixed};
use super::{Hires, Request, StableDiffusion, Watch};
use crate::Result;
use tch::Tensor;
use tweedie_core::NoiseLevel;

impl StableDiffusion {
    /// The second pass of a hires-fix.
    pub(super) fn enlarge(
        &mut self,
        request: &Request,
        way: &Way,
        hires: Hires,
        latents: &Tensor,
        watch: &mut Watch<'_>,
    ) -> Result<(Tensor, NoiseLevel)> {
        let size = latents.size();
        let size = hires.larger([size[2], size[3]], 1);
        let latents = latents.f_upsample_bicubic2d(size, false, None, None)?;
        let (grid, factor) = (way.last(hires.strength)?, self.files.vae_config().factor());
        let conditions = self.encode(request, size.map(|side| side * factor))?;
        let mut noise = noise(request, request.seed)?;
        let fresh = aside(&mut noise, 2, &latents)?;
        let x = mixed(&latents, grid.start(), &fresh)?;
        let end = grid.end();
        let begun = Begun { x, grid, extra: None, kept: None };
        Ok((self.denoise(request, way, begun, &conditions, noise, watch)?, end))
    }
}
