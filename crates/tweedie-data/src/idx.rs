//! The IDX files of MNIST and its kin, plain or gzipped.
//!
//! A file is a magic number (two zeros, a type, the number of dimensions), the sizes as big-endian
//! 32-bit numbers, and the bytes. Sizes are compared with the data before memory is taken.

pub use crate::Split;

use crate::{Dataset, Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie_torch::tensor;

/// The largest file that is read, unpacked: MNIST's is 47 MB.
const LIMIT: u64 = 4 << 30;

/// Images `[n, 1, height, width]`, as bytes, and labels of a folder with the usual names:
/// `train-…` or `t10k-…`.
pub fn image_set(folder: &Path, split: Split) -> Result<Dataset> {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images_path = find(folder, prefix, "images", 3)?;
    let labels_path = find(folder, prefix, "labels", 1)?;
    let images = read_images(&images_path)?;
    let labels = read_labels(&labels_path)?;
    if images.size()[0] != labels.size()[0] {
        let problem = format!("{} labels for {} images", labels.size()[0], images.size()[0]);
        return Err(Error::broken(&labels_path, problem));
    }
    Dataset::new(images, Some(labels))
}

fn find(folder: &Path, prefix: &str, what: &'static str, dims: u8) -> Result<PathBuf> {
    let names = [
        format!("{prefix}-{what}-idx{dims}-ubyte"),
        format!("{prefix}-{what}-idx{dims}-ubyte.gz"),
        format!("{prefix}-{what}.idx{dims}-ubyte"),
        format!("{prefix}-{what}.idx{dims}-ubyte.gz"),
    ];
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Error::Missing { path: folder.into(), what, looked_for: names.join(", ") })
}

/// Images as bytes, `[n, 1, height, width]`.
pub fn read_images(path: &Path) -> Result<Tensor> {
    let (sizes, bytes) = read(path, 3)?;
    Ok(tensor::from_u8(&bytes, &[sizes[0], 1, sizes[1], sizes[2]])?)
}

/// Labels as 64-bit integers, `[n]`.
pub fn read_labels(path: &Path) -> Result<Tensor> {
    let (sizes, bytes) = read(path, 1)?;
    let labels: Vec<i64> = bytes.into_iter().map(i64::from).collect();
    Ok(tensor::from_i64(&labels, &sizes)?)
}

/// Sizes and bytes of a file of unsigned bytes with so many dimensions.
fn read(path: &Path, dims: usize) -> Result<(Vec<i64>, Vec<u8>)> {
    let file = File::open(path).map_err(Error::file(path))?;
    let on_disk = file.metadata().map_err(Error::file(path))?.len();
    let mut file = BufReader::new(file);
    let gzipped = path.extension().is_some_and(|e| e == "gz");
    if gzipped {
        read_from(path, &mut flate2::read::MultiGzDecoder::new(file), dims, None)
    } else {
        read_from(path, &mut file, dims, Some(on_disk))
    }
}

fn read_from(
    path: &Path,
    from: &mut dyn Read,
    dims: usize,
    total: Option<u64>,
) -> Result<(Vec<i64>, Vec<u8>)> {
    let cut = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::broken(path, "the file is cut off"),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            Error::broken(path, format!("not a whole gzip file: {e}"))
        }
        _ => Error::file(path)(e),
    };
    let mut word = || -> Result<u32> {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes).map_err(cut)?;
        Ok(u32::from_be_bytes(bytes))
    };
    let (magic, expected) = (word()?, 0x0800 | dims as u32);
    if magic != expected {
        let problem = format!("the magic number is {magic:#010x}, expected {expected:#010x}");
        return Err(Error::broken(path, problem));
    }
    let sizes: Vec<u32> = (0..dims).map(|_| word()).collect::<Result<_>>()?;
    let bytes =
        sizes.iter().try_fold(1_u64, |n, &s| n.checked_mul(s.into())).filter(|&n| n <= LIMIT);
    let Some(bytes) = bytes else {
        return Err(Error::broken(path, format!("sizes {sizes:?} are more than {LIMIT} bytes")));
    };
    if bytes == 0 {
        return Err(Error::broken(path, format!("sizes {sizes:?}: nothing in it")));
    }
    let header = 4 * (dims as u64 + 1);
    if let Some(total) = total.filter(|&total| total != header + bytes) {
        let problem = format!("it has {total} bytes, its header says {}", header + bytes);
        return Err(Error::broken(path, problem));
    }
    let mut data = vec![];
    from.take(bytes).read_to_end(&mut data).map_err(cut)?;
    if (data.len() as u64) < bytes {
        return Err(Error::broken(path, format!("cut off after {} of {bytes} bytes", data.len())));
    }
    // One more byte: that there is none, and (gzip) that the checksum is right.
    match from.read(&mut [0]).map_err(cut)? {
        0 => Ok((sizes.into_iter().map(i64::from).collect(), data)),
        _ => Err(Error::broken(path, "more data than its header says")),
    }
}
