//! TensorBoard's event files, as far as scalars go.
//!
//! A file is a row of TFRecords: the length (8 bytes, little-endian), its masked CRC-32C, the
//! content, its masked CRC-32C. The content is an `Event` of `event.proto`, written out here field
//! by field: the crates that do it bring a compiler of protocol buffers along.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of events that grows; every record is handed to the system at once.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder`, which is made if need be. TensorBoard drops from earlier files of
    /// the folder what was written of steps after `step`, for they are taken again.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let time = wall_time();
        let process = std::process::id();
        let path = folder.join(format!("events.out.tfevents.{time:.6}.tweedie.{process}"));
        let file = OpenOptions::new().create_new(true).write(true).open(&path);
        let mut events = EventFile { file: file.map_err(Error::file(&path))?, path };
        events.write(&[double(1, time), bytes(3, b"brain.Event:2")].concat())?;
        // SessionLog { status: START }: everything at this step and later is void.
        let start = [double(1, time), integer(2, step + 1), bytes(7, &integer(1, 1))].concat();
        events.write(&start)?;
        Ok(events)
    }

    /// Numbers at a step.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let value = |(tag, value): (&str, f64)| {
            // Value { tag, simple_value }
            bytes(1, &[bytes(1, tag.as_bytes()), float(2, value as f32)].concat())
        };
        let summary: Vec<u8> = values.into_iter().flat_map(value).collect();
        self.write(&[double(1, wall_time()), integer(2, step), bytes(5, &summary)].concat())
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).map_err(Error::file(&self.path))
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// A TFRecord.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let crc = |bytes: &[u8]| masked(crc32c(bytes)).to_le_bytes();
    [&length[..], &crc(&length), content, &crc(content)].concat()
}

/// TensorFlow's mask: a checksum that holds checksums would be a weak one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: events are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// A varint of protocol buffers: seven bits a byte, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field's number and the kind of what follows.
fn key(field: u64, wire: u64) -> Vec<u8> {
    varint(field << 3 | wire)
}

fn integer(field: u64, value: u64) -> Vec<u8> {
    [key(field, 0), varint(value)].concat()
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [&key(field, 1)[..], &value.to_le_bytes()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [&key(field, 5)[..], &value.to_le_bytes()].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [&key(field, 2)[..], &varint(value.len() as u64), value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4, and the check value of the polynomial.
    #[test]
    fn checksums_are_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        // The checksum of the length 24, as every file of TensorFlow's own begins.
        assert_eq!(masked(crc32c(&24u64.to_le_bytes())).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn numbers_are_those_of_protocol_buffers() {
        assert_eq!(integer(1, 150), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(2, b"testing"), b"\x12\x07testing");
        assert_eq!(integer(2, u64::MAX).len(), 11);
        assert_eq!(float(2, 1.0), [0x15, 0, 0, 0x80, 0x3f]);
    }

    /// A reader that knows nothing of the writer.
    #[test]
    fn records_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 7).unwrap();
        events.scalars(8, [("loss", 0.5), ("lr", 1e-3)]).unwrap();
        let file = fs::read(&events.path).unwrap();
        let (mut rest, mut contents) = (&file[..], vec![]);
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let n = u64::from_le_bytes(*length) as usize;
            assert_eq!(after[..4], masked(crc32c(length)).to_le_bytes());
            let (content, after) = after[4..].split_at(n);
            assert_eq!(after[..4], masked(crc32c(content)).to_le_bytes());
            contents.push(content.to_vec());
            rest = &after[4..];
        }
        assert!(rest.is_empty());
        let [version, start, scalars] = &contents[..] else { panic!("{contents:?}") };
        assert!(version.ends_with(b"\x1a\x0dbrain.Event:2"));
        assert!(start.ends_with(&[0x10, 8, 0x3a, 2, 0x08, 1]));
        let loss = b"\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f";
        assert!(scalars.windows(loss.len()).any(|w| w == loss));
    }
}
