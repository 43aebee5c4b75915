//! What a file is that is taken for a safetensors file and is none.

/// What the first bytes look like, with what to do about it.
pub(super) fn what_it_is(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(512)];
    let starts = |with: &[&[u8]]| with.iter().any(|w| head.starts_with(w));
    if starts(&[b"version https://git-lfs"]) {
        return Some("it is a git-lfs pointer: fetch the real file with `git lfs pull`");
    }
    if starts(&[b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"]) {
        return Some(
            "it is a pickle or zip of PyTorch, which can run code and is never read: convert it \
             with safetensors.torch.save_file(torch.load(f, weights_only=True), out)",
        );
    }
    if starts(&[b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"]) {
        return Some("it is compressed: unpack it first");
    }
    if starts(&[b"GGUF"]) {
        return Some("it is a GGUF file, which is not read: look for one in safetensors");
    }
    if starts(&[b"\x89HDF"]) {
        return Some("it is an HDF5 file of Keras, which is not read: look for safetensors");
    }
    if !head.is_empty() && head.iter().all(|&b| b == 0) {
        return Some("it is all zeros: room was made for it, and nothing was written");
    }
    let text = head.trim_ascii_start();
    let lower = text.to_ascii_lowercase();
    if lower.starts_with(b"<") || lower.windows(5).any(|w| w == b"<html") {
        return Some("it is a web page: the download went wrong, or needs you to log in");
    }
    if text.starts_with(b"{") && text[1..].trim_ascii_start().starts_with(b"\"") {
        return Some("it is JSON: the index of a model in parts, or the answer of a server");
    }
    None
}
