//! NumPy's `.npy` and `.npz`.

use crate::{Dataset, Error, Result};
use npyz::{DType, NpyFile};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// The most numbers that an array may have: the header is not trusted.
const LIMIT: u64 = 1 << 31;

/// The array of a `.npy` file: `f32`, `f64` (as `f32`), bytes or integers (as `i64`).
pub fn read(path: &Path) -> Result<Tensor> {
    let file = File::open(path).map_err(Error::file(path))?;
    let bytes = file.metadata().map_err(Error::file(path))?.len();
    parse(path, BufReader::new(file), bytes)
}

/// One array of a `.npz` file.
pub fn read_npz(path: &Path, name: &str) -> Result<Tensor> {
    let broken = |e: std::io::Error| Error::broken(path, format!("not a npz file: {e}"));
    let mut archive = open(path)?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut data = vec![];
    let Some(mut entry) = archive.zip_archive().by_name(&format!("{name}.npy")).ok() else {
        return Err(Error::broken(path, format!("no array {name}; it has {}", names.join(", "))));
    };
    (&mut entry).take(LIMIT * 8 + 4096).read_to_end(&mut data).map_err(broken)?;
    parse(path, &data[..], data.len() as u64)
}

/// Images and perhaps labels in the layout of ADM's reference batches and samples (Dhariwal and
/// Nichol, arXiv:2105.05233): `arr_0` holds bytes `[n, height, width, 3]` (or 1 channel), `arr_1`
/// a label each; what else there is, is left alone.
pub fn image_set(path: &Path) -> Result<Dataset> {
    let images = read_npz(path, "arr_0")?;
    let size = images.size();
    if images.kind() != Kind::Uint8 || !matches!(size[..], [_, _, _, 1 | 3]) {
        let problem = format!(
            "arr_0 is {:?} {size:?}, expected Uint8 [n, height, width, 3], or 1 for grey",
            images.kind()
        );
        return Err(Error::broken(path, problem));
    }
    if size.contains(&0) {
        return Err(Error::broken(path, format!("arr_0 is {size:?}: nothing in it")));
    }
    let labels = match names(path)?.iter().any(|name| name == "arr_1") {
        true => Some(labels(path, size[0])?),
        false => None,
    };
    Dataset::new(images.permute([0, 3, 1, 2]).contiguous(), labels)
}

fn labels(path: &Path, n: i64) -> Result<Tensor> {
    let labels = read_npz(path, "arr_1")?;
    let (size, kind) = (labels.size(), labels.kind());
    let whole = matches!(kind, Kind::Int64 | Kind::Uint8);
    if size != [n] || !whole {
        let problem = format!("arr_1 is {kind:?} {size:?}, expected [{n}] whole numbers");
        return Err(Error::broken(path, problem));
    }
    let least = labels.min().int64_value(&[]);
    if least < 0 {
        return Err(Error::broken(path, format!("arr_1 has a label {least}, expected at least 0")));
    }
    Ok(labels.to_kind(Kind::Int64))
}

/// The names of the arrays of a `.npz` file.
pub fn names(path: &Path) -> Result<Vec<String>> {
    Ok(open(path)?.array_names().map(str::to_owned).collect())
}

fn open(path: &Path) -> Result<npyz::npz::NpzArchive<BufReader<File>>> {
    if !path.is_file() {
        File::open(path).map_err(Error::file(path))?;
        return Err(Error::broken(path, "it is not a file"));
    }
    let broken = |e: std::io::Error| Error::broken(path, format!("not a npz file: {e}"));
    npyz::npz::NpzArchive::open(path).map_err(broken)
}

/// The header of a file is within so many bytes.
const HEAD: u64 = 4096;

/// npyz multiplies the sizes without a look: see first that their product is a number.
fn check_sizes(path: &Path, head: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(head);
    let Some(shape) =
        text.split("'shape'").nth(1).and_then(|s| s.split_once('(')?.1.split(')').next())
    else {
        return Ok(()); // no header at all: npyz says so better
    };
    let sizes = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
    let product = sizes.map(|s| s.parse::<u64>().ok()).try_fold(1_u64, |n, s| n.checked_mul(s?));
    match product.filter(|&n| n <= LIMIT) {
        Some(_) => Ok(()),
        None => Err(Error::broken(path, format!("a npy file of shape ({shape}) does not fit"))),
    }
}

fn parse(path: &Path, reader: impl Read, bytes: u64) -> Result<Tensor> {
    let broken = |e: std::io::Error| Error::broken(path, format!("not a whole npy file: {e}"));
    let mut reader = reader;
    let mut head = vec![];
    (&mut reader).take(HEAD).read_to_end(&mut head).map_err(broken)?;
    check_sizes(path, &head)?;
    let file = NpyFile::new(head.chain(reader)).map_err(broken)?;
    let shape: Vec<i64> = file.shape().iter().map(|&s| s as i64).collect();
    let count = file.shape().iter().try_fold(1_u64, |n, &s| n.checked_mul(s));
    let fits = count.is_some_and(|n| n <= LIMIT && n <= bytes);
    if !fits {
        let problem = format!("shape {shape:?} does not fit in a file of {bytes} bytes");
        return Err(Error::broken(path, problem));
    }
    if file.order() == npyz::Order::Fortran {
        return Err(Error::broken(path, "Fortran order: save it with numpy.ascontiguousarray"));
    }
    let DType::Plain(kind) = file.dtype() else {
        return Err(Error::broken(path, "a record type, expected numbers"));
    };
    let kind = kind.to_string();
    let kind = kind.trim_matches('\'').trim_start_matches(['<', '|', '=']).to_owned();
    Ok(match kind.as_str() {
        "f4" => tensor::from_f32(&file.into_vec().map_err(broken)?, &shape)?,
        "f8" => {
            let values: Vec<f64> = file.into_vec().map_err(broken)?;
            tensor::from_f64(&values, &shape)?.to_kind(Kind::Float)
        }
        "u1" => tensor::from_u8(&file.into_vec().map_err(broken)?, &shape)?,
        "i8" => tensor::from_i64(&file.into_vec().map_err(broken)?, &shape)?,
        "i4" => {
            let values: Vec<i32> = file.into_vec().map_err(broken)?;
            let values: Vec<i64> = values.into_iter().map(i64::from).collect();
            tensor::from_i64(&values, &shape)?
        }
        other => {
            return Err(Error::broken(
                path,
                format!("type {other}, expected f4, f8, u1, i4 or i8"),
            ));
        }
    })
}
