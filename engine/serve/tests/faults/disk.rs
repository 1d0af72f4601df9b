//! The disk of the images is full for a while.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    form::form,
    house::{House, calls::ask, eventually, faces_says},
    traffic::{BUS, Traffic},
    verdict::{counts, must_hold},
};

/// Mounts a few MiB of memory, and gives them back when standard input ends, which it does however the test ends.
const MINDER: &str = r#"mount -t tmpfs -o size=2m,mode=700 faces-test "$0" || exit 1; echo mounted; read -r _; umount -l "$0""#;

const WRITTEN: &str = "faces_state_images_total{outcome=\"written\"}";
const FAILED: &str = "faces_state_images_total{outcome=\"failed\"}";

/// A folder on a disk of its own, a very small one.
struct SmallDisk {
    folder: tempfile::TempDir,
    minder: Child,
}

impl SmallDisk {
    /// `None`, and the reason on standard error, where mounting is not allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("disk-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut minder = Command::new("sh")
            .args(["-c", MINDER])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(minder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.trim() == "mounted" {
            return Some(Self { folder, minder });
        }
        let mut why = String::new();
        minder.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        minder.wait().unwrap();
        eprintln!("skipped: no small disk can be mounted to fill it: {}", why.trim());
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room there is left.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        let mut bytes = 64 << 10;
        while bytes > 0 {
            if filler.write(&vec![0; bytes]).is_err() {
                bytes /= 2;
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.minder.stdin.take());
        self.minder.wait().ok();
    }
}

/// The numbers of the images in a folder, newest first.
fn images(folder: &Path) -> Vec<u64> {
    let said = faces_says(&["state", "show", "--verify", "--json", "--folder", folder.to_str().unwrap()]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["damaged"].as_array().map(Vec::len), Some(0), "{said}");
    said["images"].as_array().unwrap().iter().map(|image| image["image"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_images_and_nothing_else() {
    let test = "disk";
    let Some(disk) = SmallDisk::mount() else { return };
    let folder = disk.path().join("state");
    let Some(mut house) = House::open(&BUS, &["state.image_seconds=1", &format!("state.folder={}", folder.display())]).await
    else {
        return;
    };
    let mut clients = house.clients().await;
    let traffic = Traffic::start(&house, form().seed_of(test));
    for round in 0..form().of(1, 3) {
        let before = house.metric(WRITTEN);
        eventually("images", async || (house.metric(WRITTEN) > before + 1).then_some(())).await;
        let failed = house.metric(FAILED);
        disk.fill();
        form().say(test, &format!("round {round}: full"));
        eventually("images to fail", async || {
            disk.fill(); // also with what the failure gave back
            (house.metric(FAILED) > failed + 1).then_some(())
        })
        .await;
        let stands = images(&folder);
        assert!(!stands.is_empty(), "the image before stands");
        let applied = counts(&house).await.consumed;
        traffic.more(100).await;
        eventually("ingest to go on", async || (counts(&house).await.consumed > applied).then_some(())).await;
        clients.slate(ask(&[], BUS[0])).await; // fails if it is not answered
        if round % 2 == 1 {
            house.kill(); // the image before is all there is
            house.start().await;
            clients = house.clients().await;
            assert!(house.server_log().contains("state loaded"), "{}", house.server_log());
        }
        let written = house.metric(WRITTEN);
        disk.free();
        form().say(test, &format!("round {round}: room again; image {} stood", stands[0]));
        eventually("the next image", async || (house.metric(WRITTEN) > written).then_some(())).await;
        assert!(images(&folder)[0] > stands[0]);
    }
    let written = traffic.end().await;
    house.kill();
    house.start().await;
    assert!(house.server_log().contains("state loaded"), "{}", house.server_log());
    must_hold(test, &house, &written).await;
    house.stop().await; // before its disk goes
}
