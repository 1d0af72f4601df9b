//! A house with real parts for the end-to-end tests: a Kafka broker process over TCP, `faces serve` as a process of its own, and gRPC
//! clients over a socket. Nothing here reaches into the server: what a test knows, it knows from the outside.
//!
//! Tests wait for what they need (`eventually`), never for time to pass. One broker serves all tests of a test binary; each house has
//! its own topics.
#![allow(dead_code, reason = "each test binary uses its part of the house")]

pub(crate) mod calls;
pub(crate) mod clients;
pub(crate) mod disk;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod shops;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    time::{Duration, Instant},
};

use faces_ingest::{
    Cluster, LogRecord, LogWriter, Topics, WriterConfig,
    topics::{Layout, ensure},
};
use faces_testbroker::Broker;
use tempfile::TempDir;

use self::{clients::Clients, process::Process};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const PARTITIONS: i32 = 2;

/// The broker that all tests of this binary share; `None`, and the reason on standard error, when there is none.
pub(crate) fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    BROKER.get_or_init(Broker::start).as_ref()
}

/// Looks until there is something, every few milliseconds; fails with `what` when there was nothing in time.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs `faces` to its end.
pub(crate) fn faces(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faces")).args(arguments).output().unwrap()
}

/// Standard output of `faces`, which must succeed.
pub(crate) fn faces_says(arguments: &[&str]) -> String {
    let output = faces(arguments);
    assert!(output.status.success(), "faces {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Topics of a broker, a folder, and a server on both that can be killed and started again.
pub(crate) struct House {
    pub(crate) topics: Topics,
    pub(crate) writer: LogWriter,
    prefix: String,
    group: String,
    brokers: String,
    settings: Vec<String>,
    server: Option<Server>,
    starts: u32,
    folder: TempDir,
}

struct Server {
    process: Process,
    grpc: SocketAddr,
    admin: SocketAddr,
}

impl House {
    /// A house on the shared broker with topics for `bus`; the server is not started yet.
    pub(crate) async fn closed(bus: &[&str], settings: &[&str]) -> Option<Self> {
        Some(Self::closed_on(broker()?, bus, settings).await)
    }

    /// As [`Self::closed`], on a broker of the test's own.
    pub(crate) async fn closed_on(broker: &Broker, bus: &[&str], settings: &[&str]) -> Self {
        Self::closed_at(broker.address(), &broker.prefix(), bus, settings).await
    }

    /// As [`Self::closed`], on the broker at an address, with topics under `prefix`.
    pub(crate) async fn closed_at(brokers: &str, prefix: &str, bus: &[&str], settings: &[&str]) -> Self {
        let (prefix, brokers) = (prefix.to_owned(), brokers.to_owned());
        let topics = Topics::new(&prefix).unwrap();
        let layout = Layout { partitions: PARTITIONS, replication: 1 };
        ensure(&Cluster::at(&brokers), &topics, bus, layout).await.unwrap();
        let writer = LogWriter::new(&WriterConfig { brokers: brokers.clone(), ..WriterConfig::default() }).unwrap();
        let folder = tempfile::Builder::new().prefix("house-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let group = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        Self { topics, writer, prefix, group, brokers, settings, server: None, starts: 0, folder }
    }

    /// Another house on the same log: a replica, with a group and folders of its own.
    pub(crate) async fn beside(&self, settings: &[&str]) -> Self {
        Self::closed_at(&self.brokers, &self.prefix, &[], settings).await
    }

    /// A house whose server is ready.
    pub(crate) async fn open(bus: &[&str], settings: &[&str]) -> Option<Self> {
        let mut house = Self::closed(bus, settings).await?;
        house.start().await;
        Some(house)
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.launch().await;
        self.until_ready().await;
    }

    /// Waits until the server is ready.
    pub(crate) async fn until_ready(&mut self) {
        eventually("the server to be ready", async || {
            let server = self.server.as_mut().expect("it was launched");
            assert!(server.process.ended().is_none(), "the server ended: {}", server.process.log());
            (self.admin_get("/readyz")?.0 == 200).then_some(())
        })
        .await;
    }

    /// Starts the server and waits for its addresses only.
    pub(crate) async fn launch(&mut self) {
        let (mut process, addresses) = self.spawn();
        let found = eventually("the server's addresses", async || {
            assert!(process.ended().is_none(), "the server ended: {}", process.log());
            fs::read_to_string(&addresses).ok()
        })
        .await;
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let address = |name: &str| found[name].as_str().unwrap().parse().unwrap();
        self.server = Some(Server { grpc: address("grpc"), admin: address("admin"), process });
    }

    /// Starts the server, which must not come to serve; its exit code and what it wrote.
    pub(crate) async fn refusal(&mut self) -> (Option<i32>, String) {
        let (mut process, _) = self.spawn();
        let status = eventually("the server to give up", async || process.ended()).await;
        (status.code(), process.log())
    }

    /// Starts the server; the file that will have its addresses.
    fn spawn(&mut self) -> (Process, PathBuf) {
        assert!(self.server.is_none(), "the server runs already");
        self.starts += 1;
        let addresses = self.path(&format!("addresses-{}.json", self.starts));
        let mut arguments: Vec<String> = vec!["serve".into(), "--addresses-file".into(), addresses.display().to_string()];
        let own = [
            "server.grpc_address=127.0.0.1:0".to_owned(),
            "server.admin_address=127.0.0.1:0".to_owned(),
            format!("kafka.brokers={}", self.brokers),
            format!("kafka.topic_prefix={}", self.prefix),
            format!("kafka.group_id={}-{}", self.prefix, self.group),
            "kafka.discovery_ms=200".to_owned(),
            "kafka.watermark_ms=50".to_owned(),
            "server.deadline_ms_max=10000".to_owned(),   // tests run on busy machines
            "overload.remembered_fresh_ms=0".to_owned(), // and look at what others did a moment ago
            format!("state.folder={}", self.state().display()),
            format!("generations.folder={}", self.generations().display()),
            "generations.watch_ms=20".to_owned(),
        ];
        arguments.extend(own.into_iter().chain(self.settings.clone()).flat_map(|setting| ["--set".to_owned(), setting]));
        (Process::start(&arguments, self.folder.path(), self.starts), addresses)
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// SIGKILL: the server gets to do nothing more.
    pub(crate) fn kill(&mut self) {
        self.server.take().expect("the server runs").process.kill();
    }

    /// SIGTERM: the server is asked to drain.
    pub(crate) fn ask_to_stop(&self) {
        self.server().process.terminate();
    }

    /// Waits for the end of the server by itself; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut server = self.server.take().expect("the server runs");
        let status = eventually("the server to end", async || server.process.ended()).await;
        status.code()
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) async fn stop(&mut self) {
        self.ask_to_stop();
        assert_eq!(self.ended().await, Some(0), "{}", self.server_log());
    }

    /// What the server wrote to its log since its last start, whether it runs or not.
    pub(crate) fn server_log(&self) -> String {
        fs::read_to_string(self.path(&process::log_name(self.starts))).unwrap_or_default()
    }

    /// A number of the server's metrics, by its name and labels as they are shown; 0 if it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let shown = self.admin_get("/metrics").map(|page| page.1).unwrap_or_default();
        let value = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Clients on a new connection.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::connect(self.server().grpc).await
    }

    /// `http://host:port` of gRPC.
    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}", self.server().grpc)
    }

    /// Host and port of gRPC.
    pub(crate) fn grpc_address(&self) -> SocketAddr {
        self.server().grpc
    }

    /// Status and body of an admin page; `None` when nobody answers.
    pub(crate) fn admin_get(&self, page: &str) -> Option<(u16, String)> {
        process::http_get(self.server().admin, page)
    }

    /// Appends records to the log, past the server; partition and offset of each.
    ///
    /// One by one: the broker that tests run on gives the end of a partition as the first offset of its last batch, plus one.
    pub(crate) async fn write(&self, records: Vec<LogRecord>) -> Vec<(i32, i64)> {
        let mut written = Vec::with_capacity(records.len());
        for record in records {
            written.extend(self.writer.write(vec![record]).await.into_iter().map(|result| result.unwrap()));
        }
        written
    }

    /// The folder of the server's images, unless the settings name another.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// First part of the topics' names.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The folder that the server watches.
    pub(crate) fn generations(&self) -> PathBuf {
        self.path("generations")
    }

    /// A path inside the house's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bootstrap address of the broker.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }
}

/// Writes a file of lines.
pub(crate) fn write_lines(path: &Path, lines: impl IntoIterator<Item = String>) {
    let mut text = lines.into_iter().collect::<Vec<_>>().join("\n");
    text.push('\n');
    fs::write(path, text).unwrap();
}
