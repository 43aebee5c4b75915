//! CIFAR-10 and CIFAR-100, their binary versions: A. Krizhevsky, "Learning Multiple Layers of
//! Features from Tiny Images", 2009. <https://www.cs.toronto.edu/~kriz/cifar.html>
//!
//! A file is records of one label byte (CIFAR-100: two, coarse and fine) and 3,072 bytes: 32 × 32
//! pixels, all red, all green, all blue.

mod names;

pub use names::{CIFAR10, CIFAR100, CIFAR100_COARSE};

use crate::{Dataset, Error, Result, Split};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tweedie_torch::tensor;

/// Which labels of CIFAR-100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 groups of five classes.
    Coarse,
}

/// The bytes of an image.
const PIXELS: usize = 3 * 32 * 32;

/// What the files of a set look like.
struct Layout {
    /// The folder within the archive.
    archive: &'static str,
    files: &'static [&'static str],
    /// Records in a file.
    records: usize,
    /// Bytes in front of the pixels.
    labels: usize,
    /// Which of them is the label.
    label: usize,
    classes: u8,
    /// A file of the version for Python, which is a pickle and is not read.
    pickle: &'static str,
}

const TRAIN_10: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];

/// CIFAR-10: 50,000 images `[n, 3, 32, 32]` to train, 10,000 to test, as bytes, and their labels.
/// `folder` holds `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`, or the archive's
/// own folder `cifar-10-batches-bin` does within it.
pub fn cifar10(folder: &Path, split: Split) -> Result<Dataset> {
    let (files, pickle): (&[&str], _) = match split {
        Split::Train => (&TRAIN_10, "data_batch_1"),
        Split::Test => (&["test_batch.bin"], "test_batch"),
    };
    read(
        folder,
        &Layout {
            archive: "cifar-10-batches-bin",
            files,
            records: 10_000,
            labels: 1,
            label: 0,
            classes: 10,
            pickle,
        },
    )
}

/// CIFAR-100, likewise: `train.bin` and `test.bin`, or the archive's folder `cifar-100-binary`.
pub fn cifar100(folder: &Path, split: Split, labels: Labels) -> Result<Dataset> {
    let (files, records, pickle): (&[&str], _, _) = match split {
        Split::Train => (&["train.bin"], 50_000, "train"),
        Split::Test => (&["test.bin"], 10_000, "test"),
    };
    let (label, classes) = match labels {
        Labels::Coarse => (0, 20),
        Labels::Fine => (1, 100),
    };
    let archive = "cifar-100-binary";
    read(folder, &Layout { archive, files, records, labels: 2, label, classes, pickle })
}

fn read(folder: &Path, layout: &Layout) -> Result<Dataset> {
    let n = layout.files.len() * layout.records;
    let (mut x, mut labels) = (Vec::new(), Vec::with_capacity(n));
    for file in layout.files {
        let path = find(folder, file, layout)?;
        let bytes = whole(&path, layout)?;
        x.reserve(n * PIXELS - x.len());
        for (i, record) in bytes.chunks_exact(layout.labels + PIXELS).enumerate() {
            let label = record[layout.label];
            if label >= layout.classes {
                let problem =
                    format!("image {i} has label {label}, expected 0 to {}", layout.classes - 1);
                return Err(Error::broken(&path, problem));
            }
            labels.push(i64::from(label));
            x.extend_from_slice(&record[layout.labels..]);
        }
    }
    let n = n as i64;
    Dataset::new(tensor::from_u8(&x, &[n, 3, 32, 32])?, Some(tensor::from_i64(&labels, &[n])?))
}

fn find(folder: &Path, file: &str, layout: &Layout) -> Result<PathBuf> {
    let places = [folder.to_path_buf(), folder.join(layout.archive)];
    let found = places.iter().map(|place| place.join(file)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let pickle = places.iter().map(|place| place.join(layout.pickle)).find(|p| p.is_file());
        match pickle {
            Some(pickle) => Error::broken(
                &pickle,
                format!(
                    "this is the version for Python, a pickle; expected the binary one, {file}"
                ),
            ),
            None => Error::Missing {
                path: folder.into(),
                what: "images",
                looked_for: format!("{file}, {}/{file}", layout.archive),
            },
        }
    })
}

/// The bytes of a file that has exactly as many as it should.
fn whole(path: &Path, layout: &Layout) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let (record, found) =
        (layout.labels + PIXELS, file.metadata().map_err(Error::file(path))?.len());
    let expected = layout.records * record;
    if found != expected as u64 {
        let problem = format!(
            "it has {found} bytes, expected {expected}: {} records of {record} bytes",
            layout.records
        );
        return Err(Error::broken(path, problem));
    }
    let mut bytes = vec![0; expected];
    file.read_exact(&mut bytes).map_err(Error::file(path))?;
    Ok(bytes)
}
