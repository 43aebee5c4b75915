//! Data from files: training on them, and what is said when they cannot be.

use crate::support::{json, stdout, tweedie};
use image::{Rgb, RgbImage};
use std::path::Path;

/// Two classes of twelve images of 6 × 5 pixels, and as many to test.
fn images(folder: &Path) {
    for (part, class, i) in
        (0..48).map(|i| (["train", "test"][i % 2], ["cat", "dog"][i / 2 % 2], i as u32))
    {
        let folder = folder.join(part).join(class);
        std::fs::create_dir_all(&folder).unwrap();
        let image = RgbImage::from_fn(6, 5, |x, y| Rgb([x * 40, y * 40, i * 5].map(|v| v as u8)));
        image.save(folder.join(format!("{i}.png"))).unwrap();
    }
}

/// A recipe for images of 4 × 3 pixels, which only an MLP takes.
const RECIPE: &str = r#"
steps = 6
batch_size = 5
lr = 1e-3
checkpoint_every = 3
ema_decay = 0.9
[data]
name = "images"
path = "set"
size = [3, 4]
flip = true
pad = 1
[model]
type = "conditional-mlp"
dim = 36
hidden_dims = [8]
cond_dim = 4
num_classes = 2
[schedule]
type = "log-linear"
n = 10
sigma_min = 0.01
sigma_max = 20.0
[parametrization]
scale = "ve"
prediction = "eps"
scaling = { type = "scaled" }
noise_input = "sigma"
[sample]
sampler = "ddim"
steps = 3
"#;

fn ready() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    images(&folder.path().join("set"));
    std::fs::write(folder.path().join("small.toml"), RECIPE).unwrap();
    folder
}

/// Trained, stopped and gone on with, sampled, also when the images are gone.
#[test]
fn a_folder_of_images_is_learnt_and_resumed() {
    let folder = ready();
    let weights = |run: &str| {
        let file = folder.path().join(run).join("checkpoints/step-000006/model.safetensors");
        std::fs::read(file).unwrap()
    };
    let here = folder.path();
    let train = |args: &[&str]| json(here, &[&["train", "--json"], args].concat());
    train(&["small.toml", "--run", "whole"]);
    train(&["small.toml", "steps=3", "--run", "half"]);
    train(&["--resume", "half", "steps=6"]);
    assert_eq!(weights("whole"), weights("half"));

    stdout(here, &["sample", "whole", "-n", "4", "--class", "dog", "-o", "dogs.png"]);
    let sheet = image::open(here.join("dogs.png")).unwrap();
    // Enlarged to 64 × 48 each, two by two, 3 pixels between and 12 around.
    assert_eq!((sheet.width(), sheet.height()), (24 + 2 * 64 + 3, 24 + 2 * 48 + 3));
    std::fs::remove_dir_all(here.join("set")).unwrap();
    stdout(here, &["sample", "whole", "-n", "2", "--class", "1", "-o", "gone.png"]);
}

/// Settings added to the recipe, the exit code, and words that must be said.
const TYPED: &[(&str, i32, &[&str])] = &[
    ("data.size=0", 2, &["data.size", "sides of 1 to 8192"]),
    ("data.size=big", 2, &["data.size"]),
    ("data.size=[3]", 2, &["data.size"]),
    ("data.channels=2", 2, &["data.channels", "2", "1 or 3"]),
    ("data.channels=1", 2, &["model.dim", "36", "12"]),
    ("data.crop=centre", 2, &["data.crop", "center"]),
    ("data.flip=3", 2, &["data.flip"]),
    ("data.pad=5000", 2, &["data.pad", "1024"]),
    ("data.max_broken=2.5", 2, &["`data.max_broken` is 2.5, expected files, or a part"]),
    ("data.split=tset", 2, &["data.split", "test"]),
    ("data.points=5", 2, &["data.points", "says nothing about images"]),
    ("data.scale=0.5", 2, &["data.scale", "says nothing about images"]),
    ("data.sizes=3", 2, &["data.sizes", "data.size"]),
    ("data.name=imags", 2, &["imags", "images"]),
    ("data.name=cifar10", 2, &["data.size", "says nothing about cifar10"]),
    ("model.num_classes=3", 2, &["model.num_classes", "3", "2"]),
    ("data.path=nowhere", 1, &["nowhere"]),
    ("data.path=set/train/cat model.num_classes=1", 2, &["images has none"]),
    ("data.path=set/train data.split=test", 2, &["set/train", "train and test"]),
];

#[test]
fn settings_without_sense_are_refused() {
    let folder = ready();
    for (typed, code, words) in TYPED {
        refused(folder.path(), &format!("train small.toml --run run {typed}"), *code, words);
        assert!(!folder.path().join("run").exists(), "{typed}");
    }
    let broken = folder.path().join("set/train/cat/0.png");
    std::fs::write(broken, "no image").unwrap();
    let typed = "train small.toml --run run data.max_broken=0";
    refused(folder.path(), typed, 1, &["0.png", "1 of 24 images are broken, expected at most 0"]);
    stdout(folder.path(), &["train", "small.toml", "--run", "good", "data.max_broken=1"]);
}

/// What is broken is known before there is a run: nothing is left to be cleared away.
#[test]
fn a_set_of_broken_images_leaves_no_run() {
    let folder = ready();
    for class in ["cat", "dog"] {
        for entry in std::fs::read_dir(folder.path().join("set/train").join(class)).unwrap() {
            std::fs::write(entry.unwrap().path(), "no image").unwrap();
        }
    }
    refused(folder.path(), "train small.toml --run run", 1, &["images are broken"]);
    let many = "train small.toml --run run data.max_broken=24";
    refused(folder.path(), many, 1, &["all 24 images are broken"]);
    assert!(!folder.path().join("run").exists());
    refused(folder.path(), "train small.toml", 1, &["images are broken"]);
    assert!(!folder.path().join("runs").exists());
}

fn refused(folder: &Path, typed: &str, code: i32, words: &[&str]) {
    let output = tweedie(folder).args(typed.split_whitespace()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "tweedie {typed}\n{said}");
    for word in words {
        assert!(said.contains(word), "tweedie {typed}: no {word:?} in\n{said}");
    }
    assert!(!said.contains("panicked"), "tweedie {typed}\n{said}");
}

/// The other kinds of files: what is missing is named, and keys of others are refused.
#[test]
fn other_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let cases: &[(&str, i32, &[&str])] = &[
        ("data.name=cifar10 model.dim=3072", 1, &["cifar10 is not in data/cifar10"]),
        ("data.name=cifar10 model.dim=3072 data.path=empty", 1, &["data_batch_1.bin"]),
        ("data.name=cifar10", 2, &["model.dim", "3072"]),
        ("data.name=cifar100 model.dim=3072", 2, &["num_classes", "100"]),
        ("data.name=images", 2, &["data.size", "missing"]),
        ("data.name=npz", 2, &["data.path", "missing"]),
        ("data.name=npz data.path=a.npz", 1, &["a.npz"]),
        ("data.name=npz data.path=a.npz data.split=test", 2, &["split", "says nothing about npz"]),
        ("data.name=latents data.path=empty", 1, &["no latents", "*.safetensors"]),
        ("data.name=latents data.path=empty data.scale=0", 2, &["data.scale", "not 0"]),
        ("data.name=latents data.path=empty data.pad=2", 2, &["pad", "says nothing about latents"]),
        ("data.flip=true data.size=4", 2, &["size", "says nothing about digits"]),
    ];
    for (typed, code, words) in cases {
        refused(folder.path(), &format!("train digits --run run {typed}"), *code, words);
    }
}
