//! What a pipeline says while it works.

use std::ops::ControlFlow;
use tch::Tensor;

/// Where a pipeline is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// It encodes the prompts.
    Text,
    /// It encodes the picture to begin with.
    Encoding,
    /// A step of sampling is done.
    Step {
        /// Steps that are done.
        done: usize,
        /// Steps in all, of this pass.
        steps: usize,
        /// The estimate of the latents at the end: see [`Previewer`](super::Previewer).
        x0: &'a Tensor,
    },
    /// It decodes the latents.
    Decoding,
}

/// Looks at a pipeline's progress, and may end it.
pub type Watch<'w> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'w;

/// Tells `watch`, which may end the work.
pub(super) fn tell(watch: &mut Watch<'_>, progress: Progress<'_>) -> crate::Result<()> {
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(crate::Error::Cancelled),
    }
}
