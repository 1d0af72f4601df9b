//! Which running server a command asks.

use clap::Args;

use crate::{client::url_of_listener, config::Config};

/// The server to ask.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// Server to ask, e.g. http://127.0.0.1:50051; default: server.grpc_address of the configuration.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl ServerArgs {
    /// Its URL or address.
    #[must_use]
    pub fn url(&self, config: &Config) -> String {
        self.server.clone().unwrap_or_else(|| url_of_listener(config.server.grpc_address))
    }
}
