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

/// A file without tensors, whose header need not be text.
fn file_of_bytes(header: &[u8]) -> Vec<u8> {
    with_length(header.len() as u64, header)
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
    let b = |shape: &str, offsets: &str| {
        two(&format!(r#""b":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#))
    };
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "empty or cut off"),
        ("seven bytes", vec![1; 7], "empty or cut off"),
        ("cut in the header", file(GOOD, &[0; 8])[..20].to_vec(), "interrupted download"),
        ("cut in the data", file(GOOD, &[0; 4]), "need 8 bytes, 4 are there: cut off"),
        ("more data than tensors", file(GOOD, &[0; 12]), "4 bytes follow its last tensor"),
        ("a header of nothing", with_length(0, b"{}"), "its header is empty"),
        ("a header of 2^63", with_length(1 << 63, &[1; 64]), "or another format"),
        ("a header of 2^64 - 1", with_length(u64::MAX, b"{}"), "or another format"),
        ("a header longer than the file", with_length(1000, &[b'{'; 99]), "takes 1000 bytes"),
        ("no JSON", file("{]", &[]), "header cannot be read"),
        ("JSON cut off", file(r#"{"a":{"dtype":"F32","#, &[]), "header cannot be read: a: EOF"),
        ("two of them", file(r#"{}{}"#, &[]), "header cannot be read: trailing"),
        ("a list", file("[1]", &[]), "a map of tensors"),
        ("a number for a tensor", file(r#"{"a":1}"#, &[]), "a: invalid type"),
        ("notes of numbers", file(r#"{"__metadata__":{"a":1}}"#, &[]), "__metadata__: invalid"),
        ("not UTF-8", file_of_bytes(b"{\"\xff\":1}"), "header cannot be read"),
        ("an unknown kind", file(&a("F99", "[2]", "[0,8]"), &[0; 8]), "kind F99, which safe"),
        ("shape and offsets disagree", file(&a("F32", "[3]", "[0,8]"), &[0; 8]), "needs 12 by"),
        ("a negative size", file(&a("F32", "[-2]", "[0,8]"), &[0; 8]), "no memory can hold"),
        ("half a size", file(&a("F32", "[0.5]", "[0,8]"), &[0; 8]), "a: invalid type"),
        (
            "a size that overflows",
            file(&a("F32", "[4611686018427387904,4]", "[0,0]"), &[]),
            "no memory",
        ),
        (
            "sizes that vanish",
            file(&a("F32", "[0,9223372036854775808]", "[0,0]"), &[]),
            "cannot be",
        ),
        ("offsets the wrong way round", file(&a("F32", "[2]", "[8,0]"), &[0; 8]), "before it beg"),
        (
            "offsets past the end",
            file(&a("F32", "[2]", "[8,16]"), &[0; 8]),
            "owns the bytes 0 to 8",
        ),
        ("offsets of 2^64", file(&a("F32", "[2]", "[0,18446744073709551616]"), &[]), "cannot be"),
        ("one offset", file(&a("F32", "[2]", "[0]"), &[0; 8]), "invalid length 1"),
        ("overlap", file(&b("[2]", "[4,12]"), &[0; 12]), "b begins at byte 4, within another"),
        ("a hole", file(&b("[1]", "[12,16]"), &[0; 16]), "owns the bytes 8 to 12, before b"),
        (
            "a field missing",
            file(r#"{"a":{"dtype":"F32","shape":[2]}}"#, &[0; 8]),
            "`data_offsets`",
        ),
        (
            "one name twice",
            file(&two(r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#), &[0; 8]),
            "it names a twice",
        ),
        ("a web page", b"<!DOCTYPE html><html>not found</html>".to_vec(), "web page"),
        ("one that begins late", b"\n\n  <html lang='en'> 404".to_vec(), "web page"),
        (
            "a git-lfs pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0".to_vec(),
            "git lfs pull",
        ),
        ("an index", br#"{"weight_map": {"a": "model-1.safetensors"}}"#.to_vec(), "in parts"),
        ("an answer", br#"{"error": "Entry not found"}"#.to_vec(), "answer of a server"),
        ("a zip of PyTorch", b"PK\x03\x04\0\0\0\0\x08\x08more".to_vec(), "never read"),
        ("a pickle", b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.".to_vec(), "never read"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03more".to_vec(), "unpack it"),
        ("GGUF", b"GGUF\x03\0\0\0\x01\0\0\0".to_vec(), "GGUF"),
        ("HDF5", b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), "HDF5"),
        ("zeros", vec![0; 4096], "all zeros"),
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

/// Good files whose first bytes are those of something else: the length 60 is `<`.
#[test]
fn a_good_file_is_never_guessed_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good");
    for header in [
        format!("{GOOD:60}"),
        format!("{GOOD:128}"),
        r#"{"__metadata__":{"page":"<html>"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
            .to_owned(),
    ] {
        fs::write(&path, file(&header, &[0, 0, 128, 63, 0, 0, 0, 64])).unwrap();
        let dict = load(&path, KindPolicy::Keep, Device::Cpu).unwrap();
        assert_eq!(to_f32(&dict["a"]).unwrap(), [1.0, 2.0], "{header}");
    }
    fs::write(&path, file("{}", &[])).unwrap();
    assert!(load(&path, KindPolicy::Keep, Device::Cpu).unwrap().is_empty());
    let odd = r#"{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#;
    fs::write(&path, file(odd, &[0, 7])).unwrap();
    let dict = load(&path, KindPolicy::Keep, Device::Cpu).unwrap();
    assert_eq!(crate::tensor::to_u8(&dict["a"]).unwrap(), [0, 1], "7 is as true as 1");
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
    assert!(save(&path, [("__metadata__", &a)], &notes, None).is_err());
    let error = save(&path, [("a", &t(&[7e4]))], &notes, Some(Kind::Half)).unwrap_err();
    assert!(error.to_string().contains("too narrow for a"), "{error}");
    save(&path, [("a", &t(&[7e4]))], &notes, Some(Kind::BFloat16)).unwrap();
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
    let message = |value: Tensor| {
        let dict = StateDict::from([("a".into(), value)]);
        load_into([("a", &t(&[0.0]))], &dict).unwrap_err().to_string()
    };
    assert_eq!(message(t(&[f32::NAN])), "the weights are damaged: 1 not finite (a)");
    assert!(message(from_i64(&[1], &[1]).unwrap()).contains("a is Int64, expected Float"));
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

/// Notes stand in the file as every reader expects them, and numbers begin at a multiple of 8.
#[test]
fn the_bytes_are_those_of_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let notes = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let long = from_i64(&[-1], &[1]).unwrap();
    save(&path, [("b", &t(&[1.0])), ("a\"\n", &t(&[])), ("z", &long)], &notes, None).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let expected = r#"{"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a\"\n":{"dtype":"F32","shape":[0],"data_offsets":[8,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
    assert_eq!((header.trim_end(), length % 8), (expected, 0));
    assert_eq!(bytes[8 + length..], [[255; 4], [255; 4], [0, 0, 128, 63]].concat());
}

/// The umask decides who may read the file, as for every other file of the user.
#[cfg(unix)]
#[test]
fn a_new_file_is_as_readable_as_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    save(&ours, [("a", &t(&[1.0]))], &BTreeMap::new(), None).unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}

/// Unreadable files are errors of the system that name the file; root may read everything.
#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed");
    fs::write(&path, file(GOOD, &[0; 8])).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    match (fs::read(&path), load(&path, KindPolicy::Keep, Device::Cpu)) {
        (Ok(_), loaded) => assert!(loaded.is_ok()),
        (Err(_), loaded) => {
            let message = loaded.unwrap_err().to_string();
            assert!(message.contains("closed: Permission denied"), "{message}");
        }
    }
}
