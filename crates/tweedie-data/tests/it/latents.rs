//! Latents in shards.

use crate::support::write;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};
use tweedie_data::latents::{LatentConfig, Latents, Shard};
use tweedie_data::{Error, Loader, LoaderConfig, Source};
use tweedie_torch::tensor::{from_f32, from_i64, to_f32, to_i64};
use tweedie_torch::weights;

/// Latents `[n, 2, 1, 2]` that count from `from` on.
fn counting(n: i64, from: i64) -> Tensor {
    let values: Vec<f32> = (from * 4..(from + n) * 4).map(|v| v as f32).collect();
    from_f32(&values, &[n, 2, 1, 2]).unwrap()
}

fn labels(of: &[i64]) -> Tensor {
    from_i64(of, &[of.len() as i64]).unwrap()
}

/// Three shards of 3, 1 and 2.
fn shards(folder: &Path, kind: Kind) {
    let parts = [(3, vec![0, 1, 2]), (1, vec![7]), (2, vec![4, 5])];
    let mut from = 0;
    for (i, (n, classes)) in parts.into_iter().enumerate() {
        let latents = counting(n, from).to_kind(kind);
        let (flipped, labels) = (-latents.shallow_clone(), labels(&classes));
        let shard = Shard { latents: &latents, flipped: Some(&flipped), labels: Some(&labels) };
        shard.save(folder, i + 1, 3).unwrap();
        from += n;
    }
}

#[test]
fn what_was_written_is_read() {
    for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
        let folder = tempfile::tempdir().unwrap();
        shards(folder.path(), kind);
        let set = Latents::open(folder.path(), LatentConfig::default()).unwrap();
        assert_eq!((set.count(), set.classes(), set.sample_shape()), (6, Some(8), vec![2, 1, 2]));
        let batch = set.batch(&[5, 0, 3]).unwrap();
        let expected = [20., 21., 22., 23., 0., 1., 2., 3., 12., 13., 14., 15.];
        assert_eq!((batch.x.kind(), to_f32(&batch.x).unwrap()), (Kind::Float, expected.to_vec()));
        assert_eq!(to_i64(&batch.labels.unwrap()).unwrap(), [5, 0, 7]);
        assert!(set.batch(&[6]).is_err() && set.batch(&[-1]).is_err());
    }
}

#[test]
fn shift_scale_and_mirror_images() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path(), Kind::Float);
    let config = LatentConfig { shift: 1.0, scale: 0.5, flip: true };
    let set = Latents::open(folder.path(), config).unwrap();
    assert_eq!(set.count(), 12);
    let batch = set.batch(&[1, 7]).unwrap();
    // (z − 1)/2, and the mirrored ones are the negative ones here.
    assert_eq!(to_f32(&batch.x).unwrap(), [1.5, 2.0, 2.5, 3.0, -2.5, -3.0, -3.5, -4.0]);
    assert_eq!(to_i64(&batch.labels.unwrap()).unwrap(), [1, 1]);
    for bad in [f64::NAN, f64::INFINITY, 0.0] {
        assert!(Latents::open(folder.path(), LatentConfig { scale: bad, ..config }).is_err());
    }
    assert!(Latents::open(folder.path(), LatentConfig { shift: f64::NAN, ..config }).is_err());
}

#[test]
fn a_loader_streams_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path(), Kind::Half);
    let loader = |prefetch| {
        let config = LatentConfig { flip: true, ..LatentConfig::default() };
        let set = Latents::open(folder.path(), config).unwrap();
        Loader::new(set, LoaderConfig { prefetch, ..LoaderConfig::new(5, 2) }).unwrap()
    };
    let take = |loader: &mut Loader, n| -> Vec<Vec<f32>> {
        loader.take(n).map(|b| to_f32(&b.unwrap().x).unwrap()).collect()
    };
    let all = take(&mut loader(0), 9);
    let mut begun = loader(3);
    assert_eq!(take(&mut begun, 4), all[..4]);
    let mut goes_on = loader(1);
    goes_on.resume(begun.state()).unwrap();
    assert_eq!(take(&mut goes_on, 5), all[4..]);
}

/// A file with these tensors, whatever they are.
fn save(folder: &Path, name: &str, tensors: &[(&str, &Tensor)]) {
    let tensors = tensors.iter().map(|(name, t)| (*name, *t));
    weights::save(&folder.join(name), tensors, &BTreeMap::new(), None).unwrap();
}

#[test]
fn broken_shards_are_explained() {
    let (x, other) = (counting(2, 0), from_f32(&[0.0; 8], &[2, 1, 2, 2]).unwrap());
    let half = x.to_kind(Kind::Half);
    let (ints, double) = (x.to_kind(Kind::Int64), x.to_kind(Kind::Double));
    let (flat, none) = (x.reshape([2, 4]), x.narrow(0, 0, 0));
    let (good, few, minus) = (labels(&[0, 1]), labels(&[0]), labels(&[0, -3]));
    let real = from_f32(&[0.0, 1.0], &[2]).unwrap();
    type Case<'a> = (&'a str, Vec<(&'a str, &'a Tensor)>, &'a str);
    let cases: [Case<'_>; 14] = [
        ("no latents", vec![("z", &x)], "no tensor latents; it has z"),
        ("integers", vec![("latents", &ints)], "latents is Int64"),
        ("doubles", vec![("latents", &double)], "expected F32, F16, BF16"),
        ("flat", vec![("latents", &flat)], "[2, 4], expected"),
        ("empty", vec![("latents", &none)], "[0, 2, 1, 2], expected"),
        ("few labels", vec![("latents", &x), ("labels", &few)], "labels is Int64 [1], expected"),
        ("real labels", vec![("latents", &x), ("labels", &real)], "labels is Float [2], expected"),
        ("labels below 0", vec![("latents", &x), ("labels", &minus)], "labels[1] is -3"),
        ("flipped", vec![("latents", &x), ("latents_flip", &other)], "latents_flip is Float [2, 1"),
        ("flipped kind", vec![("latents", &x), ("latents_flip", &half)], "latents_flip is Half"),
        ("another shape", vec![("latents", &other)], "expected [2, 1, 2] in Float as in"),
        ("another kind", vec![("latents", &half)], "in Half, expected [2, 1, 2] in Float"),
        ("labels", vec![("latents", &x), ("labels", &good)], "has labels, but"),
        ("not flipped", vec![("latents", &x)], "no latents_flip, which flip asks for"),
    ];
    for (what, tensors, word) in cases {
        let folder = tempfile::tempdir().unwrap();
        // The first is good: what is wrong is the second, or how it differs.
        save(folder.path(), "a.safetensors", &[("latents", &x), ("latents_flip", &x)]);
        save(folder.path(), "b.safetensors", &tensors);
        let config = LatentConfig { flip: what == "not flipped", ..LatentConfig::default() };
        let error = Latents::open(folder.path(), config).expect_err(what).to_string();
        assert!(error.contains(word) && error.contains("b.safetensors"), "{what}: {error}");
    }
}

#[test]
fn files_that_are_none_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path(), Kind::Float);
    let open = || Latents::open(folder.path(), LatentConfig::default()).unwrap_err().to_string();
    let second = folder.path().join("latents-00002-of-00003.safetensors");
    let bytes = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    let error = open();
    assert!(error.contains("no shard; looked for latents-00002-of-00003"), "{error}");
    for (broken, word) in [
        (&bytes[..bytes.len() - 1], "latents-00002"),
        (&bytes[..4], "it has 4 bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "latents-00002"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "claims a header"),
    ] {
        write(folder.path(), "latents-00002-of-00003.safetensors", broken);
        let error = open();
        assert!(error.contains(word), "{error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = Latents::open(empty.path(), LatentConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Missing { what: "latents", .. }), "{error}");
    assert!(Latents::open(&empty.path().join("absent"), LatentConfig::default()).is_err());
}

#[test]
fn values_that_are_no_numbers_are_found() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a.safetensors", &[("latents", &counting(2, 0))]);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0.0; 12];
        values[6] = bad;
        let x = from_f32(&values, &[3, 2, 1, 2]).unwrap();
        save(folder.path(), "b.safetensors", &[("latents", &x)]);
        let set = Latents::open(folder.path(), LatentConfig::default()).unwrap();
        assert!(set.batch(&[0, 1, 2, 4]).is_ok());
        let error = set.batch(&[0, 3]).unwrap_err().to_string();
        assert!(error.contains("b.safetensors: latents[1]"), "{error}");
        assert!(Shard::new(&x).save(folder.path(), 1, 1).is_err());
    }
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let x = counting(2, 0);
    let (few, minus) = (labels(&[0]), labels(&[0, -1]));
    let (other, flat) = (counting(3, 0), x.reshape([2, 4]));
    let bad = [
        Shard { labels: Some(&few), ..Shard::new(&x) },
        Shard { labels: Some(&minus), ..Shard::new(&x) },
        Shard { flipped: Some(&other), ..Shard::new(&x) },
        Shard::new(&flat),
    ];
    for (i, shard) in bad.iter().enumerate() {
        assert!(shard.save(folder.path(), 1, 1).is_err(), "{i}");
    }
    assert!(Shard::new(&x).save(folder.path(), 0, 1).is_err());
    assert!(Shard::new(&x).save(folder.path(), 3, 2).is_err());
    assert!(Shard::new(&x).save(&folder.path().join("absent"), 1, 1).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
