//! `faces-serve`: the outermost crate. It owns the wire twins of the domain's types, the clock, the sockets and the command line.
//!
//! [`engine`] is the served code; [`grpc`] and [`eval`] are two callers of it. [`server`] wires the process together.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod admin_http;
pub mod archive;
pub mod background;
pub mod causes;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod demo;
mod encoded;
pub mod engine;
pub mod eval;
pub mod follow;
pub mod grpc;
pub mod images;
pub mod index_bench;
pub mod logs;
pub mod metrics;
pub mod mirrored;
pub mod open_files;
pub mod overload;
pub mod oversight;
pub mod own_model;
pub mod publish;
pub mod rows;
pub mod rules;
pub mod seed;
pub mod server;
pub mod serving;
pub mod shared;
pub mod shutdown;
pub mod simulate;
pub mod swap;
