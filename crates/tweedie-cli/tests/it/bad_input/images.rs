//! Image files that are broken, as `tweedie train` tells of them. `tweedie-data`'s tests have more
//! ways for a file to be broken; here it is what reaches the user.

use super::refused;
use std::io::Write;

const FILE: &str = "train-images-idx3-ubyte";

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(sizes).flat_map(|w| w.to_be_bytes());
    words.chain(data.iter().copied()).collect()
}

fn with(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    bytes
}

#[test]
fn image_files() {
    let images = || idx(0x0803, &[3, 28, 28], &[7; 3 * 784]);
    let labels = || idx(0x0801, &[3], &[0, 9, 1]);
    let table: Vec<(&str, Vec<u8>, Vec<u8>, &[&str])> = vec![
        ("truncated", gz(&images()[..2000]), gz(&labels()), &[FILE, "cut off", "2352"]),
        ("oversized", gz(&with(images(), |b| b.push(0))), gz(&labels()), &[FILE, "more data"]),
        (
            "wrong magic",
            gz(&idx(0x0D03, &[3, 28, 28], &[0; 4 * 3 * 784])),
            gz(&labels()),
            &[FILE, "0x00000d03, expected 0x00000803"],
        ),
        ("no gzip", images(), gz(&labels()), &[FILE, "not a whole gzip file"]),
        (
            "cut gzip",
            with(gz(&images()), |b| b.truncate(b.len() / 2)),
            gz(&labels()),
            &[FILE, "cut off"],
        ),
        (
            "a checksum that is wrong",
            with(gz(&images()), |b| {
                let last = b.len() - 6;
                b[last] ^= 0xff;
            }),
            gz(&labels()),
            &[FILE, "not a whole gzip file"],
        ),
        (
            "a claim of 4 TB",
            gz(&idx(0x0803, &[u32::MAX, 28, 28], &[])),
            gz(&labels()),
            &[FILE, "more than"],
        ),
        (
            "images of another size",
            gz(&idx(0x0803, &[3, 8, 8], &[7; 192])),
            gz(&labels()),
            &["784", "64"],
        ),
        (
            "too few labels",
            gz(&images()),
            gz(&idx(0x0801, &[2], &[0, 1])),
            &["train-labels-idx1-ubyte", "2 labels for 3 images"],
        ),
        (
            "a label beyond the classes",
            gz(&images()),
            gz(&idx(0x0801, &[3], &[0, 1, 47])),
            &["labels", "10 classes"],
        ),
    ];
    for (what, images, labels, words) in table {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("set");
        std::fs::create_dir(&set).unwrap();
        std::fs::write(set.join(format!("{FILE}.gz")), images).unwrap();
        std::fs::write(set.join("train-labels-idx1-ubyte.gz"), labels).unwrap();
        eprintln!("{what}");
        let code = if what == "images of another size" { 2 } else { 1 };
        refused(folder.path(), "train fashion-mnist data.path=set --run run", code, words);
        assert!(!folder.path().join("run").exists(), "{what}: there is a folder");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("set")).unwrap();
    let words = &["set", "train-images-idx3-ubyte"][..];
    refused(folder.path(), "train fashion-mnist data.path=set", 1, words);
}
