//! The public API of `faces`: package `faces.v1` as Rust types, gRPC clients and servers, proto3 JSON, and the descriptor set.
//!
//! This crate holds no logic and knows nothing of the engine; the `.proto` files beside it are the contract.
#![forbid(unsafe_code)]

/// Package `faces.v1`.
#[allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("faces.v1");
    include!(concat!(env!("OUT_DIR"), "/faces.v1.serde.rs"));

    /// Encoded `google.protobuf.FileDescriptorSet` of the package, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/faces_v1_descriptor.bin"));
}
