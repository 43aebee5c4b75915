//! CIFAR's binary files.

use crate::support::write;
use std::fs::File;
use std::path::Path;
use tweedie_data::cifar::{Labels, cifar10, cifar100};
use tweedie_data::{Error, Split};
use tweedie_torch::tensor::{to_i64, to_u8};

/// A file of the right length that begins with these bytes and is zero then.
fn sparse(folder: &Path, name: &str, length: u64, first: &[u8]) {
    let path = write(folder, name, first);
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

const RECORD: usize = 3073;
const FILE_10: u64 = 30_730_000;

/// A record of CIFAR-10: red is all of a value, green and blue are others.
fn record(label: u8, rgb: [u8; 3]) -> Vec<u8> {
    std::iter::once(label).chain(rgb.into_iter().flat_map(|v| [v; 1024])).collect()
}

#[test]
fn cifar10_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let first = [record(3, [1, 2, 3]), record(9, [4, 5, 6])].concat();
    sparse(folder.path(), "cifar-10-batches-bin/test_batch.bin", FILE_10, &first);
    for place in [folder.path().to_path_buf(), folder.path().join("cifar-10-batches-bin")] {
        let set = cifar10(&place, Split::Test).unwrap();
        assert_eq!((set.count(), set.sample_shape()), (10_000, vec![3, 32, 32]));
        assert_eq!(to_i64(set.labels().unwrap()).unwrap()[..3], [3, 9, 0]);
        let x = to_u8(&set.samples().narrow(0, 0, 2)).unwrap();
        let at = |i: usize, c: usize| x[i * 3072 + c * 1024 + 1023];
        assert_eq!([at(0, 0), at(0, 1), at(0, 2), at(1, 0), at(1, 2)], [1, 2, 3, 4, 6]);
    }
    let missing = cifar10(folder.path(), Split::Train).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    assert!(missing.to_string().contains("data_batch_1.bin"), "{missing}");
}

/// The five files in order.
#[test]
fn cifar10_trains_on_five_files() {
    let folder = tempfile::tempdir().unwrap();
    for i in 1..=5_u8 {
        sparse(folder.path(), &format!("data_batch_{i}.bin"), FILE_10, &record(i, [i; 3]));
    }
    let set = cifar10(folder.path(), Split::Train).unwrap();
    assert_eq!(set.count(), 50_000);
    let labels = to_i64(set.labels().unwrap()).unwrap();
    assert_eq!([0, 10_000, 20_000, 30_000, 40_000].map(|i| labels[i]), [1, 2, 3, 4, 5]);
    let last = set.samples().get(40_000);
    assert!(to_u8(&last).unwrap().iter().all(|&v| v == 5));
}

#[test]
fn cifar100_has_two_labels() {
    let folder = tempfile::tempdir().unwrap();
    let first = [&[19, 99][..], &[7; 3072]].concat();
    sparse(folder.path(), "test.bin", 30_740_000, &first);
    for (labels, expected, classes) in [(Labels::Fine, 99, 100), (Labels::Coarse, 19, 20)] {
        let set = cifar100(folder.path(), Split::Test, labels).unwrap();
        assert_eq!(to_i64(set.labels().unwrap()).unwrap()[..2], [expected, 0]);
        assert_eq!(set.classes(), Some(classes));
        assert!(to_u8(&set.samples().get(0)).unwrap().iter().all(|&v| v == 7));
    }
}

#[test]
fn broken_files_are_explained() {
    let cases: [(&str, u64, &[u8], &str); 6] = [
        ("empty", 0, &[], "it has 0 bytes, expected 30730000: 10000 records of 3073 bytes"),
        ("cut off", FILE_10 - 1, &[], "it has 30729999 bytes"),
        ("a record less", FILE_10 - RECORD as u64, &[], "it has 30726927 bytes"),
        ("longer", FILE_10 + 1, &[], "it has 30730001 bytes"),
        ("another format", 30_740_000, &[], "it has 30740000 bytes"),
        ("no label", FILE_10, &[200], "image 0 has label 200, expected 0 to 9"),
    ];
    for (what, length, first, word) in cases {
        let folder = tempfile::tempdir().unwrap();
        sparse(folder.path(), "test_batch.bin", length, &first[..first.len().min(length as usize)]);
        let error = cifar10(folder.path(), Split::Test).expect_err(what).to_string();
        assert!(error.contains(word) && error.contains("test_batch.bin"), "{what}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cifar-10-batches-py/test_batch", b"\x80\x02");
    let folder = folder.path().join("cifar-10-batches-py");
    let error = cifar10(&folder, Split::Test).unwrap_err().to_string();
    assert!(error.contains("a pickle; expected the binary one"), "{error}");
}
