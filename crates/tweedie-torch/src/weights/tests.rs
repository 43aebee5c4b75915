use super::*;
use crate::tensor::{from_f32, from_i64, to_f32};
use std::fs;
use std::path::PathBuf;
use tch::Device;

fn t(values: &[f32]) -> Tensor {
    from_f32(values, &[values.len() as i64]).unwrap()
}

/// A file of the format from its two parts.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn with_length(length: u64, rest: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes()[..], rest].concat()
}

const GOOD: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

/// Every way in which a file can be broken that we thought of, with a word that its error must say.
#[test]
fn broken_files_are_explained() {
    let a = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let two = |second: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},{second}}}"#)
    };
    let zip = with_length(u64::from_le_bytes(*b"PK\x03\x04\0\0\0\0"), &[0; 64]);
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "empty or cut off"),
        ("seven bytes", vec![1; 7], "empty or cut off"),
        ("cut in the header", file(GOOD, &[0; 8])[..20].to_vec(), "cut off"),
        ("cut in the data", file(GOOD, &[0; 4]), "cut off"),
        ("more data than tensors", file(GOOD, &[0; 12]), "more behind it"),
        ("a header of nothing", with_length(0, &[]), "not a whole safetensors file"),
        ("a header of 2^63", with_length(1 << 63, &[0; 64]), "begins like no such file"),
        ("a header of 2^64 - 1", with_length(u64::MAX, &[0; 64]), "begins like no such file"),
        ("a header longer than the file", with_length(1000, &[b'{'; 100]), "needs 1000 bytes"),
        ("no JSON", file("{]", &[]), "not a whole safetensors file"),
        ("a list", file("[1]", &[]), "not a whole safetensors file"),
        ("not UTF-8", with_length(4, &[0xff, 0xfe, 0xff, 0xfe]), "not a whole safetensors file"),
        (
            "an unknown kind",
            file(&a("F99", "[2]", "[0,8]"), &[0; 8]),
            "not a whole safetensors file",
        ),
        ("shape and offsets disagree", file(&a("F32", "[3]", "[0,8]"), &[0; 8]), "not a whole"),
        ("a negative size", file(&a("F32", "[-2]", "[0,8]"), &[0; 8]), "not a whole"),
        (
            "a size that overflows",
            file(&a("F32", "[4611686018427387904,4]", "[0,8]"), &[0; 8]),
            "not a whole",
        ),
        ("offsets the wrong way round", file(&a("F32", "[2]", "[8,0]"), &[0; 8]), "not a whole"),
        ("offsets past the end", file(&a("F32", "[2]", "[8,16]"), &[0; 8]), "not a whole"),
        (
            "overlap",
            file(&two(r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#), &[0; 12]),
            "not a whole",
        ),
        (
            "a hole",
            file(&two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}"#), &[0; 16]),
            "not a whole",
        ),
        ("a field missing", file(r#"{"a":{"dtype":"F32","shape":[2]}}"#, &[0; 8]), "not a whole"),
        (
            "one name twice",
            file(&two(r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#), &[0; 8]),
            "not a whole safetensors file",
        ),
        ("a web page", b"<!DOCTYPE html><html>not found</html>".to_vec(), "web page"),
        (
            "a git-lfs pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0".to_vec(),
            "git lfs pull",
        ),
        ("a zip of PyTorch", zip, "never read"),
        ("a pickle", b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.".to_vec(), "never read"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (i, (what, bytes, word)) in table.iter().enumerate() {
        let path = folder.path().join(format!("{i}.safetensors"));
        fs::write(&path, bytes).unwrap();
        for error in [load(&path, KindPolicy::Keep, Device::Cpu).err(), header(&path).err()] {
            let message = error.unwrap_or_else(|| panic!("{what} was read")).to_string();
            assert!(message.contains(word), "{what}: {message}");
            assert!(message.contains(&path.display().to_string()), "{what}: {message}");
            assert!(message.lines().count() == 1, "{what}: {message}");
        }
    }
    let missing = folder.path().join("none.safetensors");
    let error = load(&missing, KindPolicy::Keep, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("none.safetensors: No such file"), "{error}");
    let error = load(folder.path(), KindPolicy::Keep, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("not a file"), "{error}");
}

#[test]
fn a_good_file_of_others_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good");
    fs::write(&path, file(GOOD, &[0, 0, 128, 63, 0, 0, 0, 64])).unwrap();
    let dict = load(&path, KindPolicy::Keep, Device::Cpu).unwrap();
    assert_eq!(to_f32(&dict["a"]).unwrap(), [1.0, 2.0]);
}

#[test]
fn what_is_saved_is_loaded_in_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let (a, n) = (t(&[1.0, -2.5, 3.0]), from_i64(&[7], &[1]).unwrap());
    let notes =
        BTreeMap::from([("spec".to_owned(), "{}".to_owned()), ("z".to_owned(), "1".to_owned())]);
    for kind in [None, Some(Kind::Half), Some(Kind::BFloat16)] {
        save(&path, [("n", &n), ("a.weight", &a.slice(0, 0, 3, 2))], &notes, kind).unwrap();
        let bytes = fs::read(&path).unwrap();
        save(&path, [("a.weight", &a.slice(0, 0, 3, 2)), ("n", &n)], &notes, kind).unwrap();
        assert_eq!(bytes, fs::read(&path).unwrap(), "the same tensors give the same bytes");
        let head = header(&path).unwrap();
        assert_eq!(head.metadata, notes);
        assert_eq!(
            head.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
            ["a.weight", "n"]
        );
        let kept = load(&path, KindPolicy::Keep, Device::Cpu).unwrap();
        assert_eq!(kept["a.weight"].kind(), kind.unwrap_or(Kind::Float));
        let cast = load(&path, KindPolicy::Cast(Kind::Double), Device::Cpu).unwrap();
        assert_eq!((cast["a.weight"].kind(), cast["n"].kind()), (Kind::Double, Kind::Int64));
        assert_eq!(to_f32(&cast["a.weight"]).unwrap(), [1.0, 3.0]);
    }
    assert!(save(&path, [("a", &a), ("a", &n)], &notes, None).is_err());
    assert!(save(&path, [("a", &a.to_kind(Kind::ComplexFloat))], &notes, None).is_err());
}

#[test]
fn weights_of_another_model_are_listed_and_nothing_changes() {
    let (a, b) = (t(&[1.0, 2.0]), t(&[3.0]));
    let dict = StateDict::from([("a".into(), t(&[5.0])), ("c".into(), t(&[1.0]))]);
    let error = load_into([("a", &a), ("b", &b)], &dict).unwrap_err().to_string();
    for part in ["1 missing (b)", "1 unexpected (c)", "a is [1], expected [2]"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(to_f32(&a).unwrap(), [1.0, 2.0]);
    let dict =
        StateDict::from([("a".into(), t(&[5.0, 6.0]).to_kind(Kind::BFloat16)), ("b".into(), b)]);
    let param = t(&[0.0, 0.0]).set_requires_grad(true);
    load_into([("a", &param), ("b", &t(&[0.0]))], &dict).unwrap();
    assert_eq!((to_f32(&param).unwrap(), param.kind()), (vec![5.0, 6.0], Kind::Float));
}

/// A write that fails leaves what was there, and no debris.
#[test]
fn a_failed_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    fs::write(&path, "before").unwrap();
    let full = |_: &mut fs::File| Err(std::io::Error::other("no space left on device"));
    let error = atomically(&path, full).unwrap_err().to_string();
    assert!(error.contains("w.safetensors: no space left"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    let names: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [path]);
    let nowhere = folder.path().join("no/such/folder/w");
    assert!(save(&nowhere, [("a", &t(&[1.0]))], &BTreeMap::new(), None).is_err());
}
