//! Writing: whole or not at all, and the same bytes for the same tensors.

use super::to_dtype;
use crate::{Error, Result, tensor};
use safetensors::Dtype;
use safetensors::tensor::View;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tch::{Kind, Tensor};

/// A tensor's bytes on their way to the file.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// Writes tensors to a safetensors file that appears whole or not at all, floating-point ones in
/// `kind` if one is given.
///
/// # Errors
/// If a name comes twice, a kind has no counterpart, or the file cannot be written (then what was
/// there before is still there).
pub fn save<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: &BTreeMap<String, String>,
    kind: Option<Kind>,
) -> Result<()> {
    let mut views = BTreeMap::new();
    for (name, t) in tensors {
        let t = match kind {
            Some(kind) if t.is_floating_point() => t.f_to_kind(kind)?,
            _ => t.shallow_clone(),
        };
        let shape = t.size().iter().map(|&s| s as usize).collect();
        let bytes = Bytes { dtype: to_dtype(t.f_kind()?)?, shape, data: tensor::to_bytes(&t)? };
        if views.insert(name.to_owned(), bytes).is_some() {
            return Err(Error::invalid("a name", name, "one tensor a name"));
        }
    }
    // The format's own map is unordered; a single note keeps the bytes the same for every run.
    let notes = serde_json::to_string(metadata).unwrap_or_default();
    let notes = (!metadata.is_empty()).then(|| HashMap::from([("tweedie".to_owned(), notes)]));
    let data = safetensors::serialize(views, notes)
        .map_err(|e| Error::Broken { path: path.to_path_buf(), problem: e.to_string() })?;
    atomically(path, |file| file.write_all(&data))
}

/// Writes a file through a temporary one beside it, which is synced and renamed at the end.
pub fn atomically(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".tweedie-").tempfile_in(folder)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    work().map_err(Error::file(path))
}
