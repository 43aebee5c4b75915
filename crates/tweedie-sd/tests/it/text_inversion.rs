//! Learned words.

use super::text_tokenizer::{learned, tokenizer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;
use tweedie_sd::text::ClipEncoder::{G, L};
use tweedie_sd::text::{PromptOptions, TextualInversion};
use tweedie_torch::tensor::{from_f32, to_f32};
use tweedie_torch::weights::save;

fn vectors(n: i64, width: i64) -> Tensor {
    Tensor::arange(n * width, (Kind::Float, Device::Cpu)).reshape([n, width])
}

fn file(folder: &TempDir, name: &str, tensors: &[(&str, Tensor)]) -> PathBuf {
    let path = folder.path().join(name);
    let tensors = tensors.iter().map(|(name, t)| (*name, t));
    save(&path, tensors, &BTreeMap::new(), None).unwrap();
    path
}

#[test]
fn prompts_with_learned_words_are_those_of_diffusers() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = tokenizer("strings");
    let (tokens, cases) = learned();
    for (i, (token, n)) in tokens.iter().enumerate() {
        let path = file(&folder, &format!("{i}.safetensors"), &[(token, vectors(*n, 8))]);
        TextualInversion::open(&path, None).unwrap().add_to(&mut tokenizer, L, 8).unwrap();
    }
    assert!(cases.len() > 10);
    for (prompt, ids) in cases {
        assert_eq!(tokenizer.ids(&prompt).unwrap(), ids, "{prompt:?}");
    }
    // In any case; diffusers finds such a word, but only the first of its vectors.
    assert_eq!(tokenizer.ids("<CAT>").unwrap(), tokenizer.ids("<cat>").unwrap());
}

#[test]
fn the_layouts_in_use_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, tensors: &[(&str, Tensor)], token: Option<&str>| {
        TextualInversion::open(&file(&folder, name, tensors), token).unwrap()
    };
    let diffusers = open("learned_embeds.safetensors", &[("<cat>", vectors(2, 8))], None);
    assert_eq!(diffusers.token(), "<cat>");
    assert_eq!(diffusers.vectors(L, 8).unwrap().size(), [2, 8]);
    let single = open("one.safetensors", &[("<cat>", vectors(1, 8).reshape([8]))], Some("dog"));
    assert_eq!((single.token(), single.vectors(L, 8).unwrap().size()), ("dog", vec![1, 8]));
    let web_ui = open("Bad.Hands-5.safetensors", &[("emb_params", vectors(3, 8))], None);
    assert_eq!(web_ui.token(), "Bad.Hands-5");
    let sdxl = [("clip_g", vectors(2, 12)), ("clip_l", vectors(2, 8))];
    let sdxl = open("toy.safetensors", &sdxl, None);
    assert_eq!(sdxl.token(), "toy");
    assert_eq!(sdxl.vectors(L, 8).unwrap().size(), [2, 8]);
    assert_eq!(sdxl.vectors(G, 12).unwrap().size(), [2, 12]);
    let refiner = open("refiner.safetensors", &[("clip_g", vectors(2, 12))], None);
    assert_eq!((refiner.token(), refiner.vectors(G, 12).unwrap().size()), ("refiner", vec![2, 12]));
}

#[test]
fn rows_stand_at_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = tokenizer("strings");
    let before = tokenizer.vocab_size();
    let cat = file(&folder, "cat.safetensors", &[("<cat>", vectors(2, 4))]);
    let cat = TextualInversion::open(&cat, None).unwrap();
    let added = cat.add_to(&mut tokenizer, L, 4).unwrap();
    assert_eq!((added.first_id, tokenizer.vocab_size()), (before, before + 2));
    for rows in [before - 3, before, before + 1, before + 7] {
        let table = Tensor::full([rows, 4], 5, (Kind::BFloat16, Device::Cpu));
        let extended = added.extend(&table).unwrap();
        assert_eq!(extended.size(), [rows.max(before + 2), 4]);
        assert_eq!(extended.kind(), Kind::BFloat16);
        let new = to_f32(&extended.narrow(0, before, 2).to_kind(Kind::Float)).unwrap();
        assert_eq!(new, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert!(extended.narrow(0, 0, rows.min(before)).eq(5.0).all().int64_value(&[]) == 1);
    }
    let error = added.extend(&vectors(3, 5)).unwrap_err().to_string();
    assert_eq!(error, "embedding table has shape [3, 5], expected [tokens, 4]");
}

#[test]
fn a_learned_word_is_not_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = tokenizer("strings");
    for (token, n) in [("<ten>", 10), ("<hundred>", 100)] {
        let path = file(&folder, "t.safetensors", &[(token, vectors(n, 4))]);
        TextualInversion::open(&path, None).unwrap().add_to(&mut tokenizer, L, 4).unwrap();
    }
    let long = PromptOptions { weighting: true, long: true };
    let ends = |prompt: &str| -> Vec<usize> {
        let encoded = tokenizer.encode(prompt, long).unwrap();
        let end = |chunk: &[i64]| chunk.iter().position(|&id| id == tokenizer.eos()).unwrap() - 1;
        encoded.ids.chunks(77).map(end).collect()
    };
    assert_eq!(ends(&("a ".repeat(65) + "<ten>")), [75]);
    assert_eq!(ends(&("a ".repeat(66) + "(<ten>:1.2)")), [66, 10]);
    // One that no chunk has room for is.
    assert_eq!(ends("<hundred>"), [75, 25]);
}

#[test]
fn broken_embeddings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nan = from_f32(&[1.0, f32::NAN], &[1, 2]).unwrap();
    let ints = Tensor::zeros([1, 4], (Kind::Int64, Device::Cpu));
    let table: [(&str, &[(&str, Tensor)]); 6] = [
        ("<x> has values that are no finite numbers", &[("<x>", nan)]),
        ("<x> has kind Int64, expected floating point", &[("<x>", ints)]),
        (
            "<x> has shape [1, 2, 3], expected [n, width]",
            &[("<x>", vectors(2, 3).reshape([1, 2, 3]))],
        ),
        ("<x> has shape [0, 3], expected [n, width]", &[("<x>", vectors(0, 3))]),
        (
            "clip_l is [1, 3] and clip_g [2, 4], expected as many vectors in both",
            &[("clip_l", vectors(1, 3)), ("clip_g", vectors(2, 4))],
        ),
        (
            "it has 2 tensors, none named emb_params, clip_l or clip_g: it is no embedding of \
             textual inversion",
            &[("a", vectors(1, 3)), ("b", vectors(2, 4))],
        ),
    ];
    for (problem, tensors) in table {
        let path = file(&folder, "x.safetensors", tensors);
        let error = TextualInversion::open(&path, None).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {problem}", path.display()));
    }
    let pickle = folder.path().join("x.pt");
    std::fs::write(&pickle, b"PK\x03\x04 and so on").unwrap();
    let error = TextualInversion::open(&pickle, None).unwrap_err().to_string();
    assert!(error.contains("x.pt") && error.contains("convert it"), "{error}");
    assert!(TextualInversion::open(&folder.path().join("none.safetensors"), None).is_err());
    let good = file(&folder, "x.safetensors", &[("<x>", vectors(1, 3))]);
    let error = TextualInversion::open(&good, Some(" ")).unwrap_err().to_string();
    assert_eq!(error, "the token of an embedding is \" \", expected a word");
}

#[test]
fn words_that_do_not_fit_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = tokenizer("strings");
    let before = tokenizer.vocab_size();
    let path = file(&folder, "x.safetensors", &[("<x>", vectors(2, 768))]);
    let word = TextualInversion::open(&path, None).unwrap();
    let error = word.add_to(&mut tokenizer, L, 1024).unwrap_err().to_string();
    let problem =
        "its vectors are 768 numbers long, the text encoder's 1024: it is for another model";
    assert_eq!(error, format!("{}: {problem}", path.display()));
    for known in ["the</w>", "<|endoftext|>"] {
        let word = TextualInversion::open(&path, Some(known)).unwrap();
        let error = word.add_to(&mut tokenizer, L, 768).unwrap_err().to_string();
        assert!(error.contains(known) && error.contains("does not have yet"), "{error}");
    }
    assert_eq!(tokenizer.vocab_size(), before);
    word.add_to(&mut tokenizer, L, 768).unwrap();
    word.add_to(&mut tokenizer, L, 768).unwrap_err();
    assert_eq!(tokenizer.vocab_size(), before + 2);
}
