//! `cargo xtask demo`: from nothing to pictures a person can look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::progress::seconds;
use crate::{setup, suite, workspace};

/// Where the demo keeps its runs and pictures.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for runs and pictures (made anew)
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    dir: PathBuf,
    /// Training steps of both models, for a quick look
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
}

/// One call of the program, and the picture it leaves, if it is to.
struct Step {
    what: &'static str,
    args: Vec<String>,
    picture: Option<PathBuf>,
}

/// Trains and samples Swiss roll, then digits; prints the pictures' paths last.
///
/// # Errors
/// When libtorch cannot be set up, the build fails, or a step leaves no picture.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    let dir = workspace::root().join(&options.dir);
    fresh(&dir)?;
    let begun = Instant::now();
    let tweedie = build()?;
    eprintln!("built in {}", seconds(begun.elapsed()));

    let begun = Instant::now();
    let mut pictures = Vec::new();
    for step in steps(&workspace::short(&dir), options.steps) {
        eprintln!("\n{}", step.what);
        let mut command = Command::new(&tweedie);
        workspace::find_libtorch(&mut command);
        workspace::run(command.current_dir(workspace::root()).args(&step.args))?;
        if let Some(picture) = step.picture {
            check(&workspace::root().join(&picture))?;
            pictures.push(picture);
        }
    }
    println!("\nTrained and sampled in {}. Look at:", seconds(begun.elapsed()));
    for picture in pictures {
        println!("  {}", picture.display());
    }
    Ok(())
}

/// Builds the program in release mode and returns where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--package", "tweedie-cli", "--jobs"]);
    workspace::run(command.arg(suite::jobs().to_string()))?;
    let program = workspace::target().join("release/tweedie");
    // A target folder may be set relative to where cargo runs.
    Ok(workspace::root().join(program))
}

fn steps(dir: &str, training: Option<u32>) -> Vec<Step> {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let train = |recipe: &str, run: &str| {
        let mut args = words(format!("train {recipe} --run {run}"));
        args.extend(training.map(|steps| format!("steps={steps}")));
        args
    };
    let sample = |run: &str, how: &str, picture: &str| {
        words(format!("sample {run} --steps 20 --sampler ddim --seed 0 {how} -o {picture}"))
    };
    let (roll, digits) = (format!("{dir}/swissroll"), format!("{dir}/digits"));
    let picture = |name: &str| format!("{dir}/{name}");
    let leaving = |what, args: &dyn Fn(&str) -> Vec<String>, name: &str| {
        let path = picture(name);
        Step { what, args: args(&path), picture: Some(path.into()) }
    };
    vec![
        Step {
            what: "Swiss roll: training a small network on points in the plane",
            args: train("swissroll", &roll),
            picture: None,
        },
        leaving(
            "Swiss roll: 2,000 points from noise, over the training data",
            &|path| sample(&roll, "-n 2000", path),
            "swissroll.png",
        ),
        leaving(
            "Swiss roll: the way there",
            &|path| sample(&roll, "-n 2000", path),
            "swissroll.gif",
        ),
        leaving(
            "Swiss roll: its loss",
            &|path| words(format!("plot {roll} -o {path}")),
            "swissroll-loss.png",
        ),
        Step {
            what: "Digits: training a U-Net on 1,500 scanned digits, with their classes",
            args: train("digits-unet", &digits),
            picture: None,
        },
        leaving(
            "Digits: ten of each class, one row a class, with guidance",
            &|path| sample(&digits, "-n 100 --class all --guidance-scale 2", path),
            "digits.png",
        ),
    ]
}

/// An empty folder in the place of the last demo's.
fn fresh(dir: &Path) -> Result<()> {
    let marker = dir.join(".demo");
    if dir.exists() {
        // Only what an earlier demo has left may be removed.
        let empty = fs::read_dir(dir)?.next().is_none();
        if !empty && !marker.exists() {
            bail!("{} holds something else than a demo: give another --dir", dir.display());
        }
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    fs::write(marker, "")?;
    Ok(())
}

/// Whether there is a picture, by its first bytes.
fn check(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("there is no {}", path.display()))?;
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") && !bytes.starts_with(b"GIF8") {
        bail!("{} is not a picture", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("demo");
        fresh(&dir).unwrap();
        fs::write(dir.join("old.png"), "x").unwrap();
        fresh(&dir).unwrap();
        assert!(!dir.join("old.png").exists());
        fs::remove_file(dir.join(".demo")).unwrap();
        fs::write(dir.join("thesis.tex"), "x").unwrap();
        assert!(fresh(&dir).unwrap_err().to_string().contains("something else"));
        assert!(dir.join("thesis.tex").exists());
    }

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.png");
        assert!(check(&path).is_err());
        fs::write(&path, b"\x89PNG\r\n\x1a\n...").unwrap();
        check(&path).unwrap();
        fs::write(&path, b"GIF89a").unwrap();
        check(&path).unwrap();
        fs::write(&path, b"").unwrap();
        assert!(check(&path).unwrap_err().to_string().contains("not a picture"));
    }

    #[test]
    fn every_step_works_below_the_demos_folder() {
        let steps = steps("runs/demo", Some(7));
        assert!(steps.iter().all(|step| step.args.join(" ").contains("runs/demo/")));
        assert_eq!(steps.iter().filter(|step| step.args.contains(&"steps=7".into())).count(), 2);
        assert_eq!(steps.iter().filter(|step| step.picture.is_some()).count(), 4);
    }
}
