//! Tensors by name, used from their files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_torch::parameters::{Conv2d, Conv2dConfig, Init, Linear, Parameters};
use tweedie_torch::tensor::{from_f32, from_i64, to_f32};
use tweedie_torch::weights::{Store, save};

fn row(values: &[f32]) -> Tensor {
    from_f32(values, &[values.len() as i64]).unwrap()
}

fn saved<'t>(path: &Path, tensors: impl IntoIterator<Item = (&'t str, Tensor)>) {
    let tensors: Vec<_> = tensors.into_iter().collect();
    save(path, tensors.iter().map(|(name, t)| (*name, t)), &BTreeMap::new(), None).unwrap();
}

/// `a` and `b` of two numbers each, in a file.
fn two(folder: &Path) -> PathBuf {
    let path = folder.join("two.safetensors");
    saved(&path, [("a", row(&[1.0, 2.0])), ("b", row(&[3.0, 4.0]))]);
    path
}

fn tensor_of(store: &Store, name: &str) -> Tensor {
    store.get(name).unwrap().unwrap()
}

#[test]
fn tensors_lie_in_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&two(folder.path())).unwrap();
    let (a, again, b) = (tensor_of(&store, "a"), tensor_of(&store, "a"), tensor_of(&store, "b"));
    assert_eq!(a.data_ptr(), again.data_ptr());
    // One behind the other, as in the file.
    assert_eq!(b.data_ptr() as usize - a.data_ptr() as usize, 8);
    assert_eq!(store.info("a"), Some((vec![2], Kind::Float)));
    assert_eq!((store.count(), store.names().collect::<Vec<_>>()), (4, vec!["a", "b"]));
    assert!(store.get("c").unwrap().is_none() && store.info("c").is_none());
    // The map lives as long as a tensor in it.
    drop(store);
    assert_eq!(to_f32(&a).unwrap(), [1.0, 2.0]);
}

#[test]
fn writing_to_a_tensor_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = two(folder.path());
    let before = std::fs::read(&path).unwrap();
    let store = Store::open(&path).unwrap();
    let _ = tensor_of(&store, "a").fill_(7.0);
    assert_eq!(to_f32(&tensor_of(&store, "a")).unwrap(), [7.0, 7.0]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(to_f32(&tensor_of(&Store::open(&path).unwrap(), "a")).unwrap(), [1.0, 2.0]);
}

/// The format does not ask that data begin at a multiple of their size; libtorch does.
#[test]
fn what_is_not_aligned_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    for padding in 0..4 {
        let header = format!("{header}{}", " ".repeat(padding));
        let data = [1.0_f32, 2.0].into_iter().flat_map(f32::to_le_bytes);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes().chain(data));
        std::fs::write(&path, file).unwrap();
        let store = Store::open(&path).unwrap();
        let (a, again) = (tensor_of(&store, "a"), tensor_of(&store, "a"));
        assert_eq!(to_f32(&a).unwrap(), [1.0, 2.0]);
        let aligned = (8 + header.len()) % 4 == 0;
        assert_eq!(a.data_ptr() == again.data_ptr(), aligned, "{padding} bytes of padding");
    }
}

#[test]
fn shards_are_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["1", "2"].map(|n| folder.path().join(format!("{n}.safetensors")));
    saved(&paths[0], [("a", row(&[1.0]))]);
    saved(&paths[1], [("b", row(&[2.0])), ("nothing", row(&[]))]);
    let store = Store::open_all(&paths).unwrap();
    assert_eq!(store.names().collect::<Vec<_>>(), ["a", "b", "nothing"]);
    assert_eq!(store.paths(), paths);
    assert_eq!(to_f32(&tensor_of(&store, "b")).unwrap(), [2.0]);
    assert_eq!(tensor_of(&store, "nothing").size(), [0]);

    saved(&paths[1], [("b", row(&[2.0])), ("a", row(&[3.0]))]);
    let error = Store::open_all(&paths).unwrap_err().to_string();
    let told = error.contains("2.safetensors") && error.contains("tensor a is in another shard");
    assert!(told, "{error}");
    let gone = [paths[0].clone(), folder.path().join("3.safetensors")];
    let error = Store::open_all(&gone).unwrap_err().to_string();
    assert!(error.contains("3.safetensors"), "{error}");
}

#[test]
fn names_change_without_a_clash() {
    let folder = tempfile::tempdir().unwrap();
    let path = two(folder.path());
    let store = Store::open(&path).unwrap();
    let store = store.renamed(|name| (name == "b").then(|| "net.b".to_owned())).unwrap();
    assert_eq!(store.names().collect::<Vec<_>>(), ["net.b"]);
    assert_eq!(to_f32(&tensor_of(&store, "net.b")).unwrap(), [3.0, 4.0]);
    let error = Store::open(&path).unwrap().renamed(|_| Some("x".to_owned())).unwrap_err();
    assert!(error.to_string().contains('x'), "{error}");
}

#[test]
fn tensors_go_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&two(folder.path())).unwrap();
    store.insert("a", row(&[5.0, 6.0, 7.0]));
    assert_eq!((store.count(), store.info("a")), (5, Some((vec![3], Kind::Float))));
    assert_eq!(to_f32(&store.remove("a").unwrap().unwrap()).unwrap(), [5.0, 6.0, 7.0]);
    assert!(store.remove("a").unwrap().is_none());
    assert_eq!(store.names().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn fingerprints_tell_models_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let fingerprint = |name, t: Tensor| {
        saved(&path, [(name, t), ("empty", row(&[]))]);
        Store::open(&path).unwrap().fingerprint().unwrap()
    };
    let plain = fingerprint("a", row(&[1.0, 2.0]));
    assert_eq!((plain.len(), &plain), (10, &fingerprint("a", row(&[1.0, 2.0]))));
    let others = [
        fingerprint("b", row(&[1.0, 2.0])),
        fingerprint("a", row(&[1.0, 2.5])),
        fingerprint("a", row(&[1.0, 2.0]).view([2, 1])),
        fingerprint("a", row(&[1.0, 2.0]).to_kind(Kind::Double)),
    ];
    assert!(others.iter().all(|other| *other != plain), "{plain} among {others:?}");
}

#[test]
fn parameters_are_used_from_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let weight = row(&[1.0, 2.0, 3.0, 4.0]).view([2, 2]);
    let kernel = Tensor::arange(16, tch::kind::FLOAT_CPU).view([2, 2, 2, 2]);
    saved(
        &path,
        [
            ("bias", row(&[5.0, 6.0])),
            ("conv.weight", kernel.copy()),
            ("half.weight", weight.to_kind(Kind::Half)),
            ("weight", weight.copy()),
        ],
    );
    let store = Store::open(&path).unwrap();
    let inside = ["weight", "bias"].map(|name| tensor_of(&store, name).data_ptr());
    let mut p = Parameters::stored(store, Kind::Float, Device::Cpu);
    let linear = Linear::new(&mut p.root(), 2, 2, true).unwrap();
    let half = Linear::new(&mut p.root().sub("half"), 2, 2, false).unwrap();
    let config = Conv2dConfig { kernel: 2, bias: false, ..Default::default() };
    let conv = Conv2d::new(&mut p.root().sub("conv"), 2, 2, config).unwrap();
    p.finish(|_| false).unwrap();
    let bias = linear.bias.unwrap();
    assert_eq!([linear.weight.data_ptr(), bias.data_ptr()], inside);
    assert!(!linear.weight.requires_grad() && !half.weight.requires_grad());
    // What has another kind, or another order in memory, is a copy with the same values.
    assert_eq!((half.weight.kind(), &half.weight), (Kind::Float, &weight));
    assert_eq!((conv.weight.stride(), &conv.weight), (vec![8, 1, 4, 2], &kernel));
    assert_eq!(p.count(), 4 + 2 + 4 + 16);
}

/// Pages that were given back are read again: the neighbours of a converted tensor stay.
#[test]
fn neighbours_of_what_was_copied_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    saved(&path, [("a", row(&[1.0])), ("b", row(&[2.0]).to_kind(Kind::Half)), ("c", row(&[3.0]))]);
    let mut p = Parameters::stored(Store::open(&path).unwrap(), Kind::Float, Device::Cpu);
    let tensors = ["a", "b", "c"].map(|name| p.root().tensor(name, &[1], Init::Zeros).unwrap());
    p.finish(|_| false).unwrap();
    assert_eq!(tensors.map(|t| to_f32(&t).unwrap()[0]), [1.0, 2.0, 3.0]);
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    saved(
        &path,
        [
            ("whole.weight", from_i64(&[1; 4], &[2, 2]).unwrap()),
            ("weight", row(&[1.0, 2.0])),
            ("position_ids", row(&[0.0])),
            ("other", row(&[0.0])),
        ],
    );
    let build = || {
        let mut p = Parameters::stored(Store::open(&path).unwrap(), Kind::Float, Device::Cpu);
        Linear::new(&mut p.root(), 2, 2, true).unwrap();
        Linear::new(&mut p.root().sub("whole"), 2, 2, false).unwrap();
        p
    };
    let said = build().finish(|name| name == "position_ids").unwrap_err().to_string();
    for part in [
        "the weights are for another model",
        "1 missing (bias)",
        "1 unexpected (other)",
        "weight is [2], expected [2, 2]",
        "whole.weight is Int64, expected Float",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("position_ids"), "{said}");
    let said = build().finish(|_| false).unwrap_err().to_string();
    assert!(said.contains("2 unexpected (other, position_ids)"), "{said}");
}
