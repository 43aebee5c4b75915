//! Pictures by Stable Diffusion, from the command line: diffusers' pictures from diffusers' seeds.
//!
//! The models are tweedie-sd's own fixtures, tiny and made by diffusers.

use crate::support::{copy, json, stdout, tweedie};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tweedie::sd::files::Part;
use tweedie::sd::files::ldm::{guess, shapes};
use tweedie::sd::image::Picture;
use tweedie::tch::{Device, Kind, Tensor};
use tweedie::torch::rng::Generator;
use tweedie::torch::tensor::to_f32;
use tweedie::torch::weights::{self, Store};

/// A fixture of tweedie-sd, which is beside this crate and not in its package.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tweedie-sd/tests/golden").join(name)
}

/// The command line of a case of the fixtures' manifest, as diffusers ran it.
fn as_diffusers(case: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(golden("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let case = &manifest["sd15"][case];
    let mut args = vec![case["task"].as_str().unwrap().to_owned()];
    let sampler = if case["scheduler"] == "DDIMScheduler" { "ddim" } else { "plms" };
    let model = golden("sd15").display().to_string();
    for (name, value) in [("model", &*model), ("noise", "torch"), ("sampler", sampler)] {
        args.extend([format!("--{name}"), value.to_owned()]);
    }
    let options =
        ["prompt", "negative_prompt", "seed", "steps", "guidance_scale", "height", "width"];
    for name in options.into_iter().chain(["strength"]) {
        let value = match &case[name] {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        args.extend([format!("--{}", name.replace('_', "-")), value]);
    }
    for (name, needed) in [("init", case["task"] != "txt2img"), ("mask", case["task"] == "inpaint")]
    {
        if needed {
            args.extend([
                format!("--{name}"),
                golden(&format!("{name}.png")).display().to_string(),
            ]);
        }
    }
    args
}

fn run(folder: &Path, args: &[String], more: &[&str]) -> String {
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    stdout(folder, &args)
}

fn pixels(path: &Path) -> Vec<f32> {
    let picture = Picture::open(path).unwrap().to_tensor(Device::Cpu).unwrap();
    to_f32(&picture.permute([0, 2, 3, 1])).unwrap().iter().map(|x| (x + 1.0) * 127.5).collect()
}

/// Grey levels between a file and a picture of the fixtures.
fn off(path: &Path, case: &str) -> i32 {
    off_of("sd15", path, case)
}

fn off_of(pipeline: &str, path: &Path, case: &str) -> i32 {
    let store = Store::open(&golden(&format!("{pipeline}.safetensors"))).unwrap();
    let image = store.get(&format!("run.{case}.image")).unwrap().unwrap();
    let expected = to_f32(&(image.permute([0, 2, 3, 1]) * 255.0).round()).unwrap();
    let found = pixels(path);
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs().round() as i32);
    off.max().unwrap()
}

/// What a PNG says of itself.
fn notes(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

#[test]
fn a_prompt_becomes_diffusers_picture() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let args = as_diffusers("ddim");
    let said = run(folder.path(), &args, &["-o", "a.png", "--preview", "preview.png", "--json"]);
    assert!(off(&at("a.png"), "ddim") <= 1);
    let said: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(said["outputs"], serde_json::json!(["a.png"]));
    assert_eq!((said["steps"].as_u64(), said["seed"].as_u64()), (Some(5), Some(0)));
    for phase in ["first_step", "steps", "decode", "write"] {
        assert!(said["seconds"][phase].as_f64().unwrap() >= 0.0, "{said}");
    }
    // Four times as large as the latent of 16 pixels.
    assert_eq!(Picture::open(&at("preview.png")).unwrap().size(), (64, 64));
    let notes = notes(&at("a.png"));
    for words in [
        "A photo of a (red) CAT on 2 sofas, highly detailed!\nNegative prompt: blurry, low quality\n",
        "Steps: 5, Sampler: ddim, CFG scale: 7.5, Seed: 0, Size: 32x32, Model hash: ",
        "Model: sd15, Noise: torch",
        "Software\0tweedie ",
    ] {
        assert!(notes.contains(words), "no {words:?} in the PNG");
    }
    run(folder.path(), &args, &["-o", "b.png", "--sequential"]);
    assert_eq!(pixels(&at("a.png")), pixels(&at("b.png")));
}

#[test]
fn a_picture_becomes_diffusers_picture() {
    let folder = tempfile::tempdir().unwrap();
    for case in ["img2img", "inpaint"] {
        run(folder.path(), &as_diffusers(case), &["-o", "a.png", "--force"]);
        assert!(off(&folder.path().join("a.png"), case) <= 1, "{case}");
    }
    assert!(notes(&folder.path().join("a.png")).contains("Denoising strength: "));
}

/// diffusers' ensemble of experts: the base ends at 0.6, the refiner goes on.
#[test]
fn a_refiner_ends_what_the_base_begins() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = std::fs::read_to_string(golden("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let case = &manifest["refiner"]["second-part"];
    let text = |key: &str| case[key].as_str().unwrap().to_owned();
    let [base, refiner] = ["sdxl", "refiner"].map(|name| golden(name).display().to_string());
    let args = ["txt2img", "--model", &base, "--refiner", &refiner, "--prompt", &text("prompt")];
    let args = args.map(str::to_owned);
    let more = "--refiner-start 0.6 --noise torch --steps 5 --width 32 --height 32 -o a.png";
    let negative = ["--negative-prompt".to_owned(), text("negative_prompt")];
    let more: Vec<&str> = more.split(' ').collect();
    run(folder.path(), &[&args[..], &negative].concat(), &more);
    let picture = folder.path().join("a.png");
    assert!(off_of("refiner", &picture, "second-part") <= 1);
    assert!(notes(&picture).contains(", Refiner: refiner, Refiner switch at: 0.6"));
}

/// The second pass of a hires-fix over a picture that is there: img2img at the larger size.
#[test]
fn a_picture_is_drawn_larger() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (model, small) = (golden("sd15"), golden("init.png"));
    let (model, small) = (model.to_str().unwrap(), small.to_str().unwrap());
    let with = ["--model", model, "--prompt", "a cat", "--steps", "4", "--strength", "0.5"];
    let upscale = |more: &[&str]| {
        stdout(folder.path(), &[&["upscale", "--image", small][..], &with, more].concat())
    };
    upscale(&["-o", "twice.png"]);
    assert_eq!(Picture::open(&at("twice.png")).unwrap().size(), (64, 64));
    upscale(&["--scale", "1.5", "--tiled", "-o", "half.png"]);
    assert_eq!(Picture::open(&at("half.png")).unwrap().size(), (48, 48));
    upscale(&["--width", "64", "--height", "48", "-o", "wide.png"]);
    assert_eq!(Picture::open(&at("wide.png")).unwrap().size(), (64, 48));
    let same = ["--init", small, "--width", "64", "--height", "64", "-o", "same.png"];
    stdout(folder.path(), &[&["img2img"][..], &with, &same].concat());
    assert_eq!(pixels(&at("twice.png")), pixels(&at("same.png")));
}

/// What is cut off a prompt is told to everybody, once.
#[test]
fn a_prompt_that_is_too_long_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (model, long) in [("sd15", false), ("sdxl", false), ("sd15", true)] {
        let (model, prompt) = (golden(model), format!("{}zebra", "a cat ".repeat(80)));
        let draw = ["txt2img", "--model", model.to_str().unwrap(), "--prompt", &prompt];
        let more = "--steps 1 --width 32 --height 32 -o a.png --force".split(' ');
        let mut command = tweedie(folder.path());
        command.args(draw).args(more).args(long.then_some("--long-prompts"));
        let output = command.output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = said.matches("the prompt is too long").count();
        assert_eq!(told, usize::from(!long), "{said}");
        assert!(long || said.contains("zebra"), "{said}");
    }
}

#[test]
fn a_faster_picture_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let args = as_diffusers("ddim");
    run(folder.path(), &args, &["-o", "exact.png"]);
    run(folder.path(), &args, &["-o", "off.png", "--cache-interval", "1", "--merge-tokens", "0"]);
    assert_eq!(pixels(&at("exact.png")), pixels(&at("off.png")));
    assert!(!notes(&at("off.png")).contains("DeepCache"));
    let faster = "-o fast.png --guidance-interval 0.3,5 --cache-interval 2 --cache-depth 2 \
                  --merge-tokens 0.5";
    run(folder.path(), &args, &faster.split_whitespace().collect::<Vec<_>>());
    assert_ne!(pixels(&at("exact.png")), pixels(&at("fast.png")));
    let said = ", Guidance interval: 0.3-5, DeepCache interval: 2, DeepCache depth: 2, \
                Token merging ratio: 0.5";
    assert!(notes(&at("fast.png")).contains(said));
}

#[test]
fn a_picture_of_several_is_that_of_its_own_seed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = golden("sd15");
    let draw = ["txt2img", "--model", model.to_str().unwrap(), "--prompt", "a cat", "--steps", "2"];
    let draw = |more: &[&str]| stdout(folder.path(), &[&draw[..], more].concat());
    assert_eq!(draw(&["-n", "2", "--seed", "5", "-o", "a.png"]), "a-0.png\na-1.png\n");
    draw(&["--seed", "6", "-o", "b.png"]);
    // One grey level: a batch of two goes through other kernels than one.
    let far = |a: &str, b: &str| {
        let (a, b) = (pixels(&at(a)), pixels(&at(b)));
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(far("a-1.png", "b.png") <= 1.01 && far("a-0.png", "b.png") > 1.01);
    assert!(
        notes(&at("a-0.png")).contains("Seed: 5,") && notes(&at("a-1.png")).contains("Seed: 6,")
    );
}

/// The fixture's shape of a tensor, wider: a single file's settings can only be true ones, heads of
/// 64 numbers and groups of 32 channels.
fn wider(part: &str, name: &str) -> Vec<i64> {
    let file = if part == "text_encoder" { "model" } else { "diffusion_pytorch_model" };
    let store = Store::open(&golden(&format!("sd15/{part}/{file}.safetensors"))).unwrap();
    let mut shape = store.info(name).unwrap().0;
    let (times, fixed): (i64, &[i64]) = match part {
        "unet" => (4, &[1, 3, 4]),
        "text_encoder" => (4, &[77, 700]),
        _ => (8, &[1, 3]),
    };
    for (axis, n) in shape.iter_mut().enumerate() {
        // Those of latents, in the VAE.
        let latent = match name.trim_end_matches(".weight").trim_end_matches(".bias") {
            "quant_conv" | "post_quant_conv" => true,
            "encoder.conv_out" => axis == 0,
            "decoder.conv_in" => axis == 1,
            _ => false,
        };
        if !latent && !fixed.contains(n) {
            *n *= times;
        }
    }
    shape
}

/// A small SD 1 of random numbers, as one file and as a folder.
fn both_layouts(folder: &Path) -> [PathBuf; 2] {
    let [file, whole] = ["model.safetensors", "model"].map(|name| folder.join(name));
    let table = std::fs::read_to_string(golden("ldm.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let mut random = Generator::new(0).unwrap();
    let mut tensors = BTreeMap::new();
    for (name, made) in table["sd15"].as_object().unwrap() {
        let words: Vec<&str> = made.as_str().unwrap().split(' ').collect();
        let mut shape = wider(words[1], words[2]);
        if words[0] == "unsqueeze" {
            shape.extend([1, 1]);
        }
        tensors.insert(name.as_str(), random.normal(&shape, Kind::Float).unwrap() * 0.2);
    }
    let save = |path: &Path, tensors: &BTreeMap<&str, Tensor>| {
        let named = tensors.iter().map(|(name, t)| (*name, t));
        weights::save(path, named, &BTreeMap::new(), None).unwrap();
    };
    save(&file, &tensors);
    let store = Store::open(&file).unwrap();
    let guess = guess(&file, &shapes(&store)).unwrap();
    copy(&golden("sd15"), &whole);
    for (part, store) in guess.split(&store).unwrap() {
        let stem = if part == Part::TextEncoder { "model" } else { "diffusion_pytorch_model" };
        let tensors = store.names().map(|name| (name, store.get(name).unwrap().unwrap()));
        let inside = whole.join(part.folder());
        save(&inside.join(format!("{stem}.safetensors")), &tensors.collect());
        let config = guess.config(part).unwrap().to_string();
        std::fs::write(inside.join("config.json"), config).unwrap();
    }
    let scheduler = guess.scheduler_config(false).to_string();
    std::fs::write(whole.join("scheduler/scheduler_config.json"), scheduler).unwrap();
    [file, whole]
}

#[test]
fn a_single_file_is_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = golden("sd15/tokenizer");
    let models = both_layouts(folder.path());
    let [file, whole] = models.each_ref().map(|model| {
        let draw =
            ["txt2img", "--prompt", "a cat", "--steps", "2", "--width", "32", "--height", "32"];
        let with = ["--model", model.to_str().unwrap(), "--tokenizer", tokenizer.to_str().unwrap()];
        stdout(folder.path(), &[&draw[..], &with, &["-o", "a.png", "--force"]].concat());
        pixels(&folder.path().join("a.png"))
    });
    assert_eq!(file, whole);
    let mean = file.iter().sum::<f32>() / file.len() as f32;
    assert!(file.iter().any(|x| (x - mean).abs() > 8.0), "there is something on it");
    for model in &models {
        let seen = json(folder.path(), &["inspect", model.to_str().unwrap(), "--json"]);
        assert_eq!(seen["family"], "Stable Diffusion 1.x");
        assert_eq!(seen["missing"], serde_json::json!([]), "{seen}");
        assert_eq!(seen["problems"], serde_json::json!([]), "{seen}");
    }
}

/// A copy of a fixture that a test may change.
fn changed(folder: &Path, name: &str) -> PathBuf {
    let model = folder.join(name);
    copy(&golden(name), &model);
    model
}

#[test]
fn a_model_is_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let inspect = |path: &Path| json(folder.path(), &["inspect", path.to_str().unwrap(), "--json"]);
    let family = |path: &Path| inspect(path)["family"].as_str().unwrap().to_owned();
    assert_eq!(family(&golden("sd21")), "Stable Diffusion 2.x");
    assert_eq!(family(&golden("refiner")), "Stable Diffusion XL refiner");
    assert_eq!(family(&golden("inpaint")), "Stable Diffusion 1.x, inpainting");
    assert_eq!(family(&golden("lora-kohya-xl.safetensors")), "LoRA for Stable Diffusion");
    assert_eq!(family(&golden("sd15/vae")), "VAE of Stable Diffusion");
    let vae = golden("sd15/vae/diffusion_pytorch_model.safetensors");
    assert_eq!(family(&vae), "VAE of Stable Diffusion");
    let word = folder.path().join("word.safetensors");
    let vectors = Tensor::zeros([2, 768], (Kind::Float, Device::Cpu));
    weights::save(&word, [("<cat>", &vectors)], &BTreeMap::new(), None).unwrap();
    assert_eq!(family(&word), "textual inversion for Stable Diffusion 1.x");

    // What is missing is told, with all that is there.
    let model = changed(folder.path(), "sdxl");
    let whole = inspect(&model);
    assert_eq!(whole["family"], "Stable Diffusion XL");
    assert_eq!(
        (&whole["missing"], &whole["problems"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    std::fs::remove_dir_all(model.join("vae")).unwrap();
    std::fs::remove_file(model.join("tokenizer_2/merges.txt")).unwrap();
    std::fs::remove_file(model.join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    let seen = inspect(&model);
    let missing = serde_json::json!([
        "weights of unet: diffusion_pytorch_model.safetensors is missing",
        "vae",
        "tokenizer_2: merges.txt",
    ]);
    assert_eq!(seen["missing"], missing);
    let part = |seen: &serde_json::Value, name: &str| {
        seen["parts"].as_array().unwrap().iter().find(|p| p["name"] == name).cloned()
    };
    assert!(part(&seen, "vae").is_none());
    assert_eq!(part(&seen, "text_encoder_2"), part(&whole, "text_encoder_2"));
    let text = part(&whole, "text_encoder_2").unwrap();
    assert_eq!(text["class"], "CLIPTextModelWithProjection");
    assert_eq!(part(&whole, "scheduler").unwrap()["class"], "EulerDiscreteScheduler");
    let count = |seen: &serde_json::Value| seen["parameters"].as_u64().unwrap();
    let parts = ["text_encoder", "text_encoder_2"].map(|name| count(&part(&seen, name).unwrap()));
    assert_eq!(count(&seen), parts.iter().sum::<u64>());
    let kinds = seen["dtypes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap());
    assert_eq!(kinds.sum::<u64>(), seen["tensors"].as_array().unwrap().len() as u64);

    // What is not known is a problem, and no error.
    std::fs::write(model.join("model_index.json"), "{}").unwrap();
    let said = stdout(folder.path(), &["inspect", model.to_str().unwrap()]);
    assert!(
        said.contains("missing: vae\n") && said.contains("unet          UNet2DConditionModel\n"),
        "{said}"
    );
}
