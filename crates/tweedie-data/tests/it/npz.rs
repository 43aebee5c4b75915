//! ADM's layout.

use crate::support::{npy_file, write};
use std::io::Write;
use std::path::{Path, PathBuf};
use tweedie_data::npy;
use tweedie_torch::tensor::{to_i64, to_u8};

/// A `.npz` file: a zip without compression, as numpy.savez writes it.
fn npz(folder: &Path, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    write(folder, "set.npz", &zip.finish().unwrap().into_inner())
}

fn images(shape: &str, n: u8) -> Vec<u8> {
    npy_file("|u1", shape, "False", &(0..n).collect::<Vec<_>>())
}

#[test]
fn images_last_become_images_first() {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<u8> = [4_i64, 1].iter().flat_map(|l| l.to_le_bytes()).collect();
    let arrays = [
        ("arr_0", images("(2, 1, 2, 3)", 12)),
        ("arr_1", npy_file("<i8", "(2,)", "False", &labels)),
    ];
    let set = npy::image_set(&npz(folder.path(), &arrays)).unwrap();
    assert_eq!(set.sample_shape(), [3, 1, 2]);
    assert_eq!(to_u8(set.samples()).unwrap(), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    assert_eq!(to_i64(set.labels().unwrap()).unwrap(), [4, 1]);
    let set = npy::image_set(&npz(folder.path(), &arrays[..1])).unwrap();
    assert!(set.labels().is_none());
    let grey = npy::image_set(&npz(folder.path(), &[("arr_0", images("(2, 2, 3, 1)", 12))]));
    assert_eq!(grey.unwrap().sample_shape(), [1, 2, 3]);
}

#[test]
fn broken_files_are_explained() {
    let good = || images("(2, 1, 2, 3)", 12);
    let floats = npy_file("<f4", "(1, 1, 1, 3)", "False", &[0; 12]);
    let minus: Vec<u8> = [-1_i64, 0].iter().flat_map(|l| l.to_le_bytes()).collect();
    let huge = "(4000000000, 4000000000, 4000000000, 3)";
    let cases: [(&str, Vec<(&str, Vec<u8>)>, &str); 10] = [
        ("no arr_0", vec![("images", good())], "no array arr_0; it has images"),
        ("nothing", vec![], "no array arr_0"),
        ("floats", vec![("arr_0", floats)], "expected Uint8 [n, height, width, 3]"),
        ("channels first", vec![("arr_0", images("(1, 3, 2, 2)", 12))], "[1, 3, 2, 2], expected"),
        ("flat", vec![("arr_0", images("(12,)", 12))], "[12], expected"),
        ("none", vec![("arr_0", images("(0, 2, 2, 3)", 0))], "nothing in it"),
        ("huge", vec![("arr_0", images(huge, 0))], "does not fit"),
        ("cut off", vec![("arr_0", images("(9, 2, 2, 3)", 12))], "not a whole npy file"),
        (
            "labels of others",
            vec![("arr_0", good()), ("arr_1", npy_file("<i8", "(1,)", "False", &[0; 8]))],
            "arr_1 is Int64 [1], expected [2]",
        ),
        (
            "labels below 0",
            vec![("arr_0", good()), ("arr_1", npy_file("<i8", "(2,)", "False", &minus))],
            "arr_1 has a label -1, expected at least 0",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, arrays, word) in cases {
        let path = npz(folder.path(), &arrays);
        let error = npy::image_set(&path).expect_err(what).to_string();
        assert!(error.contains(word) && error.contains("set.npz"), "{what}: {error}");
    }
    let path = write(folder.path(), "set.npz", b"no zip");
    assert!(npy::image_set(&path).unwrap_err().to_string().contains("not a npz file"));
    assert!(npy::image_set(folder.path()).unwrap_err().to_string().contains("not a file"));
    assert!(npy::image_set(&folder.path().join("absent.npz")).is_err());
}
