//! Whole runs: diffusers' latents and pictures from diffusers' seed.

use crate::support::{Golden, golden, off};
use serde_json::Value;
use std::ops::ControlFlow;
use tch::Kind;
use tweedie_samplers::{Accelerated, Consistency, Deis, DpmPp2M, SamplerSpec, UniPc};
use tweedie_sd::StableDiffusion;
use tweedie_sd::image::Picture;
use tweedie_sd::pipeline::{
    GuidanceOptions, Init, Latents, NoiseKind, Options, Output, Request, Sizes,
};
use tweedie_sd::scheduler::{Sigmas, Spacing};

/// Five steps of a network whose single precision differs in the sixth digit, guided 7.5 times.
const TOLERANCE: f64 = 1e-4;

fn manifest() -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden("manifest.json")).unwrap()).unwrap()
}

fn sampler(case: &Value, sd: &StableDiffusion) -> SamplerSpec {
    let named = |name| SamplerSpec::by_name(name).unwrap();
    match case["scheduler"].as_str() {
        None => sd.scheduler().sampler,
        Some("DDIMScheduler") if case["eta"].is_number() => {
            SamplerSpec::Accelerated(Accelerated::ddpm())
        }
        Some("DDIMScheduler") => named("ddim"),
        Some("PNDMScheduler") => named("plms"),
        Some("EulerDiscreteScheduler") => named("euler"),
        Some("EulerAncestralDiscreteScheduler") => named("euler-ancestral"),
        Some("DPMSolverMultistepScheduler")
            if case["scheduler_changes"]["algorithm_type"].is_string() =>
        {
            named("dpmpp-2m-sde")
        }
        Some("DPMSolverMultistepScheduler") => {
            SamplerSpec::DpmPp2M(DpmPp2M { lower_order_final: true, ..DpmPp2M::default() })
        }
        Some("HeunDiscreteScheduler") => named("heun"),
        Some("LMSDiscreteScheduler") => named("lms"),
        Some("UniPCMultistepScheduler") => {
            SamplerSpec::UniPc(UniPc { lower_order_final: true, ..UniPc::default() })
        }
        Some("DEISMultistepScheduler") => SamplerSpec::Deis(Deis::default()),
        Some("DDPMScheduler") => named("ddpm"),
        Some("LCMScheduler") => {
            SamplerSpec::Consistency(Consistency { sigma_min: 0.0, ..Consistency::default() })
        }
        Some(other) => panic!("no sampler for {other}"),
    }
}

fn pair(value: &Value) -> Option<(i64, i64)> {
    Some((value.get(0)?.as_i64()?, value.get(1)?.as_i64()?))
}

fn run(pipeline: &str, case: &Value, latents: Option<Latents>) -> Output {
    let mut options = Options::default();
    for (file, scale) in case["lora"].as_object().into_iter().flatten() {
        options.files.loras.push((golden(file), scale.as_f64().unwrap()));
    }
    let mut sd = StableDiffusion::open(&golden(pipeline), options).unwrap();
    let sampler = sampler(case, &sd);
    let changes = &case["scheduler_changes"];
    let config = sd.scheduler_mut();
    if changes["use_karras_sigmas"] == true {
        config.sigmas = Some(Sigmas::Karras);
    }
    if changes["rescale_betas_zero_snr"] == true {
        config.rescale_betas_zero_snr = true;
    }
    if changes["timestep_spacing"] == "trailing" {
        config.spacing = Some(Spacing::Trailing);
    }
    let number = |key: &str| case[key].as_f64();
    let from_picture = ["img2img", "inpaint"].contains(&case["task"].as_str().unwrap());
    let init = from_picture.then(|| Init {
        picture: Picture::open(&golden("init.png")).unwrap(),
        strength: number("strength").unwrap(),
        mask: (case["task"] == "inpaint").then(|| Picture::open(&golden("mask.png")).unwrap()),
    });
    let request = Request {
        prompt: case["prompt"].as_str().unwrap().to_owned(),
        negative_prompt: case["negative_prompt"].as_str().map(str::to_owned),
        steps: number("steps").unwrap() as usize,
        sampler: Some(sampler),
        whole_timesteps: matches!(sampler, SamplerSpec::DpmPp2M(_) | SamplerSpec::UniPc(_)),
        guidance: GuidanceOptions {
            scale: number("guidance_scale").unwrap(),
            rescale: number("guidance_rescale").unwrap_or(0.0),
            ..GuidanceOptions::default()
        },
        seed: number("seed").unwrap() as u64,
        noise: NoiseKind::Torch,
        count: number("num_images_per_prompt").unwrap_or(1.0) as usize,
        width: number("width").map(|w| w as i64),
        height: number("height").map(|h| h as i64),
        clip_skip: number("clip_skip").unwrap_or(0.0) as usize,
        negative_clip_skip: Some(0),
        init,
        latents,
        denoising_end: number("denoising_end"),
        sizes: Sizes {
            original: pair(&case["original_size"]),
            crop: pair(&case["crops_coords_top_left"]).unwrap_or_default(),
            target: pair(&case["target_size"]),
        },
        ..Request::default()
    };
    sd.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn runs_are_diffusers() {
    let (manifest, mut bad) = (manifest(), vec![]);
    let mut seen = 0;
    for (pipeline, cases) in manifest.as_object().unwrap() {
        let Some(cases) = cases.as_object() else { continue };
        if !crate::support::PIPELINES.contains(&pipeline.as_str()) {
            continue;
        }
        let golden = Golden::of(pipeline);
        for (name, case) in cases {
            let apart = case["task"] == "refine" || case["denoising_end"].is_number();
            if apart {
                continue;
            }
            let Output { latents, pictures, .. } = run(pipeline, case, None);
            let off = off(&latents, &golden.tensor(&format!("run.{name}.latents")));
            let mut grey = 0;
            if let Some(image) = golden.get(&format!("run.{name}.image")) {
                let expected = Picture::from_batch(&(image * 2.0 - 1.0)).unwrap();
                assert_eq!(expected.len(), pictures.len());
                for (a, b) in expected.iter().zip(&pictures) {
                    let [a, b] = [a, b].map(|p| p.to_tensor(tch::Device::Cpu).unwrap() * 127.5);
                    let most = f64::try_from((a - b).abs().max().to_kind(Kind::Double)).unwrap();
                    grey = grey.max(most.round() as i32);
                }
            }
            seen += 1;
            if !(off < TOLERANCE && grey <= 1) {
                bad.push(format!("{pipeline} {name}: off by {off:e}, {grey} grey levels"));
            }
        }
    }
    assert!(bad.is_empty(), "of {seen}:\n{}", bad.join("\n"));
}

/// SDXL's ensemble: the base leaves noisy latents, which diffusers has at `alpha = 1`, and the refiner
/// goes on from them.
#[test]
fn the_refiner_goes_on_where_the_base_ends() {
    let manifest = manifest();
    let base = run("sdxl", &manifest["sdxl"]["first-part"], None);
    assert!(base.pictures.is_empty() && base.level.sigma > 0.1);
    let expected = Golden::of("sdxl").tensor("run.first-part.latents");
    let first = off(&(&base.latents / base.level.alpha), &expected);
    let handed = Latents { x: base.latents, level: base.level };
    let refined = run("refiner", &manifest["refiner"]["second-part"], Some(handed));
    assert_eq!((refined.pictures.len(), refined.level.sigma), (1, 0.0));
    let second = off(&refined.latents, &Golden::of("refiner").tensor("run.second-part.latents"));
    assert!(first.max(second) < TOLERANCE, "off by {first:e} and {second:e}");
}

/// Two parts of one model are the whole, for a sampler that remembers nothing.
#[test]
fn parts_are_the_whole() {
    let mut sd = StableDiffusion::open(&golden("sd15"), Options::default()).unwrap();
    let mut draw = |request: &Request| {
        sd.generate(request, &mut |_| ControlFlow::Continue(())).map_err(|e| e.to_string())
    };
    let request = Request {
        prompt: "a red cat".to_owned(),
        steps: 5,
        sampler: SamplerSpec::by_name("ddim"),
        ..Request::default()
    };
    let whole = draw(&request).unwrap();
    let first = draw(&Request { denoising_end: Some(0.4), ..request.clone() }).unwrap();
    let handed = Latents { x: first.latents, level: first.level };
    let second = draw(&Request { latents: Some(handed.clone()), ..request.clone() }).unwrap();
    // The same arithmetic, but for a level that has been through single precision.
    assert!(off(&second.latents, &whole.latents) < 1e-6);

    let mut refused = |request: Request| draw(&request).unwrap_err();
    let early = refused(Request { denoising_end: Some(1e-9), ..request.clone() });
    assert!(early.starts_with("denoising_end is 0.000000001, expected more"), "{early}");
    let clean = Latents { x: handed.x.shallow_clone(), level: whole.level };
    let clean = refused(Request { latents: Some(clean), ..request.clone() });
    assert!(clean.starts_with("the level of the latents is"), "{clean}");
    let two = refused(Request { latents: Some(handed), count: 2, ..request });
    assert!(two.contains("the latents has shape [1, 4, 16, 16], expected [2, 4, 16, 16]"), "{two}");
}
