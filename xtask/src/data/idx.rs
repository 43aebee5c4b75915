//! A look at an IDX file: right magic, right shape, every byte there.
//!
//! The reader that training uses is in tweedie-data; this one knows beforehand
//! what it should find.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;

/// What a gzipped IDX file of unsigned bytes should hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// Its name, with `.gz`.
    pub(crate) name: &'static str,
    /// Its shape; the number of dimensions is part of the magic number.
    pub(crate) shape: &'static [u32],
}

/// Reads the whole file and compares it with what is expected.
///
/// # Errors
/// Naming the file, what it should hold and what it holds.
pub(crate) fn check(path: &Path, expected: &Expected) -> Result<()> {
    let file =
        fs::File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    check_stream(MultiGzDecoder::new(std::io::BufReader::new(file)), expected)
        .with_context(|| format!("{} is not Fashion-MNIST's {}", path.display(), expected.name))
}

fn check_stream(mut stream: impl Read, expected: &Expected) -> Result<()> {
    let mut word = || -> Result<u32> {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).context("it is cut short or no gzip file")?;
        Ok(u32::from_be_bytes(bytes))
    };
    // Third byte 8: unsigned bytes; fourth: the number of dimensions.
    let dims = u32::try_from(expected.shape.len())?;
    let (magic, wanted) = (word()?, 0x0800 | dims);
    if magic != wanted {
        bail!("its magic number is {magic:#010x}, expected {wanted:#010x}");
    }
    let mut shape = Vec::new();
    for _ in expected.shape {
        shape.push(word()?);
    }
    if shape != expected.shape {
        bail!("its shape is {shape:?}, expected {:?}", expected.shape);
    }
    let wanted: u64 = shape.iter().map(|&n| u64::from(n)).product();
    let found = std::io::copy(&mut stream, &mut std::io::sink())
        .context("it is cut short or broken inside")?;
    if found != wanted {
        bail!("it holds {found} values, expected {wanted}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LABELS: Expected = Expected { name: "labels.gz", shape: &[3] };

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn complaint(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.gz");
        fs::write(&path, bytes).unwrap();
        format!("{:#}", check(&path, &LABELS).unwrap_err())
    }

    #[test]
    fn every_way_of_being_wrong_is_told() {
        let good = [0, 0, 8, 1, 0, 0, 0, 3, 7, 7, 7];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.gz");
        fs::write(&path, gz(&good)).unwrap();
        check(&path, &LABELS).unwrap();

        let mut magic = good;
        magic[3] = 3;
        assert!(complaint(&gz(&magic)).contains("magic number is 0x00000803"));
        let mut count = good;
        count[7] = 4;
        assert!(complaint(&gz(&count)).contains("shape is [4], expected [3]"));
        assert!(complaint(&gz(&good[..10])).contains("holds 2 values, expected 3"));
        assert!(complaint(&gz(&[&good[..], &[1]].concat())).contains("holds 4 values"));
        assert!(complaint(&gz(&good[..6])).contains("cut short"));
        assert!(complaint(b"<html>").contains("no gzip file"));
        assert!(complaint(b"").contains("cut short"));
        let whole = gz(&good);
        assert!(complaint(&whole[..whole.len() - 4]).contains("cut short or broken"));
    }
}
