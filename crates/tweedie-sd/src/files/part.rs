//! The networks that a pipeline is made of.

use std::fmt;

/// A network of a pipeline; it prints as its folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The denoiser.
    Unet,
    /// Pictures to latents and back.
    Vae,
    /// CLIP, or SD 2's OpenCLIP.
    TextEncoder,
    /// SDXL's OpenCLIP.
    TextEncoder2,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Unet, Part::Vae, Part::TextEncoder, Part::TextEncoder2];

    /// The folder that it has in diffusers' layout.
    pub fn folder(self) -> &'static str {
        match self {
            Part::Unet => "unet",
            Part::Vae => "vae",
            Part::TextEncoder => "text_encoder",
            Part::TextEncoder2 => "text_encoder_2",
        }
    }

    /// What its weights' files are called there, in front of `.safetensors`.
    pub(super) fn stem(self) -> &'static str {
        match self {
            Part::Unet | Part::Vae => "diffusion_pytorch_model",
            Part::TextEncoder | Part::TextEncoder2 => "model",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}
