//! A file system that is soon full: a few KiB of memory, mounted where nobody else sees it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Mounts and stays, as the mount does with it, until standard input ends.
const HOLDER: &str = r#"mount -t tmpfs -o "size=$1k" tmpfs "$0" && echo mounted && exec cat"#;

/// A small disk, gone when this is dropped.
pub(crate) struct Disk {
    holder: Child,
    root: PathBuf,
}

impl Disk {
    /// One of so many KiB over a folder; `None`, and the reason on standard error, where the system lets nobody mount.
    pub(crate) fn mount(folder: &Path, kib: u32) -> Option<Self> {
        // As an owner of the namespace; where such may not be made, as root.
        for namespaces in ["-rm", "-m"] {
            let started = Command::new("unshare")
                .args([namespaces, "sh", "-c", HOLDER])
                .arg(folder)
                .arg(kib.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut holder) = started else { continue };
            let mut said = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
            // Seen through its holder: this process is in another namespace.
            let root = format!("/proc/{}/root{}", holder.id(), folder.display()).into();
            let disk = Self { holder, root };
            if said == "mounted\n" && fs::read_dir(&disk.root).is_ok() {
                return Some(disk);
            }
        }
        eprintln!("skipped: no file system can be mounted here (unshare, mount)");
        None
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Fills it up but for so many KiB.
    pub(crate) fn leave_kib(&self, kib: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        let full = loop {
            match filler.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let bytes = filler.metadata().unwrap().len();
        filler.set_len(bytes - kib * 1024).unwrap();
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.root.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
