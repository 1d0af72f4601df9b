//! `IdentityService`: statements go through the log, the person comes from memory.

use faces_core::key::{KeyHash, KeyKind, SourceKey};
use faces_ingest::{Reason, decode::Format, encode, validate};
use faces_proto::v1::{self, identity_service_server::IdentityService};
use tonic::{Request, Response, Status};

use super::{Services, deadline::Due, parse, refusal::Refusal};
use crate::clock;

#[tonic::async_trait]
impl IdentityService for Services {
    async fn link(&self, request: Request<v1::LinkRequest>) -> Result<Response<v1::LinkResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        self.timed_async("Link", async {
            let v1::LinkRequest { a, b, evidence, confidence, event_time_ms } = request.into_inner();
            let operation = v1::LinkOperation::Link as i32;
            self.state_link(v1::IdentityLink { a, b, operation, evidence, confidence, event_time_ms }, due?).await?;
            Ok(v1::LinkResponse {})
        })
        .await
    }

    async fn unlink(&self, request: Request<v1::UnlinkRequest>) -> Result<Response<v1::UnlinkResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        self.timed_async("Unlink", async {
            let v1::UnlinkRequest { a, b, evidence, event_time_ms } = request.into_inner();
            let operation = v1::LinkOperation::Unlink as i32;
            self.state_link(v1::IdentityLink { a, b, operation, evidence, confidence: 0.0, event_time_ms }, due?).await?;
            Ok(v1::UnlinkResponse {})
        })
        .await
    }

    async fn resolve(&self, request: Request<v1::ResolveRequest>) -> Result<Response<v1::ResolveResponse>, Status> {
        self.timed("Resolve", || {
            let Some(wire) = &request.get_ref().key else {
                return Err(parse::refused("key", Reason::MissingField, "is required").into());
            };
            let key = validate::source_key(wire).map_err(|violation| violation.under("key"))?;
            let hashes = self.engine.state().person_keys(std::slice::from_ref(&key));
            let keys = self.keys_on_the_wire(&hashes, &[key]);
            Ok(v1::ResolveResponse { person_id: person_id(&hashes), keys })
        })
    }
}

impl Services {
    async fn state_link(&self, mut link: v1::IdentityLink, due: Due) -> Result<(), Refusal> {
        let now = clock::now();
        if link.event_time_ms == 0 {
            link.event_time_ms = now.millis();
        }
        self.not_future("event_time_ms", validate::link(&link)?.time, now)?;
        self.append(vec![encode::link(&self.topics, &link, Format::Protobuf)], due).await
    }

    /// Keys by text; `asked` are known as text even if no link ever named them.
    pub(super) fn keys_on_the_wire(&self, hashes: &[KeyHash], asked: &[SourceKey]) -> Vec<v1::SourceKey> {
        let text = |hash: &KeyHash| {
            let known = asked.iter().find(|key| key.hash() == *hash).cloned();
            known.or_else(|| self.engine.state().identity().key(*hash))
        };
        let mut keys: Vec<SourceKey> = hashes.iter().filter_map(text).collect();
        keys.sort_unstable();
        keys.iter().map(key_on_the_wire).collect()
    }
}

/// Derived from the set of keys alone.
fn person_id(hashes: &[KeyHash]) -> String {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.raw().to_le_bytes()).collect();
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}

fn key_on_the_wire(key: &SourceKey) -> v1::SourceKey {
    let kind = match key.kind() {
        KeyKind::Account => v1::KeyKind::Account,
        KeyKind::Device => v1::KeyKind::Device,
        KeyKind::Session => v1::KeyKind::Session,
        KeyKind::HashedPhone => v1::KeyKind::HashedPhone,
        KeyKind::HashedEmail => v1::KeyKind::HashedEmail,
    };
    v1::SourceKey { bu: key.bu().to_owned(), kind: kind as i32, id: key.id().to_owned() }
}
