//! What must hold through faults, over real processes: servers killed, brokers killed, networks cut, disks full, files damaged, topics
//! made anew.
//!
//! While a fault happens, a producer writes random records ([`traffic`]). When the log is quiet, the state must be what the set of records
//! says ([`verdict`]): nothing lost, nothing twice. It is compared, by digest and at equal positions, with a server that reads the whole
//! log from its beginning, and with the records applied in this process in another order.
//!
//! `cargo test -p faces-serve --test faults` runs the short form. The long form, which says what it does:
//!
//! ```text
//! FACES_FAULTS=long cargo test -p faces-serve --test faults -- --nocapture --test-threads 2
//! ```
//!
//! It prints its seed; `FACES_FAULTS_SEED=n` uses that one again (what is written and what is damaged then repeats; how processes interleave
//! does not). `FACES_TEST_DURABLE_BROKER=/path/to/tansu` names a broker that keeps its data (see `faces_testbroker`), without which the
//! tests that kill the broker and that add partitions are skipped. The test of a full disk mounts 2 MiB of memory, for which it needs to be root.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod broker;
mod cut;
mod damage;
mod disk;
mod form;
#[path = "../house/mod.rs"]
mod house;
mod kill;
mod log_anew;
mod oracle;
mod partitions;
mod proxy;
mod replicas;
mod stop;
mod traffic;
mod verdict;
