//! `faces` as a process that can't outlive the test, and the smallest HTTP client there is.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Kills the process and removes its folder when standard input ends, which it does however the test ends; else hands on its exit code.
const MINDER: &str = r#"
exec 3<&0
log=$1 folder=$2
shift 2
"$@" </dev/null >"$log" 2>&1 3<&- &
process=$!
echo $process
{ read -r _ <&3; trap "" TERM; kill -9 $process; rm -rf "$folder"; } >/dev/null 2>&1 &
watcher=$!
wait $process
status=$?
kill $watcher
exit $status
"#;

/// Name of the log of a server's n-th start.
pub(crate) fn log_name(number: u32) -> String {
    format!("faces-{number}.log")
}

/// A running `faces`.
pub(crate) struct Process {
    shell: Child,
    _alive: ChildStdin, // what the minder watches
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `faces` with `arguments`; output goes to a log in `folder`.
    pub(crate) fn start(arguments: &[String], folder: &Path, number: u32) -> Self {
        let log = folder.join(log_name(number));
        let mut shell = Command::new("sh")
            .args(["-c", MINDER, "minder"])
            .arg(&log)
            .arg(folder)
            .arg(env!("CARGO_BIN_EXE_faces"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let alive = shell.stdin.take().unwrap();
        Self { shell, _alive: alive, pid: line.trim().parse().unwrap(), log }
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.shell.try_wait().unwrap()
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        signal("TERM", self.pid);
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        signal("KILL", self.pid);
        self.shell.wait().unwrap();
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success(), "can't send {name} to {pid}");
}

/// Status and body of `http://address/page`; `None` when nobody answers.
pub(crate) fn http_get(address: SocketAddr, page: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(connection, "GET {page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
