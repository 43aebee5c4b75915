//! What a model is on disk: a folder as diffusers saves it, or one file.

mod folder;
#[cfg(feature = "hf-hub")]
pub mod hub;
pub mod inspect;
pub mod ldm;
mod part;
mod parts;
mod single;

pub use folder::{Folder, Pipeline};
pub use part::Part;
pub use single::Single;

use crate::clip::ClipConfig;
use crate::lora::{self, Adapter, Lora, Modules};
use crate::scheduler::SchedulerConfig;
use crate::text::Tokenizer;
use crate::unet::UnetConfig;
use crate::vae::VaeConfig;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use tweedie_torch::low_rank::SharedScale;
use tweedie_torch::weights::Store;

/// Which of several files of a model are used, and what is laid over them.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// `fp16` and the like: of files that are there in several kinds.
    pub variant: Option<String>,
    /// A VAE in place of the model's own: a folder with `config.json`.
    pub vae: Option<PathBuf>,
    /// A folder with a tokenizer, for models that are one file: CLIP's own if none.
    pub tokenizer: Option<PathBuf>,
    /// LoRA files, each with its scale: they are added to the weights.
    pub loras: Vec<(PathBuf, f64)>,
    /// Whether they stay beside the weights instead, and are added to what these give: each step takes a
    /// little longer, and [`Files::set_lora_scales`] may change the scales from one picture to the next.
    pub live_loras: bool,
}

/// A model on disk. Its settings are read, its weights are not yet.
#[derive(Debug)]
pub struct Files {
    layout: Layout,
    options: OpenOptions,
    unet: UnetConfig,
    vae: VaeConfig,
    loras: Vec<(Lora, SharedScale)>,
    modules: Modules,
}

#[derive(Debug)]
enum Layout {
    Folder(Folder),
    Single(Box<Single>),
}

impl Files {
    /// Reads what a model says of itself.
    ///
    /// # Errors
    /// If it is no model, one of a kind that is not known, or one of parts that are not of one model.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        refuse_pickle(path)?;
        let layout = match (path.is_dir(), options.variant.as_deref()) {
            (true, variant) => Layout::Folder(Folder::open(path, variant)?),
            (false, None) => Layout::Single(Box::new(Single::open(path)?)),
            (false, Some(variant)) => {
                let problem = format!("it is one file, which has no variant {variant:?}");
                return Err(Error::model(path, problem));
            }
        };
        let (unet, own) = match &layout {
            Layout::Folder(folder) => (folder.unet_config()?, folder.vae_config()),
            Layout::Single(single) => (single.unet_config()?, single.vae_config()),
        };
        let vae = match &options.vae {
            Some(vae) => VaeConfig::read(&vae.join("config.json"))?,
            None => own?,
        };
        let (loras, modules) = (vec![], Modules::default());
        let mut files = Files { layout, options: options.clone(), unet, vae, loras, modules };
        files.check()?;
        files.add_loras()?;
        Ok(files)
    }

    /// Opens the LoRA files and sees that they are for this model.
    fn add_loras(&mut self) -> Result<()> {
        if self.options.loras.is_empty() {
            return Ok(());
        }
        for &part in [Part::Unet].iter().chain(self.text_parts()) {
            let store = self.plain_store(part)?;
            self.modules.add(part, &store);
        }
        for (path, scale) in &self.options.loras {
            refuse_pickle(path)?;
            self.loras.push((Lora::open(path)?, SharedScale::new(*scale)));
        }
        self.adapters().map(drop)
    }

    fn adapters(&self) -> Result<Vec<Adapter<'_>>> {
        let loras: Vec<_> = self.loras.iter().map(|(lora, scale)| (lora, scale.get())).collect();
        lora::adapters(&loras, &self.modules)
    }

    /// Changes the scales of the LoRA files, in their order: of live ones, for all that is drawn from now
    /// on, without loading anything again.
    ///
    /// # Errors
    /// If the files are fused with the weights, there are more or fewer of them, or a scale is not
    /// finite.
    pub fn set_lora_scales(&self, scales: &[f64]) -> Result<()> {
        if !self.options.live_loras {
            let expected = "LoRA files that were opened with live_loras";
            return Err(Error::invalid("the LoRA files", "fused with the weights", expected));
        }
        if scales.len() != self.loras.len() {
            let expected = format!("{}, one for each LoRA file", self.loras.len());
            return Err(Error::invalid("the number of scales", scales.len(), expected));
        }
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite()) {
            return Err(Error::invalid("a LoRA's scale", scale, "a finite number"));
        }
        self.loras.iter().zip(scales).for_each(|((_, own), scale)| own.set(*scale));
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match &self.layout {
            Layout::Folder(folder) => folder.path(),
            Layout::Single(single) => single.path(),
        }
    }

    /// What kind of pipeline it is.
    pub fn pipeline(&self) -> Pipeline {
        match &self.layout {
            Layout::Folder(folder) => folder.pipeline(),
            Layout::Single(single) => single.pipeline(),
        }
    }

    /// The settings of its UNet.
    pub fn unet_config(&self) -> &UnetConfig {
        &self.unet
    }

    /// The settings of its VAE.
    pub fn vae_config(&self) -> &VaeConfig {
        &self.vae
    }

    /// The UNet's weights.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn unet(&self) -> Result<Store> {
        self.store(Part::Unet)
    }

    /// The VAE's weights.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn vae(&self) -> Result<Store> {
        match &self.options.vae {
            Some(vae) => parts::weights(vae, Part::Vae, self.options.variant.as_deref()),
            None => self.store(Part::Vae),
        }
    }

    /// Its text encoders: one, or SDXL's two.
    pub fn text_parts(&self) -> &'static [Part] {
        self.pipeline().text_parts()
    }

    /// A text encoder's settings and weights.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn text_encoder(&self, part: Part) -> Result<(ClipConfig, Store)> {
        let config = match &self.layout {
            Layout::Folder(folder) => folder.text_config(part)?,
            Layout::Single(single) => single.text_config(part)?,
        };
        Ok((config, self.store(part)?))
    }

    /// The tokenizer of a text encoder.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn tokenizer(&self, part: Part) -> Result<Tokenizer> {
        match (&self.layout, &self.options.tokenizer) {
            (_, Some(folder)) => Tokenizer::open(folder),
            (Layout::Folder(folder), None) => folder.tokenizer(part),
            (Layout::Single(single), None) => single.tokenizer(part),
        }
    }

    /// The scheduler's settings.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn scheduler(&self) -> Result<SchedulerConfig> {
        match &self.layout {
            Layout::Folder(folder) => folder.scheduler(),
            Layout::Single(single) => single.scheduler(),
        }
    }

    /// Ten digits that tell models apart: of the UNet's names, shapes and first numbers, without
    /// reading all of it.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        Ok(self.plain_store(Part::Unet)?.fingerprint()?)
    }

    /// Whether its UNet takes a mask and what it leaves of a picture.
    pub fn takes_mask(&self) -> bool {
        self.unet.in_channels == 2 * self.vae.latent_channels + 1
    }

    /// The weights of a part, with the LoRA files added or beside them.
    fn store(&self, part: Part) -> Result<Store> {
        let mut store = self.plain_store(part)?;
        if self.options.live_loras {
            for (lora, scale) in &self.loras {
                let adapters = lora::adapters(&[(lora, scale.get())], &self.modules)?;
                for adapter in adapters.iter().filter(|adapter| adapter.part == part) {
                    for (layer, _) in &adapter.terms {
                        store.lay_beside(adapter.name.as_str(), layer.beside(scale)?);
                    }
                }
            }
            return Ok(store);
        }
        for adapter in self.adapters()?.iter().filter(|adapter| adapter.part == part) {
            if let Some(weight) = store.get(&adapter.name)? {
                store.insert(adapter.name.as_str(), adapter.fuse(&weight)?);
            }
        }
        Ok(store)
    }

    fn plain_store(&self, part: Part) -> Result<Store> {
        match &self.layout {
            Layout::Folder(folder) => folder.store(part),
            Layout::Single(single) => single.store(part),
        }
    }

    /// That UNet and VAE have latents of as many channels.
    fn check(&self) -> Result<()> {
        let (unet, latent) = (&self.unet, self.vae.latent_channels);
        if unet.out_channels == latent && (unet.in_channels == latent || self.takes_mask()) {
            return Ok(());
        }
        let problem = format!(
            "its UNet takes {} channels and gives {}, its VAE has latents of {latent}: they are not of one model",
            unet.in_channels, unet.out_channels
        );
        Err(Error::model(self.path(), problem))
    }
}

/// Refuses what could run code when it is read, with a way out of it.
pub(crate) fn refuse_pickle(path: &Path) -> Result<()> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "ckpt" | "bin" | "pt" | "pth" | "pkl" => Err(Error::model(
            path,
            "it is a pickle, which can run code when it is read and is never opened here; where you trust \
             it, convert it once in Python: `from safetensors.torch import save_file; import torch; \
             d = torch.load(FILE, weights_only=True); d = d.get(\"state_dict\", d); \
             save_file({k: v.contiguous() for k, v in d.items() if hasattr(v, \"contiguous\")}, \
             \"model.safetensors\")`",
        )),
        _ => Ok(()),
    }
}
