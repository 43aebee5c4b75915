//! IDX and npy files that are whole, and files that are not.

use crate::support::{Row, npy_file, write};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use tweedie_data::{Error, idx, npy};
use tweedie_torch::tensor::{to_f32, to_i64, to_u8};

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_file(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(sizes).flat_map(|w| w.to_be_bytes());
    words.chain(data.iter().copied()).collect()
}

#[test]
fn idx_is_read_plain_and_gzipped() {
    let folder = tempfile::tempdir().unwrap();
    let images = idx_file(0x0803, &[2, 2, 3], &(0..12).collect::<Vec<u8>>());
    let labels = idx_file(0x0801, &[2], &[7, 3]);
    write(folder.path(), "train-images-idx3-ubyte", &images);
    write(folder.path(), "train-labels-idx1-ubyte.gz", &gz(&labels));
    let set = idx::image_set(folder.path(), idx::Split::Train).unwrap();
    assert_eq!((set.count(), set.sample_shape()), (2, vec![1, 2, 3]));
    assert_eq!(to_u8(set.samples()).unwrap(), (0..12).collect::<Vec<u8>>());
    assert_eq!(to_i64(set.labels().unwrap()).unwrap(), [7, 3]);

    let missing = idx::image_set(folder.path(), idx::Split::Test).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    assert!(missing.to_string().contains("t10k-images-idx3-ubyte.gz"), "{missing}");
    write(folder.path(), "train-labels-idx1-ubyte", &idx_file(0x0801, &[3], &[1, 2, 3]));
    let error = idx::image_set(folder.path(), idx::Split::Train).unwrap_err().to_string();
    assert!(error.contains("3 labels for 2 images"), "{error}");
}

#[test]
fn broken_idx_files_are_explained() {
    let good = idx_file(0x0803, &[2, 2, 2], &[9; 8]);
    let mut bad_checksum = gz(&good);
    let n = bad_checksum.len();
    bad_checksum[n - 6] ^= 0xff;
    // Numbers that do not compress: what changes is data, and the checksum tells.
    let mixed = |i: u32| (i ^ (i >> 3)).wrapping_mul(0x9E37_79B9);
    let noise: Vec<u8> = (1..=5000).map(|i| (mixed(mixed(i) >> 7) >> 24) as u8).collect();
    let mut bad_stream = gz(&idx_file(0x0803, &[1, 50, 100], &noise));
    let middle = bad_stream.len() / 2;
    bad_stream[middle] ^= 1;
    let rows: Vec<Row> = vec![
        ("empty", vec![], "cut off"),
        ("in-the-magic", good[..3].to_vec(), "cut off"),
        ("in-the-sizes", good[..9].to_vec(), "cut off"),
        ("in-the-data", good[..20].to_vec(), "it has 20 bytes, its header says 24"),
        ("labels", idx_file(0x0801, &[8], &[0; 8]), "expected 0x00000803"),
        ("floats", idx_file(0x0D03, &[2, 2, 2], &[0; 32]), "expected 0x00000803"),
        ("png", b"\x89PNG\r\n\x1a\n0000000000000000".to_vec(), "magic number is 0x89504e47"),
        ("html", b"<!DOCTYPE html><html></html>".to_vec(), "magic number"),
        ("more", [&good[..], &[0]].concat(), "its header says 24"),
        ("huge", idx_file(0x0803, &[u32::MAX, u32::MAX, u32::MAX], &[]), "more than"),
        ("large", idx_file(0x0803, &[60_000, 280, 280], &[]), "more than"),
        ("claims", idx_file(0x0803, &[60_000, 28, 28], &[]), "its header says 47040016"),
        ("none", idx_file(0x0803, &[0, 28, 28], &[]), "nothing in it"),
        ("flat", idx_file(0x0803, &[5, 0, 28], &[]), "nothing in it"),
        ("plain.gz", good.clone(), "not a whole gzip file"),
        ("empty.gz", vec![], "cut off"),
        ("cut.gz", gz(&good)[..20].to_vec(), "cut off"),
        ("checksum.gz", bad_checksum, "not a whole gzip file"),
        ("stream.gz", bad_stream, "gzip"),
        ("short.gz", gz(&good[..20]), "cut off after 4 of 8 bytes"),
        ("more.gz", gz(&[&good[..], &[0; 9]].concat()), "more data than its header says"),
        ("claims.gz", gz(&idx_file(0x0803, &[60_000, 28, 28], &[1; 10])), "cut off after 10"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, word) in rows {
        let path = write(folder.path(), name, &bytes);
        let error = idx::read_images(&path).expect_err(name).to_string();
        assert!(error.contains(word), "{name}: {error}");
        assert!(error.contains(name) && error.lines().count() == 1, "{name}: {error}");
    }
    let error = idx::read_labels(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    assert!(idx::read_labels(folder.path()).is_err());
}

#[test]
fn npy_is_read_in_its_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let floats: Vec<u8> = [1.0_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = write(folder.path(), "a.npy", &npy_file("<f4", "(1, 2)", "False", &floats));
    let t = npy::read(&path).unwrap();
    assert_eq!((t.size(), to_f32(&t).unwrap()), (vec![1, 2], vec![1.0, -2.0]));
    let doubles: Vec<u8> = [0.5_f64].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = write(folder.path(), "b.npy", &npy_file("<f8", "(1,)", "False", &doubles));
    assert_eq!(to_f32(&npy::read(&path).unwrap()).unwrap(), [0.5]);
    let path = write(folder.path(), "c.npy", &npy_file("|u1", "(3,)", "False", &[1, 2, 3]));
    assert_eq!(to_u8(&npy::read(&path).unwrap()).unwrap(), [1, 2, 3]);
    let ints: Vec<u8> = [-7_i64].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = write(folder.path(), "d.npy", &npy_file("<i8", "(1,)", "False", &ints));
    assert_eq!(to_i64(&npy::read(&path).unwrap()).unwrap(), [-7]);
}

#[test]
fn broken_npy_files_are_explained() {
    let rows: Vec<Row> = vec![
        ("empty.npy", vec![], "not a whole npy file"),
        ("text.npy", b"1,2,3\n4,5,6\n".to_vec(), "not a whole npy file"),
        ("cut.npy", npy_file("<f4", "(2,)", "False", &[0; 4]), "not a whole npy file"),
        ("huge.npy", npy_file("<f4", "(4000000000000,)", "False", &[]), "does not fit"),
        (
            "overflow.npy",
            npy_file("<f4", "(9000000000000000000, 9000000000000000000)", "False", &[]),
            "npy file",
        ),
        ("fortran.npy", npy_file("<f4", "(1, 1)", "True", &[0; 4]), "ascontiguousarray"),
        ("complex.npy", npy_file("<c8", "(1,)", "False", &[0; 8]), "type c8"),
        ("object.npy", npy_file("|O", "(1,)", "False", &[0; 8]), "npy"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, word) in rows {
        let path = write(folder.path(), name, &bytes);
        let error = npy::read(&path).expect_err(name).to_string();
        assert!(error.contains(word) && error.contains(name), "{name}: {error}");
    }
    let path = write(folder.path(), "no.npz", b"no zip");
    assert!(npy::read_npz(&path, "x").unwrap_err().to_string().contains("not a npz file"));
}
