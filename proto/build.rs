//! Compiles `faces/v1/*.proto` without `protoc`: types and services, proto3 JSON, and the descriptor set for reflection.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 7] = [
    "faces/v1/common.proto",
    "faces/v1/events.proto",
    "faces/v1/identity.proto",
    "faces/v1/catalog.proto",
    "faces/v1/recommendation.proto",
    "faces/v1/profile.proto",
    "faces/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=faces");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["."])?;
    let encoded = descriptors.encode_to_vec();
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("faces_v1_descriptor.bin"), &encoded)?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.ignore_unknown_fields().build(&[".faces.v1"])?;
    Ok(())
}
