//! Shortcuts: off they change nothing, on they leave out what they say.

use crate::support::{CPU, Golden, PIPELINES, golden, off};
use std::ops::ControlFlow;
use tch::Tensor;
use tweedie_core::Cond;
use tweedie_samplers::SamplerSpec;
use tweedie_sd::files::{Folder, Part};
use tweedie_sd::pipeline::{GuidanceOptions, Options, Output, Progress, Request};
use tweedie_sd::unet::{Memory, Shortcuts};
use tweedie_sd::{Error, StableDiffusion, Unet};
use tweedie_torch::tensor::all_finite;

fn cached(cache_interval: usize, cache_depth: usize) -> Shortcuts {
    Shortcuts { cache_interval, cache_depth, ..Shortcuts::default() }
}

/// The tiny SD 1.5's UNet, some of whose weights are no numbers.
fn unet(broken: impl Fn(&str) -> bool) -> Unet {
    let folder = Folder::open(&golden("sd15"), None).unwrap();
    let mut store = folder.store(Part::Unet).unwrap();
    let names: Vec<String> = store.names().filter(|name| broken(name)).map(str::to_owned).collect();
    for name in names {
        let weight = store.get(&name).unwrap().unwrap();
        store.insert(name, weight * f64::NAN);
    }
    Unet::new(folder.unet_config().unwrap(), store, CPU.0, CPU.1).unwrap()
}

/// What diffusers was asked.
struct Asked {
    x: Tensor,
    t: Tensor,
    cond: Cond,
}

impl Asked {
    fn new(pipeline: &str) -> Self {
        let golden = Golden::of(pipeline);
        let vector = golden
            .get("unet.text_embeds")
            .map(|pooled| Tensor::cat(&[pooled, golden.tensor("unet.time_ids")], 1));
        let context = Some(golden.tensor("unet.context"));
        let cond = Cond { context, vector, ..Cond::default() };
        Asked { x: golden.tensor("unet.sample"), t: golden.tensor("unet.timestep"), cond }
    }

    fn of(&self, unet: &Unet, memory: &mut Memory) -> Tensor {
        unet.forward_from(&self.x, &self.t, &self.cond, None, memory).unwrap()
    }
}

#[test]
fn an_interval_of_one_is_off() {
    let (unet, asked) = (unet(|_| false), Asked::new("sd15"));
    let exact = unet.forward(&asked.x, &asked.t, &asked.cond, None).unwrap();
    let mut memory = Memory::new(cached(1, 3));
    for _ in 0..3 {
        assert_eq!(asked.of(&unet, &mut memory), exact);
    }
}

/// With the same input the deep feature is the right one.
#[test]
fn an_unchanged_feature_gives_the_exact_answer() {
    for pipeline in PIPELINES {
        let folder = Folder::open(&golden(pipeline), None).unwrap();
        let (config, store) = (folder.unet_config().unwrap(), folder.store(Part::Unet).unwrap());
        let unet = Unet::new(config, store, CPU.0, CPU.1).unwrap();
        let asked = Asked::new(pipeline);
        let exact = unet.forward(&asked.x, &asked.t, &asked.cond, None).unwrap();
        for depth in 1..=unet.config().skip_connections() {
            let mut memory = Memory::new(cached(3, depth));
            for call in 0..4 {
                let found = asked.of(&unet, &mut memory);
                // The same operations on the same numbers.
                assert!(off(&found, &exact) < 1e-6, "{pipeline} depth {depth} call {call}");
            }
        }
    }
}

/// The layers that each depth leaves out, of a UNet of two resolutions with a layer each.
#[test]
fn the_deep_layers_are_not_run() {
    let whole = unet(|_| false);
    let asked = Asked::new("sd15");
    let exact = whole.forward(&asked.x, &asked.t, &asked.cond, None).unwrap();
    let deep: [&[&str]; 4] = [
        &[
            "down_blocks.",
            "mid_block.",
            "up_blocks.0.",
            "up_blocks.1.resnets.0.",
            "up_blocks.1.attentions.0.",
        ],
        &["down_blocks.0.downsamplers.", "down_blocks.1.", "mid_block.", "up_blocks.0."],
        &["down_blocks.1.", "mid_block.", "up_blocks.0.resnets.0."],
        &["mid_block."],
    ];
    for (left_out, depth) in deep.into_iter().zip(1..) {
        let broken = unet(|name| left_out.iter().any(|part| name.starts_with(part)));
        let mut memory = Memory::new(cached(3, depth));
        let _ = asked.of(&whole, &mut memory);
        for _ in 0..2 {
            assert!(off(&asked.of(&broken, &mut memory), &exact) < 1e-6, "depth {depth}");
        }
        // The fourth call is whole, and meets the broken weights.
        assert!(!all_finite(&asked.of(&broken, &mut memory)).unwrap(), "depth {depth}");
    }
}

#[test]
fn another_shape_is_computed_whole() {
    let (unet, asked) = (unet(|_| false), Asked::new("sd15"));
    let narrow = |t: &Tensor| t.narrow(0, 0, 1);
    let context = asked.cond.context.as_ref().map(narrow);
    let first = Asked {
        x: narrow(&asked.x),
        t: narrow(&asked.t),
        cond: Cond { context, ..Cond::default() },
    };
    let mut memory = Memory::new(cached(5, 1));
    let _ = asked.of(&unet, &mut memory);
    let exact = first.of(&unet, &mut Memory::default());
    assert_eq!(first.of(&unet, &mut memory), exact);
    // Other latents of that shape do get its feature, until it is forgotten.
    let context = first.cond.context.as_ref().map(Tensor::shallow_clone);
    let cond = Cond { context, ..Cond::default() };
    let other = Asked { x: &first.x * 0.5, t: &first.t - 100, cond };
    let exact = other.of(&unet, &mut Memory::default());
    assert!(off(&other.of(&unet, &mut memory), &exact) > 1e-4);
    memory.forget();
    assert_eq!(other.of(&unet, &mut memory), exact);
}

#[test]
fn merging_nothing_is_exact_and_merging_something_is_near() {
    let (unet, asked) = (unet(|_| false), Asked::new("sd15"));
    let exact = unet.forward(&asked.x, &asked.t, &asked.cond, None).unwrap();
    let merged = |merge_ratio| {
        let shortcuts = Shortcuts { merge_ratio, ..Shortcuts::default() };
        off(&asked.of(&unet, &mut Memory::new(shortcuts)), &exact)
    };
    assert_eq!(merged(0.0), 0.0);
    let (some, most) = (merged(0.25), merged(0.75));
    assert!(0.0 < some && some < most && most < 0.5, "{some:e} {most:e}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let (unet, asked) = (unet(|_| false), Asked::new("sd15"));
    let merging = |merge_ratio| Shortcuts { merge_ratio, ..Shortcuts::default() };
    for (shortcuts, words) in [
        (cached(0, 1), "the interval of the cache is 0, expected 1 (off) to 1000000"),
        (cached(2, 0), "the depth of the cache is 0, expected 1 to 4"),
        (cached(2, 5), "the depth of the cache is 5, expected 1 to 4"),
        (
            merging(0.76),
            "the share of merged tokens is 0.76, expected a number from 0 (off) to 0.75",
        ),
        (merging(f64::NAN), "the share of merged tokens is NaN"),
    ] {
        let mut memory = Memory::new(shortcuts);
        let error = unet.forward_from(&asked.x, &asked.t, &asked.cond, None, &mut memory);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

fn draw(shortcuts: Shortcuts, sampler: &str, guidance: GuidanceOptions, count: usize) -> Output {
    let mut sd = StableDiffusion::open(&golden("sd15"), Options::default()).unwrap();
    let request = Request {
        prompt: "a fox".into(),
        steps: 6,
        sampler: SamplerSpec::by_name(sampler),
        width: Some(32),
        height: Some(32),
        guidance,
        shortcuts,
        count,
        ..Request::default()
    };
    sd.generate(&request, &mut |_: Progress<'_>| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_run_with_everything_off_is_the_exact_run() {
    let plain = draw(Shortcuts::default(), "ddim", GuidanceOptions::default(), 1).latents;
    let depth_alone = draw(cached(1, 4), "ddim", GuidanceOptions::default(), 1).latents;
    assert_eq!(plain, depth_alone);
}

/// Whole and cached calls, one or two a step, with guidance that comes and goes.
#[test]
fn runs_stay_near_the_exact_ones() {
    let interval = GuidanceOptions { interval: Some((0.3, 5.0)), ..GuidanceOptions::default() };
    for guidance in [GuidanceOptions::default(), interval] {
        for sampler in ["ddim", "heun", "dpmpp-2m"] {
            let run = |shortcuts| draw(shortcuts, sampler, guidance.clone(), 1).latents;
            let exact = run(Shortcuts::default());
            let away = |shortcuts| off(&run(shortcuts), &exact);
            let both = Shortcuts { merge_ratio: 0.5, ..cached(3, 2) };
            for shortcuts in [cached(2, 1), cached(3, 4), both] {
                let away = away(shortcuts);
                assert!(0.0 < away && away < 0.5, "{sampler} {shortcuts:?}: {away:e}");
            }
        }
    }
}

/// Nothing of a picture's shortcuts depends on its neighbours.
#[test]
fn a_picture_of_a_batch_is_that_of_its_seed() {
    let shortcuts = Shortcuts { merge_ratio: 0.5, ..cached(2, 1) };
    let run = |count| draw(shortcuts, "ddim", GuidanceOptions::default(), count).latents;
    let (one, two) = (run(1), run(2));
    assert!(off(&two.narrow(0, 0, 1), &one) < 1e-4);
}
