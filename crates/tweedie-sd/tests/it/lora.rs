//! LoRA files, fused: what diffusers' parts give with the same weights merged; and live, beside them.

use crate::support::{CPU, Golden, golden, json, off};
use std::ops::ControlFlow;
use tch::Tensor;
use tweedie_core::Cond;
use tweedie_samplers::SamplerSpec;
use tweedie_sd::files::{Folder, OpenOptions, Part};
use tweedie_sd::lora::{Adapter, Lora, Modules, adapters};
use tweedie_sd::pipeline::{Options, Request};
use tweedie_sd::{ClipText, StableDiffusion, Unet};
use tweedie_torch::weights::Store;

/// Sums in single precision over some hundred terms, in another order.
const TOLERANCE: f64 = 2e-5;

fn text_parts(pipeline: &str) -> Vec<(Part, &'static str)> {
    let all = vec![(Part::TextEncoder, "text"), (Part::TextEncoder2, "text_2")];
    all.into_iter().take(if pipeline == "sdxl" { 2 } else { 1 }).collect()
}

fn modules(pipeline: &str, folder: &Folder) -> Modules {
    let mut modules = Modules::default();
    modules.add(Part::Unet, &folder.store(Part::Unet).unwrap());
    for (part, _) in text_parts(pipeline) {
        modules.add(part, &folder.store(part).unwrap());
    }
    modules
}

fn fuse(store: &mut Store, part: Part, adapters: &[Adapter<'_>]) {
    let mut fused = 0;
    for adapter in adapters.iter().filter(|a| a.part == part) {
        let weight = store.get(&adapter.name).unwrap().unwrap();
        store.insert(adapter.name.as_str(), adapter.fuse(&weight).unwrap());
        fused += 1;
    }
    assert!(fused > 0, "nothing of the {part}");
}

/// Every part with the LoRA of a golden run says what diffusers' says.
fn as_diffusers(pipeline: &str, case: &str) {
    let folder = Folder::open(&golden(pipeline), None).unwrap();
    let run = &json("manifest.json")[pipeline][case]["lora"];
    let scale = |v: &serde_json::Value| v.as_f64().unwrap();
    let loras: Vec<(Lora, f64)> = run
        .as_object()
        .unwrap()
        .iter()
        .map(|(file, v)| (Lora::open(&golden(file)).unwrap(), scale(v)))
        .collect();
    let loras: Vec<_> = loras.iter().map(|(lora, scale)| (lora, *scale)).collect();
    let adapters = adapters(&loras, &modules(pipeline, &folder)).unwrap();
    let golden = Golden::of(pipeline);

    let (config, mut store) = (folder.unet_config().unwrap(), folder.store(Part::Unet).unwrap());
    fuse(&mut store, Part::Unet, &adapters);
    let unet = Unet::new(config, store, CPU.0, CPU.1).unwrap();
    let vector = golden
        .get("unet.text_embeds")
        .map(|pooled| Tensor::cat(&[pooled, golden.tensor("unet.time_ids")], 1));
    let cond = Cond { context: Some(golden.tensor("unet.context")), vector, ..Cond::default() };
    let (x, t) = (golden.tensor("unet.sample"), golden.tensor("unet.timestep"));
    let found = unet.forward(&x, &t, &cond, None).unwrap();
    let plain = off(&found, &golden.tensor("unet.output"));
    assert!(plain > 1e-3, "{case}: it must change something, not {plain:e}");
    let off_unet = off(&found, &golden.tensor(&format!("{case}.unet.output")));
    assert!(off_unet < TOLERANCE, "{case}: off by {off_unet:e}");

    for (part, name) in text_parts(pipeline) {
        let (config, mut store) = (folder.text_config(part).unwrap(), folder.store(part).unwrap());
        fuse(&mut store, part, &adapters);
        let text = ClipText::new(part.folder(), config, store, CPU.0, CPU.1).unwrap();
        let encoded = text.forward(&golden.tensor(&format!("{name}.prompt.ids"))).unwrap();
        let last = text.final_norm(&encoded.states[0]);
        let off = off(&last, &golden.tensor(&format!("{case}.{name}.prompt.last")));
        assert!(off < TOLERANCE, "{case} {part}: off by {off:e}");
    }
}

#[test]
fn kohyas_style() {
    as_diffusers("sd15", "lora-kohya");
}

#[test]
fn pefts_style() {
    as_diffusers("sd15", "lora-peft");
}

#[test]
fn diffusers_style_before_peft() {
    as_diffusers("sd15", "lora-processors");
}

#[test]
fn two_at_once() {
    as_diffusers("sd15", "lora-two");
}

#[test]
fn kohyas_sdxl_under_the_original_names() {
    as_diffusers("sdxl", "lora-kohya-xl");
}

#[test]
fn a_lora_of_sdxl_is_not_for_sd15() {
    let folder = Folder::open(&golden("sd15"), None).unwrap();
    let lora = Lora::open(&golden("lora-kohya-xl.safetensors")).unwrap();
    let error = adapters(&[(&lora, 1.0)], &modules("sd15", &folder)).unwrap_err().to_string();
    assert!(error.contains("it is for another model: 4 of its 11 layers are not in"), "{error}");
}

/// Latents of a short run.
fn drawn(sd: &mut StableDiffusion) -> Tensor {
    let request = Request {
        prompt: "a red cat".to_owned(),
        steps: 2,
        sampler: SamplerSpec::by_name("ddim"),
        ..Request::default()
    };
    sd.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap().latents
}

fn opened(pipeline: &str, files: &[(&str, f64)], live_loras: bool) -> StableDiffusion {
    let loras = files.iter().map(|&(file, scale)| (golden(file), scale)).collect();
    let files = OpenOptions { loras, live_loras, ..OpenOptions::default() };
    let options = Options { files, ..Options::default() };
    StableDiffusion::open(&golden(pipeline), options).unwrap()
}

/// Beside the weights a LoRA gives what it gives within them; and without a weight, nothing at all.
#[test]
fn live_is_fused() {
    let two = [("lora-kohya.safetensors", 0.7), ("lora-peft.safetensors", -0.4)];
    for (pipeline, files) in [("sd15", &two[..]), ("sdxl", &[("lora-kohya-xl.safetensors", 1.0)])] {
        let mut live = opened(pipeline, files, true);
        let with = drawn(&mut live);
        let plain = drawn(&mut opened(pipeline, &[], false));
        assert!(off(&with, &plain) > 1e-3, "{pipeline}: it must change something");
        let apart = off(&with, &drawn(&mut opened(pipeline, files, false)));
        assert!(apart < 1e-5, "{pipeline}: off by {apart:e}");
        live.set_lora_scales(&vec![0.0; files.len()]).unwrap();
        assert_eq!(drawn(&mut live), plain, "{pipeline}");
    }
}

#[test]
fn scales_change_between_pictures() {
    let files = [("lora-kohya.safetensors", 1.0), ("lora-processors.safetensors", 1.0)];
    let mut live = opened("sd15", &files, true);
    drop(drawn(&mut live));
    live.set_lora_scales(&[0.25, -0.5]).unwrap();
    let other = [(files[0].0, 0.25), (files[1].0, -0.5)];
    let apart = off(&drawn(&mut live), &drawn(&mut opened("sd15", &other, false)));
    assert!(apart < 1e-5, "off by {apart:e}");

    let refused = |sd: &mut StableDiffusion, scales: &[f64]| {
        sd.set_lora_scales(scales).unwrap_err().to_string()
    };
    assert!(refused(&mut live, &[1.0]).contains("the number of scales is 1, expected 2"));
    assert!(refused(&mut live, &[1.0, f64::NAN]).contains("a LoRA's scale is NaN"));
    let mut fused = opened("sd15", &files, false);
    assert!(refused(&mut fused, &[1.0, 1.0]).contains("fused with the weights"));
}
