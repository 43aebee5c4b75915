//! What is typed and cannot be.

use super::refused;
use crate::support::{digits, swissroll};

/// What is typed (`@roll` and `@digits` are runs), the exit code, and words that must be said.
const TYPED: &[(&str, i32, &[&str])] = &[
    // The command line.
    ("", 2, &["Usage"]),
    ("trian swissroll", 2, &["trian", "train"]),
    ("sample @roll --seed -1 -o a.png", 2, &["--seed"]),
    ("sample @roll -n 0 -o a.png", 2, &["-n"]),
    ("sample @roll --steps 0 -o a.png", 2, &["--steps"]),
    ("sample @roll --steps -5 -o a.png", 2, &["steps"]),
    ("sample @roll --sampler dimm -o a.png", 2, &["dimm", "ddim"]),
    ("sample @roll --class 3 -o a.png", 2, &["--class", "classes"]),
    ("sample @digits --class 99 -o a.png", 2, &["99", "0 to 9"]),
    ("sample @digits --class cat -o a.png", 2, &["cat", "0 to 9"]),
    ("sample @digits --class -1 -o a.png", 2, &["class"]),
    ("sample @digits --guidance-scale NaN -o a.png", 2, &["--guidance-scale"]),
    ("sample @roll --guidance-scale 2 -o a.png", 2, &["--guidance-scale"]),
    ("sample @roll -o a.jpeg2000", 2, &["a.jpeg2000", ".png", ".gif", ".safetensors"]),
    ("sample @roll -o .", 2, &["."]),
    // Runs and files.
    ("sample nowhere -o a.png", 1, &["nowhere"]),
    ("sample @roll -o nowhere/a.png", 1, &["nowhere/a.png"]),
    ("sample @roll -o /proc/a.png", 1, &["/proc/a.png"]),
    ("plot nowhere", 1, &["nowhere"]),
    ("inspect nowhere.safetensors", 1, &["nowhere.safetensors"]),
    ("train --resume nowhere", 1, &["nowhere"]),
    ("train swissroll --run /proc/run", 1, &["/proc/run"]),
    ("train swissroll --run @roll", 1, &["--resume"]),
    // Recipes.
    ("train", 2, &["RECIPE"]),
    ("train swisroll", 2, &["swisroll", "swissroll"]),
    ("train ./nowhere.toml", 1, &["nowhere.toml"]),
    ("train swissroll stpes=5", 2, &["stpes", "steps"]),
    ("train swissroll model.hiden_dims=[5]", 2, &["model.hiden_dims", "hidden_dims"]),
    ("train swissroll steps", 2, &["key=value"]),
    ("train swissroll steps=-5", 2, &["steps", "-5", "at least 0"]),
    ("train swissroll steps=0", 2, &["steps", "at least 1"]),
    ("train swissroll batch_size=0", 2, &["batch_size", "at least 1"]),
    ("train swissroll batch_size=many", 2, &["batch_size", "many", "whole number"]),
    ("train swissroll lr=-1", 2, &["lr", "-1"]),
    ("train swissroll lr=nan", 2, &["lr"]),
    ("train swissroll ema_decay=2", 2, &["ema_decay", "2"]),
    ("train swissroll optimizer.accumulate=0", 2, &["optimizer.accumulate", "from 1 to"]),
    ("train swissroll optimizer.accumulate=9223372036854775807", 2, &["optimizer.accumulate"]),
    ("train swissroll ema.decay=0.9", 2, &["ema_decay", "ema.decay"]),
    ("train swissroll ema.sigma_rell=0.1", 2, &["ema.sigma_rell", "ema.sigma_rel"]),
    ("train swissroll ema.post_hoc=[0.5]", 2, &["ema.post_hoc", "0.5", "0.2886"]),
    ("train swissroll ema.snapshot_every=100", 2, &["`ema.snapshot_every` is 100", "ema.post_hoc"]),
    ("train swissroll ema.warmup=yes", 2, &["ema.warmup", "yes"]),
    ("train swissroll ema.ramp_up=0.05", 2, &["ema.ramp_up", "half_life_samples"]),
    ("train swissroll optimizer.decay=cosin", 2, &["optimizer.decay", "cosin", "cosine"]),
    ("train swissroll checkpoints.keep_best=true", 2, &["keep_best", "validate_every"]),
    ("train swissroll validate_every=5 validation.levels=0", 2, &["validation.levels"]),
    (
        "train swissroll validation.held_out=true validation.samples=5000",
        2,
        &["validation.samples", "5000", "2000"],
    ),
    ("train swissroll objective.weighting.type=p3", 2, &["p3", "p2"]),
    ("train swissroll objective.learned_weighting.channels=0", 2, &["channels", "0"]),
    ("train swissroll sample.sampler=dimm", 2, &["sample.sampler", "dimm", "ddim"]),
    ("train swissroll sample.sampler.name=dimm", 2, &["dimm", "ddim"]),
    ("train swissroll sample.schedule.type=log-liner", 2, &["log-liner", "log-linear"]),
    ("sample @roll --ema-sigma-rel 0.1 -o a.png", 1, &["ema", "post_hoc"]),
    ("train --resume @roll lr=1", 2, &["lr", "dtype"]),
    ("train swissroll device=gpu", 2, &["device", "gpu", "cpu"]),
    ("train swissroll dtype=f7", 2, &["dtype", "f7", "f16"]),
    ("train swissroll threads=0", 2, &["threads"]),
    ("train swissroll data.name=swisroll", 2, &["swisroll", "swissroll"]),
    ("train swissroll data.points=0", 2, &["points"]),
    ("train swissroll model.hidden_dims=[16,0]", 2, &["hidden_dims"]),
    ("train swissroll model.hidden_dims=16", 2, &["model.hidden_dims", "16", "list"]),
    ("train swissroll model.dim=3", 2, &["model.dim", "3", "2"]),
    ("train digits model.num_classes=5", 2, &["num_classes", "5", "10"]),
    ("train swissroll schedule.sigma_min=20", 2, &["sigma_min"]),
    ("train swissroll schedule.n=0", 2, &["n"]),
    ("train fashion-mnist data.path=nowhere", 1, &["nowhere", "cargo xtask data fashion-mnist"]),
    // Schedules.
    ("schedule log-liner", 2, &["log-liner", "log-linear"]),
    ("schedule log-linear --n 0", 2, &["n"]),
    ("schedule log-linear --sigma-min 20 --sigma-max 10", 2, &["sigma_min"]),
    ("schedule log-linear --sigma-min nan", 2, &["sigma"]),
    ("schedule log-linear --beta-start 0.1", 2, &["beta_start"]),
    ("schedule ddpm --steps 0", 2, &["steps"]),
    ("schedule ddpm --steps 10 --grid karas", 2, &["karas", "karras"]),
    ("schedule ddpm -o nowhere/a.png", 1, &["nowhere/a.png"]),
    ("bench nothing --json", 2, &["nothing", "toy-train"]),
    ("bench toy-train --threads 0", 2, &["--threads"]),
    ("recipes swisroll", 2, &["swissroll"]),
];

#[test]
fn what_is_typed() {
    for (typed, code, words) in TYPED {
        let folder = tempfile::tempdir().unwrap();
        let typed = typed
            .replace("@roll", swissroll().to_str().unwrap())
            .replace("@digits", digits().to_str().unwrap());
        refused(folder.path(), &typed, *code, words);
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        let left: Vec<_> = left.map(|e| e.file_name()).filter(|n| n != "runs").collect();
        assert!(left.is_empty(), "tweedie {typed} left {left:?}");
    }
}
