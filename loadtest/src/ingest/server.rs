//! A server of our own: started on loopback with a folder that goes with it, asked to stop by SIGTERM, never left behind.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    sync::PoisonError,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{error::IngestError, preload::Names};
use crate::cli::IngestArgs;

const OPEN_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_PAUSE: Duration = Duration::from_millis(5);
const LOG_BYTES_SHOWN: usize = 4_096;
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Mutex<Child>,
    pid: u32,
    admin: SocketAddr,
    durable: bool,
    folder: TempDir,
}

/// How a server ended.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Its exit code; `None` when it had to be killed or was.
    pub exit_code: Option<i32>,
    /// The end of its log.
    pub log: String,
}

impl Server {
    /// Starts `program serve` on the topics of `names` and waits for its ports.
    ///
    /// # Errors
    /// When it can't be started, ends, or does not open its ports.
    pub fn start(program: &Path, arguments: &IngestArgs, names: &Names) -> Result<Self, IngestError> {
        let folder = tempfile::Builder::new().prefix("faces-loadtest-").tempdir().map_err(IngestError::Folder)?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut settings = vec![
            "server.grpc_address=127.0.0.1:0".to_owned(),
            "server.admin_address=127.0.0.1:0".to_owned(),
            format!("kafka.brokers={}", arguments.brokers),
            format!("kafka.topic_prefix={}", names.prefix),
            format!("kafka.group_id={}-{}", names.prefix, std::process::id()),
            format!("generations.folder={}", path("generations")),
        ];
        let named = arguments.settings.iter().any(|setting| setting.starts_with("state.folder="));
        let state = format!("state.folder={}", path("state"));
        let durable = named || knows(program, &state, folder.path());
        if durable && !named {
            settings.push(state);
        }
        settings.extend(arguments.settings.iter().cloned());

        let addresses = folder.path().join("addresses.json");
        let start_error = |source| IngestError::Start { program: program.to_owned(), source };
        let log = File::create(folder.path().join("server.log")).map_err(IngestError::Folder)?;
        let errors = log.try_clone().map_err(IngestError::Folder)?;
        let child = Command::new(program)
            .args(["serve", "--addresses-file"])
            .arg(&addresses)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(start_error)?;
        let pid = child.id();
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child: Mutex::new(child), pid, admin: unset, durable, folder };
        let deadline = Instant::now() + OPEN_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = server.ended() {
                return Err(IngestError::Ended { status: status.to_string(), log: server.log() });
            }
            if let Some(admin) = fs::read(&addresses).ok().and_then(|text| admin_of(&text)) {
                server.admin = admin;
                return Ok(server);
            }
            thread::sleep(LOOK_PAUSE);
        }
        Err(IngestError::NotOpen { seconds: OPEN_PATIENCE.as_secs(), log: server.log() })
    }

    /// Where its admin pages are.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it keeps state on disk.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.durable
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("server.log")).unwrap_or_default();
        let tail = bytes.get(bytes.len().saturating_sub(LOG_BYTES_SHOWN)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Asks it to stop and waits until it has.
    #[must_use]
    pub fn stop(self) -> Stopped {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| self.ended().is_none()) {
            kill_process(pid, Signal::TERM).ok(); // it may end just now
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK_PAUSE);
        }
        Stopped { exit_code: self.ended().and_then(|status| status.code()), log: self.log() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Whether the program knows a setting: every command reads the configuration first and refuses keys that it does not know.
fn knows(program: &Path, setting: &str, folder: &Path) -> bool {
    let mut probe = Command::new(program);
    probe.args(["generations", "list", "--set", setting, "--folder"]).arg(folder);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn admin_of(addresses: &[u8]) -> Option<SocketAddr> {
    let value: serde_json::Value = serde_json::from_slice(addresses).ok()?;
    value.get("admin")?.as_str()?.parse().ok()
}

/// Body of `http://address/page`, when it answers 200.
#[must_use]
pub fn page(address: SocketAddr, page: &str) -> Option<String> {
    let mut connection = TcpStream::connect_timeout(&address, PAGE_TIMEOUT).ok()?;
    connection.set_read_timeout(Some(PAGE_TIMEOUT)).ok()?;
    connection.set_write_timeout(Some(PAGE_TIMEOUT)).ok()?;
    write!(connection, "GET {page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_good = head.lines().next()?.split(' ').nth(1)? == "200";
    is_good.then(|| body.to_owned())
}
