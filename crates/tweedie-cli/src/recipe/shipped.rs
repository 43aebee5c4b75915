//! The recipes that ship with the program.

use crate::output::usage;
use anyhow::Result;

/// A recipe that is part of the program.
pub(crate) struct Shipped {
    /// What `tweedie train` knows it by.
    pub(crate) name: &'static str,
    /// Its TOML.
    pub(crate) text: &'static str,
}

macro_rules! shipped {
    ($name:literal) => {
        Shipped { name: $name, text: include_str!(concat!("../../recipes/", $name, ".toml")) }
    };
}

/// All of them.
pub(crate) const ALL: [Shipped; 12] = [
    shipped!("swissroll"),
    shipped!("datasaurus"),
    shipped!("digits"),
    shipped!("digits-unet"),
    shipped!("digits-dit"),
    shipped!("fashion-mnist"),
    shipped!("fashion-mnist-dit"),
    shipped!("fashion-mnist-dit-cond"),
    shipped!("fashion-mnist-unet"),
    shipped!("cifar10-unet"),
    shipped!("cifar10-edm"),
    shipped!("imagenet-latent-dit"),
];

impl Shipped {
    /// The first comment line.
    pub(crate) fn description(&self) -> &'static str {
        self.text.lines().next().map_or("", |l| l.trim_start_matches(['#', ' ']))
    }
}

/// The recipe of that name.
pub(crate) fn by_name(name: &str) -> Result<&'static Shipped> {
    let near = |r: &&Shipped| strsim::jaro_winkler(name, r.name) > 0.8;
    ALL.iter().find(|r| r.name == name).ok_or_else(|| {
        let hint = match ALL.iter().find(near) {
            Some(recipe) => format!("did you mean {}?", recipe.name),
            None => format!("there are {}.", ALL.map(|r| r.name).join(", ")),
        };
        usage(format!(
            "no recipe {name:?}; {hint} A file is named by its path, as in ./{name}.toml"
        ))
    })
}
