//! A TCP proxy on loopback that can be cut: connections are reset, or bytes go nowhere.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

const CHUNK_BYTES: usize = 64 << 10;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// They pass.
    Whole,
    /// Every connection is reset, new ones at once.
    Reset,
    /// Nothing passes, and nobody is told: like a cable pulled out. What was sent arrives when the line is whole again.
    Silent,
}

/// A listening proxy; ends with its runtime.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    target: watch::Sender<Option<String>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, line_of_connections) = watch::channel(Line::Whole);
        let (target, target_of_connections) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, line_of_connections.clone(), target_of_connections.clone()));
            }
        });
        Self { address, line, target }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Says where bytes go.
    pub(crate) fn lead_to(&self, address: &str) {
        self.target.send_replace(Some(address.to_owned()));
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn connection(near: TcpStream, mut line: watch::Receiver<Line>, mut target: watch::Receiver<Option<String>>) {
    near.set_zero_linger().unwrap(); // closing it is a reset
    if line.wait_for(|line| *line != Line::Silent).await.is_err() || *line.borrow() == Line::Reset {
        return;
    }
    let Ok(target) = target.wait_for(Option::is_some).await.map(|target| target.clone().unwrap()) else { return };
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut is_reset = line.clone();
    tokio::select! {
        () = pump(near_in, far_out, line.clone()) => {}
        () = pump(far_in, near_out, line) => {}
        _ = is_reset.wait_for(|line| *line == Line::Reset) => {}
    }
}

/// Carries bytes one way until either end closes.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        if line.wait_for(|line| *line != Line::Silent).await.is_err() || to.write_all(&chunk[..bytes]).await.is_err() {
            return;
        }
    }
}
