//! A scheduler and two executors as processes: the tables are those of one process, also when an executor is lost.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::lake::{Lake, contents};
use faces_rebuild::{TrainParams, prepared::PreparedManifest};

/// Longest wait for a process to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(lake: &Lake, args: &[&str]) -> Self {
        let command = &mut Command::new(env!("CARGO_BIN_EXE_faces-lake"));
        Self(command.args(args).current_dir(lake.root.path()).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Waits until it answers at an address.
    fn wait_for(&mut self, address: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert_eq!(self.0.try_wait().unwrap(), None, "it ended before it answered at {address}");
            assert!(Instant::now() < deadline, "no answer at {address} within {} s", PATIENCE.as_secs());
            sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn executor(lake: &Lake, scheduler: SocketAddr, work: &str) -> Running {
    let (results, calls) = (free_address(), free_address());
    let [scheduler, port, grpc_port] = [scheduler.to_string(), results.port().to_string(), calls.port().to_string()];
    let ports = ["--port", &port, "--grpc-port", &grpc_port];
    let args = [&["executor", "--scheduler", &scheduler, "--work", work, "--tasks", "1"][..], &ports].concat();
    let mut running = Running::start(lake, &args);
    running.wait_for(results);
    running
}

/// Prepares on the cluster. Returns what was prepared, and what went to standard error.
fn prepare(lake: &Lake, scheduler: SocketAddr) -> (PreparedManifest, String) {
    let cluster = format!("df://{scheduler}");
    let files = ["--events", "events", "--items", "items.csv", "--links", "links.csv", "--out", "on-cluster"];
    let command = &mut Command::new(env!("CARGO_BIN_EXE_faces-lake"));
    let command = command.arg("prepare").args(files).args(["--cluster", &cluster, "--threads", "2", "--json"]);
    let done = command.current_dir(lake.root.path()).output().unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    (serde_json::from_slice(&done.stdout).unwrap(), errors)
}

#[test]
fn an_executor_that_is_lost_changes_nothing() {
    let lake = Lake::of_one_day();
    let alone = lake.prepare(&lake.request(&TrainParams::default())).unwrap();

    let scheduler = free_address();
    let mut scheduler_runs = Running::start(&lake, &["scheduler", "--listen", &scheduler.to_string()]);
    scheduler_runs.wait_for(scheduler);
    let mut lost = executor(&lake, scheduler, "lost");
    let (by_one, _) = prepare(&lake, scheduler); // it is known to the scheduler by now
    let _left = executor(&lake, scheduler, "left");
    let (by_both, errors) = prepare(&lake, scheduler);
    assert_eq!([contents(&by_one), contents(&by_both)], [contents(&alone), contents(&alone)]);
    assert!(!errors.contains("trying again"), "{errors}");

    // The scheduler does not know yet: it hands tasks to who is no more.
    lost.kill();
    let (without, errors) = prepare(&lake, scheduler);
    assert_eq!(contents(&without), contents(&alone));
    assert!(errors.contains("trying again"), "{errors}");
}
