#![doc = include_str!("../README.md")]
//!
//! # Features
//! Each crate is a module here, behind a feature of the same name; all are on by default.
//! `hf-hub`, which is not, lets `sd` fetch models from the Hugging Face Hub.
//! Without default features there is only [`schedules`], and no libtorch.

pub use tweedie_schedules as schedules;

#[cfg(feature = "core")]
pub use tweedie_core as core;
#[cfg(feature = "data")]
pub use tweedie_data as data;
#[cfg(feature = "eval")]
pub use tweedie_eval as eval;
#[cfg(feature = "models")]
pub use tweedie_models as models;
#[cfg(feature = "samplers")]
pub use tweedie_samplers as samplers;
#[cfg(feature = "sd")]
pub use tweedie_sd as sd;
#[cfg(feature = "torch")]
pub use tweedie_torch as torch;
#[cfg(feature = "train")]
pub use tweedie_train as train;

/// The version of `tch` that the tensors in all signatures are of.
#[cfg(feature = "torch")]
pub use tch;

/// What most programs use: `use tweedie::prelude::*`.
pub mod prelude {
    pub use tweedie_schedules::{Grid, Karras, NoiseLevel, Path, Schedule, ScheduleSpec};

    #[cfg(feature = "core")]
    pub use tweedie_core::{
        Cond, Denoiser, Model, Network, Noise, NoiseInput, Parametrization, Prediction, Scaling,
        closed_form::{DataSet, Gaussian, GaussianMixture},
        combinators::DenoiserExt,
    };
    #[cfg(feature = "data")]
    pub use tweedie_data::{Dataset, Loader, LoaderConfig, digits, toy};
    #[cfg(feature = "models")]
    pub use tweedie_models::{
        ModelSpec, Trainable,
        dit::DitConfig,
        mlp::{ConditionalMlpConfig, TimeInputMlpConfig},
        unet::UnetConfig,
    };
    #[cfg(feature = "samplers")]
    pub use tweedie_samplers::{
        Accelerated, DpmPp2M, EdmStochastic, Euler, EulerAncestral, Heun, Sampler, SamplerSpec,
        Step, UniPc,
    };
    #[cfg(feature = "sd")]
    pub use tweedie_sd::StableDiffusion;
    #[cfg(feature = "train")]
    pub use tweedie_train::{Config, EmaConfig, Objective, Trainer, Weighting, checkpoint};
}
