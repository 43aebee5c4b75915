//! SDXL's ensemble of experts: one model begins, another ends.

use super::plan::until;
use super::{Latents, Output, Request, StableDiffusion, Watch};
use crate::{Error, Result};

/// Apart from every seed of the first part's batch: samplers that draw noise must not draw the same
/// again.
const SECOND_PART: u64 = 1 << 63;

impl StableDiffusion {
    /// The pictures of a request of which this model goes the first `share` of the way from noise and
    /// `refiner` the rest (Podell et al., arXiv:2307.01952, section 2.5; diffusers' `denoising_end` and
    /// `denoising_start`).
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and before anything is drawn: if one of the two is not of SDXL's
    /// kind, their latents differ, or `share` leaves one of them no step.
    pub fn generate_with_refiner(
        &mut self,
        refiner: &mut StableDiffusion,
        share: f64,
        request: &Request,
        watch: &mut Watch<'_>,
    ) -> Result<Output> {
        self.fits(refiner)?;
        let first = Request { denoising_end: Some(share), ..request.clone() };
        first.check(self.files.vae_config().factor())?;
        let way = self.way(&first)?;
        let whole = match &request.init {
            Some(init) => way.last(init.strength)?,
            None => way.grid.clone(),
        };
        let handover = until(&whole, share, &way.schedule)?.end();
        if handover.is_clean() {
            return Err(Error::invalid(
                "the refiner's start",
                share,
                "less: no step is left for it",
            ));
        }
        refiner.way(request)?.after(handover)?;
        let Output { latents, level, .. } = self.generate(&first, watch)?;
        let second = Request {
            latents: Some(Latents { x: latents, level }),
            seed: request.seed ^ SECOND_PART,
            init: None,
            variation: None,
            ..request.clone()
        };
        refiner.generate(&second, watch)
    }

    /// That a refiner can go on with this model's latents.
    fn fits(&self, refiner: &StableDiffusion) -> Result<()> {
        for model in [self, refiner] {
            if !model.files.pipeline().xl {
                let problem = "it is no SDXL model: only these have a refiner, or are one";
                return Err(Error::model(model.files.path(), problem));
            }
        }
        let latents = |sd: &StableDiffusion| {
            let vae = sd.files.vae_config();
            (vae.latent_channels, vae.factor())
        };
        match latents(self) == latents(refiner) {
            true => Ok(()),
            false => Err(Error::model(
                refiner.files.path(),
                format!("it has other latents than {}", self.files.path().display()),
            )),
        }
    }
}
