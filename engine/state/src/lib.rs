//! Durable images of the state: on local disk, and copies in an object store.
//!
//! A folder holds **segments** and **images**. Every cycle appends what changed since the image before (or, for some shards,
//! everything) to one new segment, and then writes an image: a small file that says which sections of which segments make up the
//! state, with their checksums, the log positions they belong to, and the lineage they are of. An image is written last and put in
//! place by a rename, so at any moment the newest image is whole, or absent. The one before it is kept with all that it needs: a
//! damaged newest image falls back to it, and the log supplies the rest, because records may be applied again ([`faces_core`]).
//!
//! The way through: [`ImageStore::open`] takes the folder (one process at a time), [`ImageStore::load`] fills an empty state,
//! [`ImageStore::write`] makes an image of a [`Cut`](faces_core::state::Cut). `section` describes the bytes, `plan` says when
//! a shard is written whole, `remote` carries images to an object store and back.
//!
//! **Must not know**: what a log is, what its positions mean (they are the caller's JSON), who serves, which events there are.
//!
//! Files in a folder, all numbers little-endian:
//!
//! | name | content |
//! |---|---|
//! | `lock` | process id of who writes here |
//! | `segment-<number>-<run>.bin` | 32 bytes: `FACESSEG`, format, 0, number, run; then sections back to back |
//! | `image-<number>-<run>.json` | `faces-image <format> <xxh3-64 of the rest> <bytes of the rest>\n`, then JSON |
//! | `*.tmp` | left by a crash; deleted |
//!
//! `<run>` is drawn at random by every process that writes, so files of different histories never share a name.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod error;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod load;
mod manifest;
mod plan;
mod remote;
mod section;
mod segment;
mod store;
mod verify;
mod write;

pub use self::{
    error::StateError,
    files::{Files, Operation},
    inspect::{ImageSummary, inspect, rewrite_positions},
    load::{Loaded, Progress, Stage},
    remote::{ObjectPlace, RemoteOptions, RemoteStatus},
    store::{ImageStore, Options},
    write::Written,
};
