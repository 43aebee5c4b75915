//! Whole runs: diffusers' latents and pictures from diffusers' seed.

use crate::support::{Golden, golden, off};
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use tch::Kind;
use tweedie_samplers::{Accelerated, Consistency, Deis, DpmPp2M, SamplerSpec, UniPc};
use tweedie_sd::StableDiffusion;
use tweedie_sd::image::Picture;
use tweedie_sd::pipeline::{
    GuidanceOptions, Hires, Init, Latents, NoiseKind, Options, Output, Progress, Request, Sizes,
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
        scale: 1.0,
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

/// The ensemble in one call is its two parts by hand; what cannot be one is refused before it is drawn.
#[test]
fn an_ensemble_in_one_call() {
    let open = |name: &str| StableDiffusion::open(&golden(name), Options::default()).unwrap();
    let (mut base, mut refiner) = (open("sdxl"), open("refiner"));
    let request = Request { prompt: "a red cat".to_owned(), steps: 5, ..Request::default() };
    let mut watch = |_: Progress<'_>| ControlFlow::Continue(());
    let first = Request { denoising_end: Some(0.6), ..request.clone() };
    let first = base.generate(&first, &mut watch).unwrap();
    let handed = Latents { x: first.latents, level: first.level };
    let second = Request { latents: Some(handed), ..request.clone() };
    let second = refiner.generate(&second, &mut watch).unwrap();
    let whole = base.generate_with_refiner(&mut refiner, 0.6, &request, &mut watch).unwrap();
    // Euler's method draws no noise, so the second part's seed does not matter.
    assert_eq!(whole.latents, second.latents);

    let mut never = |_: Progress<'_>| -> ControlFlow<()> { panic!("nothing may be drawn") };
    let mut refused = |base: &mut StableDiffusion, refiner: &mut StableDiffusion, share| {
        let made = base.generate_with_refiner(refiner, share, &request, &mut never);
        made.unwrap_err().to_string()
    };
    for share in [0.0, 1.5, f64::NAN] {
        assert!(refused(&mut base, &mut refiner, share).starts_with("denoising_end is"));
    }
    for share in [1.0, 0.9999] {
        assert!(refused(&mut base, &mut refiner, share).contains("no step is left"));
    }
    let mut sd15 = open("sd15");
    assert!(refused(&mut sd15, &mut refiner, 0.6).contains("sd15: it is no SDXL model"));
    assert!(refused(&mut base, &mut sd15, 0.6).contains("sd15: it is no SDXL model"));
}

/// A model of latent consistency draws all of its steps from a picture, on the timesteps that the
/// strength leaves; other models draw the last of them.
#[test]
fn a_consistency_models_picture_takes_all_steps() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path();
    copy(&golden("sd15"), model);
    let steps = |strength| {
        let mut sd = StableDiffusion::open(model, Options::default()).unwrap();
        let picture = Picture::open(&golden("init.png")).unwrap();
        let request = Request {
            steps: 4,
            sampler: SamplerSpec::by_name("consistency"),
            guidance: GuidanceOptions { scale: 1.0, ..GuidanceOptions::default() },
            init: Some(Init { picture, strength, mask: None, scale: 1.0 }),
            ..Request::default()
        };
        let mut seen = 0;
        let drawn = sd.generate(&request, &mut |progress| {
            seen += usize::from(matches!(progress, Progress::Step { .. }));
            ControlFlow::Continue(())
        });
        drawn.map(|_| seen).map_err(|e| e.to_string())
    };
    assert_eq!(steps(0.5), Ok(2));
    let index = model.join("model_index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let text = text.replace("\"StableDiffusionPipeline\"", "\"LatentConsistencyModelPipeline\"");
    std::fs::write(&index, text).unwrap();
    assert_eq!(steps(0.5), Ok(4));
    let few = steps(0.05).unwrap_err();
    assert!(few.starts_with("steps is 4, expected 1 to 2: at strength 0.05"), "{few}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// NUL is a character like any other: a token of its own, as in transformers, and a mark in the PNG,
/// whose text cannot have it.
#[test]
fn a_prompt_with_nul() {
    let mut sd = StableDiffusion::open(&golden("sd15"), Options::default()).unwrap();
    let mut draw = |prompt: &str| {
        let request = Request { prompt: prompt.to_owned(), steps: 1, ..Request::default() };
        sd.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (with, without) = (draw("a\0cat"), draw("a cat"));
    assert!(off(&with.latents, &without.latents) > 1e-4);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    with.pictures[0].save(&file, &[("parameters".into(), "a\0cat".into())]).unwrap();
    assert_eq!(Picture::open(&file).unwrap(), with.pictures[0]);
    let bytes = std::fs::read(&file).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("a\u{fffd}cat"));
}

/// What is too short or too large for a second pass is told before the first.
#[test]
fn a_second_pass_is_checked_before_the_first() {
    let mut sd = StableDiffusion::open(&golden("sd15"), Options::default()).unwrap();
    let mut refused = |hires, width| {
        let request = Request { steps: 4, hires: Some(hires), width, ..Request::default() };
        let never = &mut |_: Progress<'_>| -> ControlFlow<()> { panic!("nothing may be drawn") };
        sd.generate(&request, never).unwrap_err().to_string()
    };
    let weak = refused(Hires { scale: 2.0, strength: 0.2 }, None);
    assert!(weak.starts_with("the strength is 0.2, expected at least 0.25"), "{weak}");
    let large = refused(Hires { scale: 8.0, strength: 0.5 }, Some(4096));
    assert!(large.starts_with("the width is 32768, expected a multiple of 2"), "{large}");
}
