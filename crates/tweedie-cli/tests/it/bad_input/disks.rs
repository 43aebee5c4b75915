//! Disks that are full: a small file system in memory, which takes root to mount.

use super::refused;
use crate::support::{SMALL, copy, swissroll, tweedie};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A file system of so many kilobytes, unmounted when it is dropped.
struct Disk(TempDir);

impl Disk {
    /// None where mounting is not allowed.
    fn of(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tweedie-test"]).arg(folder.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("left out: a small file system cannot be mounted here (it takes root)");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all that is free but so many bytes.
    fn fill(&self, but: u64) {
        let path = self.path().join("filler");
        let mut filler = fs::File::create(&path).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(but)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

const FULL: &str = "No space left on device";

#[test]
fn a_full_disk_costs_no_picture_that_is_there() {
    let Some(disk) = Disk::of(512) else { return };
    let run = swissroll().display();
    for format in ["png", "gif", "safetensors"] {
        let name = format!("a.{format}");
        fs::write(disk.path().join(&name), "earlier").unwrap();
        disk.fill(0);
        let typed = format!("sample {run} -n 2000 --steps 2 -o {name}");
        refused(disk.path(), &typed, 1, &[&name, FULL]);
        assert_eq!(fs::read_to_string(disk.path().join(&name)).unwrap(), "earlier");
        disk.free();
        let left = fs::read_dir(disk.path()).unwrap().count();
        assert_eq!(left, 1, "{name}: something else is left");
        fs::remove_file(disk.path().join(&name)).unwrap();
    }
    disk.fill(0);
    refused(disk.path(), "schedule cosine -o a.png", 1, &["a.png", FULL]);
}

/// Training stops with one sentence wherever the disk is full, and goes on once there is room:
/// the end is the same, in every byte.
#[test]
fn a_full_disk_costs_no_checkpoint_that_is_there() {
    let Some(disk) = Disk::of(512) else { return };
    let run = disk.path().join("run");
    for free in [0, 4096, 8192, 12288] {
        copy(swissroll(), &run);
        fs::remove_dir_all(run.join("checkpoints/step-000020")).unwrap();
        disk.fill(free);
        refused(disk.path(), "train --resume run", 1, &["run/", FULL]);
        disk.free();
        tweedie(disk.path()).args(["train", "--resume", "run"]).assert().success();
        let end =
            |run: &Path| fs::read(run.join("checkpoints/step-000020/model.safetensors")).unwrap();
        assert!(end(&run) == end(swissroll()), "with {free} bytes free");
        fs::remove_dir_all(&run).unwrap();
    }
}

/// What a run that never began leaves behind does not stand in the way of the next.
#[test]
fn a_run_that_found_no_room_can_begin_again() {
    let Some(disk) = Disk::of(512) else { return };
    let typed = format!("train swissroll steps=3 --run run {}", SMALL.join(" "));
    for free in [0, 8192] {
        disk.fill(free);
        refused(disk.path(), &typed, 1, &["run", FULL]);
        disk.free();
    }
    tweedie(disk.path()).args(typed.split_whitespace()).assert().success();
}
