//! Single files, made of the folders by the table that diffusers has read back.

use crate::support::{golden, json};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use tweedie_sd::files::ldm::{Family, Guess, guess, shapes};
use tweedie_sd::files::{Folder, Part};
use tweedie_torch::weights::{self, StateDict, Store};

/// The weights of a part as its folder has them.
fn weights_of(pipeline: &str, part: Part) -> StateDict {
    let folder = Folder::open(&golden(pipeline), None).unwrap();
    let store = folder.store(part).unwrap();
    store.names().map(|n| (n.to_owned(), store.get(n).unwrap().unwrap())).collect()
}

/// A pipeline's weights in one file, with what such files have besides.
fn single_file(pipeline: &str) -> (StateDict, BTreeMap<Part, StateDict>) {
    let table = &json("ldm.json")[pipeline];
    let mut parts = BTreeMap::new();
    let mut file = StateDict::new();
    for (name, made) in table.as_object().unwrap() {
        let mut words = made.as_str().unwrap().split(' ');
        let how = words.next().unwrap();
        let folder = words.next().unwrap();
        let part = *Part::ALL.iter().find(|p| p.folder() == folder).unwrap();
        let weights = parts.entry(part).or_insert_with(|| weights_of(pipeline, part));
        let tensors: Vec<_> = words.map(|w| &weights[w]).collect();
        let tensor = match how {
            "keep" => tensors[0].shallow_clone(),
            "transpose" => tensors[0].tr().contiguous(),
            "unsqueeze" => tensors[0].unsqueeze(2).unsqueeze(3),
            "join" => Tensor::cat(&tensors, 0),
            _ => panic!("{how}"),
        };
        file.insert(name.clone(), tensor);
    }
    let extra = Tensor::zeros([4], (Kind::Float, tch::Device::Cpu));
    for name in ["alphas_cumprod", "betas", "model_ema.decay"] {
        file.insert(name.into(), extra.shallow_clone());
    }
    if pipeline == "sd21" {
        // OpenCLIP's last layer, which SD 2 does not use, and what goes with it.
        let last = "cond_stage_model.model.transformer.resblocks.";
        let of_it: Vec<_> = file
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("{last}1.")))
            .map(|(name, t)| (name.replace("resblocks.1.", "resblocks.2."), t.zeros_like()))
            .collect();
        file.extend(of_it);
        file.insert("cond_stage_model.model.text_projection".into(), extra.shallow_clone());
        file.insert("cond_stage_model.model.logit_scale".into(), extra);
    }
    (file, parts)
}

/// Exactly the folder's tensors, bit by bit, out of the single file.
fn is_the_folder(pipeline: &str) -> Guess {
    let (file, mut parts) = single_file(pipeline);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let named = file.iter().map(|(name, t)| (name.as_str(), t));
    weights::save(&path, named, &BTreeMap::new(), None).unwrap();
    let file = Store::open(&path).unwrap();
    let guess = guess(&path, &shapes(&file)).unwrap();
    for (part, found) in guess.split(&file).unwrap() {
        let expected = parts.get_mut(&part).unwrap();
        for name in found.names() {
            let expected = expected.remove(name).unwrap_or_else(|| panic!("{part} {name}"));
            let found = found.get(name).unwrap().unwrap();
            assert!(found.equal(&expected), "{part} {name}");
        }
    }
    for (part, left) in parts {
        let left: Vec<_> = left.keys().filter(|n| !n.ends_with("position_ids")).collect();
        assert!(left.is_empty(), "{part}: {left:?}");
    }
    guess
}

/// What the file's shapes tell is what the folder says. Heads, groups and the width of a
/// number's sinusoids are those of true models, which tiny ones have not.
fn has_the_settings(pipeline: &str, guess: &Guess) {
    for &part in &guess.parts {
        let found = guess.config(part).unwrap();
        let expected = json(&format!("{pipeline}/{part}/config.json"));
        for (key, value) in found.as_object().unwrap() {
            let untold = [
                "attention_head_dim",
                "num_attention_heads",
                "norm_num_groups",
                "addition_time_embed_dim",
                "sample_size",
                "transformer_layers_per_block",
                "pad_token_id",
            ];
            if untold.contains(&key.as_str()) {
                continue;
            }
            let (said, told) = (&expected[key], value);
            let same = said == told
                || said.as_f64().is_some() && said.as_f64() == told.as_f64()
                || key == "projection_dim" && part == Part::TextEncoder;
            assert!(same, "{pipeline}/{part}: {key} is {told}, the folder says {said}");
        }
    }
    let index = json(&format!("{pipeline}/model_index.json"));
    for (key, value) in guess.model_index().as_object().unwrap() {
        assert_eq!(&index[key], value, "{key}");
    }
    let expected = json(&format!("{pipeline}/scheduler/scheduler_config.json"));
    for (key, value) in guess.scheduler_config(pipeline == "sd21").as_object().unwrap() {
        assert!(expected[key] == *value || expected[key] == Value::Null, "{key}");
    }
}

#[test]
fn sd15_in_one_file() {
    let guess = is_the_folder("sd15");
    assert_eq!((guess.family, guess.inpainting), (Family::Sd1, false));
    has_the_settings("sd15", &guess);
}

#[test]
fn sd21_in_one_file() {
    let guess = is_the_folder("sd21");
    assert_eq!(guess.family, Family::Sd2);
    has_the_settings("sd21", &guess);
}

#[test]
fn sdxl_in_one_file() {
    let guess = is_the_folder("sdxl");
    assert_eq!(guess.family, Family::Sdxl);
    assert_eq!(guess.config(Part::Unet).unwrap()["transformer_layers_per_block"][1], 2);
    has_the_settings("sdxl", &guess);
}

#[test]
fn a_folders_own_file_is_no_single_file() {
    let path = golden("sd15/unet/diffusion_pytorch_model.safetensors");
    let tensors = shapes(&Store::open(&path).unwrap());
    let error = guess(&path, &tensors).unwrap_err().to_string();
    assert!(error.contains("have no place in a Stable Diffusion model"), "{error}");
}
