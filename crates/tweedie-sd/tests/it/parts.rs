//! Each part by itself.

use crate::support::{CPU, Golden, PIPELINES, golden, off};
use tch::Tensor;
use tweedie_core::Cond;
use tweedie_sd::files::{Folder, Part};
use tweedie_sd::vae::VaeConfig;
use tweedie_sd::{ClipText, Unet, Vae};

/// Sums in single precision over some hundred terms, in another order.
const TOLERANCE: f64 = 2e-5;

fn folder(pipeline: &str) -> Folder {
    Folder::open(&golden(pipeline), None).unwrap()
}

#[test]
fn text_encoders_say_what_transformers_does() {
    let mut seen = 0;
    for pipeline in PIPELINES {
        let (folder, golden) = (folder(pipeline), Golden::of(pipeline));
        for (part, name) in [(Part::TextEncoder, "text"), (Part::TextEncoder2, "text_2")] {
            if golden.get(&format!("{name}.prompt.ids")).is_none() {
                continue;
            }
            let (config, store) = (folder.text_config(part).unwrap(), folder.store(part).unwrap());
            let text = ClipText::new(part.folder(), config, store, CPU.0, CPU.1).unwrap();
            for which in ["prompt", "negative"] {
                let expected = |what: &str| golden.tensor(&format!("{name}.{which}.{what}"));
                let found = text.forward(&expected("ids")).unwrap();
                let last = text.final_norm(&found.states[0]);
                for (what, found) in
                    [("last", &last), ("penultimate", &found.states[1]), ("pooled", &found.pooled)]
                {
                    let off = off(found, &expected(what));
                    assert!(off < TOLERANCE, "{pipeline} {name} {which} {what}: off by {off:e}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 36);
}

#[test]
fn unets_say_what_diffusers_does() {
    for pipeline in PIPELINES {
        let golden = Golden::of(pipeline);
        let folder = folder(pipeline);
        let (config, store) = (folder.unet_config().unwrap(), folder.store(Part::Unet).unwrap());
        let unet = Unet::new(config, store, CPU.0, CPU.1).unwrap();
        let vector = golden
            .get("unet.text_embeds")
            .map(|pooled| Tensor::cat(&[pooled, golden.tensor("unet.time_ids")], 1));
        let context = Some(golden.tensor("unet.context"));
        let cond = Cond { context, vector, ..Cond::default() };
        let (x, t) = (golden.tensor("unet.sample"), golden.tensor("unet.timestep"));
        let off = off(&unet.forward(&x, &t, &cond, None).unwrap(), &golden.tensor("unet.output"));
        assert!(off < TOLERANCE, "{pipeline}: off by {off:e}");
    }
}

#[test]
fn vaes_say_what_diffusers_does() {
    for pipeline in PIPELINES {
        let golden = Golden::of(pipeline);
        let folder = folder(pipeline);
        let (config, store) = (folder.vae_config().unwrap(), folder.store(Part::Vae).unwrap());
        let scale = config.scaling_factor;
        let vae = Vae::new(config, store, CPU.0, CPU.1).unwrap();
        let latent = vae.encode(&golden.tensor("vae.image")).unwrap();
        let std = (golden.tensor("vae.logvar") * 0.5).exp();
        for (what, off) in [
            ("mean", off(&(latent.mean / scale), &golden.tensor("vae.mean"))),
            ("std", off(&(latent.std / scale), &std)),
            ("picture", {
                let decoded = vae.decode(&(golden.tensor("vae.latents") * scale)).unwrap();
                off(&decoded, &golden.tensor("vae.decoded"))
            }),
        ] {
            assert!(off < TOLERANCE, "{pipeline} {what}: off by {off:e}");
        }
    }
}

/// A VAE says of which size its tiles are; of a size that makes none they are as small as can be.
#[test]
fn tiles_of_any_size() {
    let (folder, golden) = (folder("sd15"), Golden::of("sd15"));
    let open = |sample_size, tiled| {
        let config = VaeConfig { sample_size, ..folder.vae_config().unwrap() };
        Vae::new(config, folder.store(Part::Vae).unwrap(), CPU.0, CPU.1).unwrap().tiled(tiled)
    };
    let (z, x) = (golden.tensor("vae.latents"), golden.tensor("vae.image"));
    let whole = open(32, false);
    let (pixels, latent) = (whole.decode(&z).unwrap(), whole.encode(&x).unwrap().mean);
    for sample_size in [1, 7, 9, 13] {
        let vae = open(sample_size, true);
        assert_eq!(vae.decode(&z).unwrap().size(), pixels.size(), "{sample_size}");
        assert_eq!(vae.encode(&x).unwrap().mean.size(), latent.size(), "{sample_size}");
    }
    assert_eq!(open(32, true).decode(&z).unwrap(), pixels);
}

/// The same of a folder at true size, which is not in the repository: `benches/sd_parts.py` says how.
#[test]
#[ignore = "needs TWEEDIE_SD_DIR and TWEEDIE_SD_GOLDEN"]
fn true_size_parts_are_diffusers() {
    let path = |name| std::path::PathBuf::from(std::env::var_os(name).unwrap());
    let folder = Folder::open(&path("TWEEDIE_SD_DIR"), None).unwrap();
    let golden = Golden::at(&path("TWEEDIE_SD_GOLDEN"));
    let mut worst = 0.0_f64;
    let mut check = |what: &str, found: &Tensor| {
        let off = off(found, &golden.tensor(what));
        println!("{what}: off by {off:e}");
        worst = worst.max(off);
    };
    let part = Part::TextEncoder;
    let (config, store) = (folder.text_config(part).unwrap(), folder.store(part).unwrap());
    let text = ClipText::new(part.folder(), config, store, CPU.0, CPU.1).unwrap();
    let states = text.forward(&golden.tensor("text.ids")).unwrap().states;
    check("text.last", &text.final_norm(&states[0]));

    let (config, store) = (folder.unet_config().unwrap(), folder.store(Part::Unet).unwrap());
    let unet = Unet::new(config, store, CPU.0, CPU.1).unwrap();
    let cond = Cond { context: Some(golden.tensor("unet.context")), ..Cond::default() };
    let (x, t) = (golden.tensor("unet.sample"), golden.tensor("unet.timestep"));
    check("unet.output", &unet.forward(&x, &t, &cond, None).unwrap());

    let (config, store) = (folder.vae_config().unwrap(), folder.store(Part::Vae).unwrap());
    let scale = config.scaling_factor;
    let vae = Vae::new(config, store, CPU.0, CPU.1).unwrap();
    check("vae.decoded", &vae.decode(&(golden.tensor("vae.latents") * scale)).unwrap());
    assert!(worst < 1e-4);
}
