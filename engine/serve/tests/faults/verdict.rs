//! Whether the state is what the log says.

use std::{collections::BTreeMap, path::Path};

use faces_core::digest::Digest;
use faces_proto::v1;

use crate::{
    form::form,
    house::{House, clients::Clients, eventually, faces_says},
    oracle,
    traffic::Written,
};

/// A digest, by parts, and the positions it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) digest: String,
    /// Fragments, links, items, demand.
    pub(crate) parts: [String; 4],
    pub(crate) positions: BTreeMap<(String, i32), i64>,
}

impl Standing {
    /// Of a running server; `None` while an image is written.
    async fn of_server(clients: &mut Clients) -> Option<Self> {
        let answer = clients.admin.get_state_digest(v1::GetStateDigestRequest {}).await.ok()?.into_inner();
        let positions = answer.positions.into_iter().map(|at| ((at.topic, at.partition), at.position));
        let parts = [answer.fragments, answer.links, answer.items, answer.demand];
        Some(Self { digest: answer.digest, parts, positions: positions.collect() })
    }

    /// Of a folder, by `faces state digest`.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let said = faces_says(&["state", "digest", "--json", "--folder", folder.to_str().unwrap()]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let at = |at: &serde_json::Value| {
            let partition = i32::try_from(at["partition"].as_i64().unwrap()).unwrap();
            ((text(&at["topic"]), partition), at["next"].as_i64().unwrap())
        };
        Self {
            digest: text(&said["digest"]),
            parts: ["fragments", "links", "items", "demand"].map(|part| text(&said["parts"][part])),
            positions: said["positions"].as_array().unwrap().iter().map(at).collect(),
        }
    }

    /// Fails unless it is the state that a digest is of.
    pub(crate) fn must_be(&self, expected: &Digest, what: &str) {
        let parts = [expected.fragments, expected.links, expected.items, expected.demand].map(|part| format!("{part:032x}"));
        assert_eq!(self.parts, parts, "fragments, links, items, demand: {what}");
        assert_eq!(self.digest, expected.to_string(), "{what}");
    }

    fn has(&self, written: &Written) -> bool {
        written.ends.iter().all(|(partition, end)| self.positions.get(partition).is_some_and(|position| position >= end))
    }
}

/// Waits until a server has applied everything that was written.
pub(crate) async fn settled(house: &House, written: &Written) -> Standing {
    let mut clients = house.clients().await;
    eventually("everything written to be applied", async || {
        Standing::of_server(&mut clients).await.filter(|standing| standing.has(written))
    })
    .await
}

/// Waits until two servers stand at equal positions, behind everything that was written.
pub(crate) async fn settled_alike(one: &House, other: &House, written: &Written) -> (Standing, Standing) {
    let mut clients = (one.clients().await, other.clients().await);
    eventually("equal positions", async || {
        let standings = (Standing::of_server(&mut clients.0).await?, Standing::of_server(&mut clients.1).await?);
        (standings.0.positions == standings.1.positions && standings.0.has(written)).then_some(standings)
    })
    .await
}

/// What a server did with records since its start; fails where they don't add up.
pub(crate) async fn counts(house: &House) -> v1::IngestCounts {
    let counts = house.clients().await.status().await.ingest.unwrap();
    let fates = counts.applied + counts.duplicates + counts.expired + counts.ignored + counts.dead;
    assert_eq!(counts.consumed, fates, "consumed = applied + duplicates + expired + ignored + dead: {counts:?}");
    counts
}

/// Fails unless a server's state is what the log says: that of a server that reads the whole log now, and that of the records by
/// themselves. First of all, unless the broker gave every record.
pub(crate) async fn must_hold(test: &str, house: &House, written: &Written) -> Standing {
    let mut clean = house.beside(&["state.folder="]).await;
    clean.start().await;
    let (ours, theirs) = settled_alike(house, &clean, written).await;
    let read = counts(&clean).await;
    let there: i64 = theirs.positions.values().sum();
    assert_eq!(i64::try_from(read.consumed).unwrap(), there, "every record of the log was read once: {read:?}");
    for server in [&clean, house] {
        assert_eq!(
            server.metric("faces_ingest_skipped_offsets_total"),
            0,
            "the broker kept records back; nothing is known of the server"
        );
    }
    // The one that read the whole log first: when it is wrong, nothing is known of the other.
    let expected = oracle::digest(&house.topics, &written.records, form().seed_of(test));
    theirs.must_be(&expected, "a server that read the whole log has another state than that of the records");
    ours.must_be(&expected, "another state than that of the records");
    counts(house).await;
    assert!(read.applied > 0 && read.duplicates > 0 && read.expired > 0 && read.dead > 0, "all fates were met: {read:?}");
    assert_eq!(clean.metric("faces_probation_drops_total"), 0, "else the order of arrival counts");
    form().say(test, &format!("{there} records in the log, digest {}: as by reading all of it, as by the records", ours.digest));
    ours
}
