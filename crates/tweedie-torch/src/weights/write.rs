//! Writing: whole or not at all, and the same bytes for the same tensors.

use super::to_dtype;
use crate::{Error, Result, tensor};
use safetensors::Dtype;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tch::{Kind, Tensor};

/// A tensor on its way to the file.
struct Item<'a> {
    name: &'a str,
    tensor: &'a Tensor,
    kind: Kind,
    dtype: Dtype,
}

/// Writes tensors to a safetensors file that appears whole or not at all, floating-point ones in
/// `kind` if one is given. Tensors of wider kinds come first, then names in order, as in every such
/// file, and the notes are sorted: the same input gives the same bytes. One tensor at a time is
/// copied.
///
/// # Errors
/// If a name comes twice or is the format's own, a kind has no counterpart or no room for a value,
/// or the file cannot be written. What was there before is still there then.
pub fn save<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: &BTreeMap<String, String>,
    kind: Option<Kind>,
) -> Result<()> {
    let mut items = Vec::new();
    for (name, tensor) in tensors {
        let kind = match kind {
            Some(kind) if tensor.is_floating_point() => kind,
            _ => tensor.f_kind()?,
        };
        items.push(Item { name, tensor, kind, dtype: to_dtype(kind)? });
    }
    items.sort_by_key(|item| (Reverse(item.dtype), item.name));
    let header = header(&items, metadata)?;
    replace(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let io = |e| Error::file(path)(e);
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(header.as_bytes()).map_err(io)?;
        for item in &items {
            out.write_all(&bytes(item)?).map_err(io)?;
        }
        out.flush().map_err(io)
    })
}

/// The JSON in front, padded so that the numbers are aligned.
fn header(items: &[Item<'_>], metadata: &BTreeMap<String, String>) -> Result<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut taken = std::collections::HashSet::from(["__metadata__"]);
    let mut fields = Vec::new();
    if !metadata.is_empty() {
        let notes: Vec<String> =
            metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
        fields.push(format!("\"__metadata__\":{{{}}}", notes.join(",")));
    }
    let mut from = 0;
    for Item { name, tensor, kind, dtype } in items {
        if !taken.insert(*name) {
            return Err(Error::invalid("a tensor's name", name, "one that is not taken"));
        }
        let shape = tensor.size();
        let to = from + tensor::elements(&shape)? * kind.elt_size_in_bytes();
        fields.push(format!(
            r#"{}:{{"dtype":"{dtype}","shape":{},"data_offsets":[{from},{to}]}}"#,
            quoted(name),
            serde_json::Value::from(shape)
        ));
        from = to;
    }
    let mut header = format!("{{{}}}", fields.join(","));
    let padding = header.len().next_multiple_of(8) - header.len();
    let _ = write!(header, "{:padding$}", "");
    Ok(header)
}

fn bytes(item: &Item<'_>) -> Result<Vec<u8>> {
    let t = item.tensor.f_to_kind(item.kind)?;
    // 65504 is the largest of f16: what lies beyond would come back infinite.
    if item.kind == Kind::Half && !tensor::all_finite(&t)? && tensor::all_finite(item.tensor)? {
        let found = format!("f16, too narrow for {}", item.name);
        return Err(Error::invalid("the kind on disk", found, "one whose range holds all values"));
    }
    tensor::to_bytes(&t)
}

/// Writes a file through a temporary one beside it, which is synced and renamed at the end.
pub fn atomically(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    replace(path, |file| write(file).map_err(Error::file(path)))
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tweedie-");
    // As readable as the user's mask lets every new file be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Dropped before it is renamed, as after every error, the temporary file is deleted.
    let mut file = builder.tempfile_in(folder).map_err(Error::file(path))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all().map_err(Error::file(path))?;
    file.persist(path).map_err(|e| Error::file(path)(e.error))?;
    // The rename itself lasts through a power cut once the folder is synced; not every file system
    // lets one, and the file is whole either way.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}
