//! Models, pictures and wishes that `tweedie txt2img`, `img2img` and `inpaint` cannot use.

use super::refused;
use crate::draw::golden;
use crate::support::copy;
use image::RgbImage;
use serde_json::{Value, json};
use std::path::Path;

const TXT2IMG: &str = "txt2img --prompt cat --steps 1 --width 32 --height 32";

/// What is typed behind `txt2img --model @sd15 …`, the exit code, and words that must be said. None
/// of these comes as far as the weights.
const TYPED: &[(&str, i32, &[&str])] = &[
    ("--steps 0", 2, &["--steps"]),
    ("--sampler dimm", 2, &["dimm", "ddim"]),
    ("--grid karas", 2, &["karas", "karras"]),
    ("--width 33", 2, &["the width is 33", "multiple of 2", "such as 32"]),
    ("--width 0", 2, &["the width is 0"]),
    ("--height 1000000", 2, &["the height is 1000000", "up to 16384"]),
    ("--guidance-scale nan", 2, &["--guidance-scale"]),
    ("--guidance-rescale 2", 2, &["rescale is 2", "0 to 1"]),
    ("--guidance-interval 5,1", 2, &["LOW,HIGH"]),
    ("--cache-interval 0", 2, &["the interval of the cache is 0", "1 (off)"]),
    ("--cache-interval x", 2, &["--cache-interval"]),
    ("--cache-depth 0", 2, &["the depth of the cache is 0", "1 to 4"]),
    ("--cache-depth 5", 2, &["the depth of the cache is 5", "1 to 4"]),
    ("--merge-tokens 0.8", 2, &["merged tokens is 0.8", "0 (off) to 0.75"]),
    ("--merge-tokens nan", 2, &["merged tokens is NaN"]),
    ("--variation 0.5", 2, &["--variation-seed"]),
    ("--hires 0.5", 2, &["scale is 0.5", "above 1"]),
    ("--hires 2 --hires-strength 0.1", 2, &["the strength is 0.1", "at least 1"]),
    ("--hires 2 --hires-strength 0.9 --width 16000", 2, &["the width is 32000", "up to 16384"]),
    ("--hires 2 --refiner @refiner", 2, &["--refiner", "--hires"]),
    ("--refiner-start 0.5", 2, &["--refiner"]),
    ("--refiner @refiner", 1, &["sd15", "no SDXL model"]),
    ("--refiner nowhere", 1, &["nowhere"]),
    ("--variant fp16", 1, &["sd15", "variant \"fp16\"", "none but the plain one"]),
    ("--lora no.safetensors=much", 2, &["--lora", "much"]),
    ("--lora no.safetensors", 1, &["no.safetensors"]),
    ("--lora no.pt", 1, &["no.pt", "pickle", "save_file"]),
    (
        "--lora @lora-kohya-xl.safetensors",
        1,
        &["lora-kohya-xl.safetensors", "4 of its 11 layers are not in this one"],
    ),
    ("--vae nowhere", 1, &["nowhere"]),
    ("-o a.jpg", 2, &["a.jpg", ".png"]),
    ("-o a.jpg -n 2", 2, &["a-0.jpg", ".png"]),
    ("-o there.png", 2, &["there.png", "--force"]),
    ("--preview there.png", 2, &["there.png", "--force"]),
    ("--preview out.png", 2, &["--preview", "out.png", "of its own"]),
    ("-o nowhere/a.png", 1, &["nowhere/a.png"]),
    ("-o there.png/a.png", 1, &["there.png/a.png"]),
    ("-o /proc/a.png", 1, &["cannot write /proc/a.png"]),
    ("--preview nowhere/a.png", 1, &["cannot write nowhere/a.png"]),
];

/// A name of 256 bytes, one more than file systems take.
#[test]
fn names_that_are_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let sd15 = golden("sd15").display().to_string();
    let name = format!("{}.png", "a".repeat(252));
    for option in ["-o", "--preview"] {
        let typed = format!("{TXT2IMG} --model {sd15} {option} {name}");
        refused(folder.path(), &typed, 1, &["cannot write a", "too long"]);
    }
    // With its number it is too long.
    let name = format!("{}.png", "a".repeat(251));
    let typed = format!("{TXT2IMG} --model {sd15} -n 2 -o {name}");
    refused(folder.path(), &typed, 1, &["cannot write a", "-0.png", "too long"]);
    only_is_left(folder.path(), &[]);
}

/// No byte of a prompt is lost on the way: one that is no text is refused, not replaced.
#[cfg(unix)]
#[test]
fn prompts_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    // A lone surrogate in what would be UTF-8, and a byte that never is.
    for bytes in [&b"a \xed\xa0\x80 cat"[..], b"a \xff cat"] {
        let mut command = crate::support::tweedie(folder.path());
        command.args(["txt2img", "--model", golden("sd15").to_str().unwrap(), "--prompt"]);
        let output = command.arg(std::ffi::OsStr::from_bytes(bytes)).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"));
    }
    only_is_left(folder.path(), &[]);
}

#[test]
fn variants() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    copy(&golden("sd15"), &model);
    let stem = model.join("unet/diffusion_pytorch_model");
    let at = |end: &str| format!("{}{end}", stem.display());
    std::fs::copy(at(".safetensors"), at(".fp16.safetensors")).unwrap();
    std::fs::rename(at(".safetensors"), at(".non_ema.safetensors")).unwrap();
    let typed = format!("{TXT2IMG} --model model --variant");
    let words = ["variant \"fp61\"", "there is fp16, non_ema"];
    refused(folder.path(), &format!("{typed} fp61"), 1, &words);
    // The other parts have the plain one alone.
    let draw = format!("{typed} fp16");
    crate::support::stdout(folder.path(), &draw.split(' ').collect::<Vec<_>>());
    std::fs::remove_file(folder.path().join("out.png")).unwrap();
    let file = at(".fp16.safetensors");
    let single = format!("{TXT2IMG} --model {file} --variant fp16");
    refused(folder.path(), &single, 1, &["one file", "no variant \"fp16\""]);
}

#[cfg(not(feature = "hf-hub"))]
#[test]
fn the_hub_is_a_feature() {
    let folder = tempfile::tempdir().unwrap();
    let typed = format!("{TXT2IMG} --model hub:owner/name");
    refused(folder.path(), &typed, 2, &["hub:owner/name", "--features hf-hub"]);
}

#[test]
fn upscaling() {
    let folder = tempfile::tempdir().unwrap();
    let [sd15, init] = ["sd15", "init.png"].map(|name| golden(name).display().to_string());
    let upscale = format!("upscale --model {sd15} --prompt cat --steps 4");
    for (typed, code, words) in [
        ("", 2, &["--image"][..]),
        ("--image no.png", 1, &["no.png"]),
        ("--image @ --scale 0.5", 2, &["the scale is 0.5", "from 1 to 8"]),
        ("--image @ --scale nan", 2, &["the scale is NaN"]),
        ("--image @ --scale 9", 2, &["the scale is 9"]),
        ("--image @ --scale 2 --width 64", 2, &["--scale", "--width"]),
        ("--image @ --strength 0.1", 2, &["the strength is 0.1", "at least 0.25"]),
        ("--image @ --strength 0", 2, &["the strength is 0"]),
        ("--image @ --width 33", 2, &["the width is 33"]),
    ] {
        refused(folder.path(), &format!("{upscale} {}", typed.replace('@', &init)), code, words);
    }
    only_is_left(folder.path(), &[]);
}

#[test]
fn what_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.png"), "mine").unwrap();
    let golden = |text: &str| text.replace('@', &golden("").display().to_string());
    for (typed, code, words) in TYPED {
        let given: Vec<&str> = TXT2IMG.split(" --").skip(1).collect();
        let kept = given
            .into_iter()
            .filter(|o| !typed.contains(&format!("--{}", &o[..o.find(' ').unwrap()])));
        let all = kept.fold("txt2img --model @sd15".to_owned(), |all, option| all + " --" + option);
        refused(folder.path(), &golden(&format!("{all} {typed}")), *code, words);
    }
    let models: &[(&str, &[&str])] = &[
        ("nowhere", &["nowhere"]),
        ("model.ckpt", &["model.ckpt", "pickle", "save_file"]),
        ("@lora-kohya.safetensors", &["no place in a Stable Diffusion model"]),
        ("@sd15/unet", &["model_index.json is missing"]),
    ];
    for (model, words) in models {
        refused(folder.path(), &golden(&format!("{TXT2IMG} --model {model}")), 1, words);
    }
    only_is_left(folder.path(), &["there.png"]);
    assert_eq!(std::fs::read(folder.path().join("there.png")).unwrap(), b"mine");
}

fn only_is_left(folder: &Path, names: &[&str]) {
    let left = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| !names.iter().any(|n| name == n)).collect();
    assert!(left.is_empty(), "{left:?} is left");
}

/// Changes one setting of a JSON file.
fn set(path: &Path, key: &str, value: Value) {
    let mut settings: Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    settings[key] = value;
    std::fs::write(path, settings.to_string()).unwrap();
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// The last number of a file becomes no number.
fn poison(path: &Path) {
    let mut file = std::fs::read(path).unwrap();
    let last = file.len() - 4;
    file[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(path, file).unwrap();
}

/// The UNet's weights become two shards; the index also names `extra`.
fn shards(model: &Path, extra: &str) {
    let index = json!({ "weight_map": {
        "conv_in.weight": "1-of-2.safetensors", extra: "1-of-2.safetensors",
        "conv_out.weight": "2-of-2.safetensors",
    }});
    let folder = model.join("unet");
    std::fs::rename(model.join(UNET), folder.join("1-of-2.safetensors")).unwrap();
    let path = folder.join("diffusion_pytorch_model.safetensors.index.json");
    std::fs::write(path, index.to_string()).unwrap();
}

fn replace(model: &Path, part: &str, by: &str) {
    std::fs::remove_dir_all(model.join(part)).unwrap();
    copy(&golden(by), &model.join(part));
}

type Change = fn(&Path);

/// What is done to the model, and words that must be said.
const BROKEN: &[(Change, &[&str])] = &[
    (|m| std::fs::remove_dir_all(m.join("vae")).unwrap(), &["the part vae is missing"]),
    (
        |m| set(&m.join("model_index.json"), "_class_name", json!("FluxPipeline")),
        &["model_index.json", "_class_name is FluxPipeline"],
    ),
    (|m| set(&m.join("unet/config.json"), "new_idea", json!(3)), &["unet/config.json", "new_idea"]),
    (
        |m| set(&m.join("unet/config.json"), "transformer_layers_per_block", json!(60_000)),
        &["transformer_layers_per_block is 60000", "from 1 to 1024"],
    ),
    (
        |m| set(&m.join("scheduler/scheduler_config.json"), "_class_name", json!("NewScheduler")),
        &["scheduler_config.json", "NewScheduler"],
    ),
    (|m| shards(m, "conv_in.bias"), &["index.json", "the shard 2-of-2.safetensors is missing"]),
    (
        |m| {
            shards(m, "lost.weight");
            std::fs::copy(
                golden("sd15/vae/diffusion_pytorch_model.safetensors"),
                m.join("unet/2-of-2.safetensors"),
            )
            .unwrap();
        },
        &["lost.weight is not in 1-of-2.safetensors"],
    ),
    (
        |m| std::fs::rename(m.join(UNET), m.join("unet/diffusion_pytorch_model.bin")).unwrap(),
        &["diffusion_pytorch_model.bin", "pickle"],
    ),
    (
        |m| {
            std::fs::write(
                m.join(UNET),
                &std::fs::read(golden("sd15").join(UNET)).unwrap()[..9000],
            )
            .unwrap();
        },
        &[UNET, "not a whole safetensors file"],
    ),
    (|m| replace(m, "text_encoder", "sdxl/text_encoder_2"), &["they are not of one model"]),
    (
        |m| assert!(std::fs::copy(golden("sd21").join(UNET), m.join(UNET)).is_ok()),
        &["unet: the weights are for another model", "expected ["],
    ),
    (
        |m| std::fs::write(m.join("tokenizer/vocab.json"), "{\"a\": 1, \"b").unwrap(),
        &["tokenizer/vocab.json", "cut off"],
    ),
    (|m| poison(&m.join(UNET)), &["the latent is not finite", "the weights of the unet"]),
    (
        |m| poison(&m.join("text_encoder/model.safetensors")),
        &["the encoded prompt is not finite", "the weights of the text_encoder"],
    ),
];

#[test]
fn models() {
    for (change, words) in BROKEN {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        copy(&golden("sd15"), &model);
        change(&model);
        refused(folder.path(), &format!("{TXT2IMG} --model model"), 1, words);
        only_is_left(folder.path(), &["model"]);
    }
}

#[test]
fn pictures() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.png"), "no picture").unwrap();
    RgbImage::new(33, 47).save(folder.path().join("odd.png")).unwrap();
    let sd15 = golden("sd15").display().to_string();
    let init = golden("init.png").display().to_string();
    let img2img = format!("img2img --model {sd15} --prompt cat --steps 2");
    let table: &[(String, i32, &[&str])] = &[
        (format!("{img2img} --init no.png"), 1, &["no.png"]),
        (format!("{img2img} --init text.png"), 1, &["text.png", "no picture that can be read"]),
        (format!("{img2img} --init {init} --strength 1.5"), 2, &["the strength is 1.5"]),
        (format!("{img2img} --init {init} --strength nan"), 2, &["the strength is NaN"]),
        (format!("{img2img} --init {init} --strength 0.1"), 2, &["strength", "at least 0.5"]),
        (
            format!("inpaint --model {sd15} --prompt cat --init {init} --mask no.png"),
            1,
            &["no.png"],
        ),
    ];
    for (typed, code, words) in table {
        refused(folder.path(), typed, *code, words);
    }
    only_is_left(folder.path(), &["text.png", "odd.png"]);
    // Odd sides lose their last pixels.
    crate::support::stdout(
        folder.path(),
        &format!("{img2img} --init odd.png -o even.png").split(' ').collect::<Vec<_>>(),
    );
    let even = tweedie::sd::image::Picture::open(&folder.path().join("even.png")).unwrap();
    assert_eq!(even.size(), (32, 46));
}
