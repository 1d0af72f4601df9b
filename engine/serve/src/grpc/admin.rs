//! `AdminService`: for operators.

use std::{sync::Arc, time::Duration};

use faces_core::{digest::Digest, ranking::Model as _};
use faces_ingest::Reason;
use faces_proto::v1::{self, admin_service_server::AdminService};
use tonic::{Request, Response, Status};

use super::{Services, deadline::Due, levels, parse, refusal::Refusal};
use crate::causes::causes;

/// How long to wait for a moment between batches.
const BOUNDARY_PATIENCE: Duration = Duration::from_secs(5);

#[tonic::async_trait]
impl AdminService for Services {
    async fn get_status(&self, _request: Request<v1::GetStatusRequest>) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.timed("GetStatus", || {
            let (state, counts) = (self.engine.state(), self.progress.counts());
            let partitions = self.progress.partitions();
            let partitions = partitions.iter().map(|partition| v1::PartitionStatus {
                topic: partition.topic().to_owned(),
                partition: partition.partition(),
                position: partition.position(),
                end: partition.end(),
            });
            Ok(v1::GetStatusResponse {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ready: self.progress.caught_up(),
                generation_id: self.engine.generation().map(|generation| generation.id().to_owned()).unwrap_or_default(),
                fragments: state.fragment_count() as u64,
                behaviours: state.behaviour_count(),
                items: state.catalogue().listed_count() as u64,
                live_links: state.identity().live_pair_count() as u64,
                ingest: Some(v1::IngestCounts {
                    consumed: counts.consumed(),
                    applied: counts.applied,
                    duplicates: counts.duplicates,
                    expired: counts.expired,
                    ignored: counts.ignored,
                    dead: counts.dead,
                }),
                partitions: partitions.collect(),
                trends_settled: state.is_settled(),
                level: levels::on_the_wire(self.overload.ladder.in_force()) as i32,
                level_is_set: self.overload.ladder.pinned().is_some(),
            })
        })
    }

    async fn activate_generation(
        &self,
        request: Request<v1::ActivateGenerationRequest>,
    ) -> Result<Response<v1::ActivateGenerationResponse>, Status> {
        self.timed_async("ActivateGeneration", async {
            let (swap, wanted) = (Arc::clone(&self.swap), request.into_inner().generation_id);
            // A task of its own goes on to its end when the caller has gone: what is loaded must be held, watched and told.
            let activating = tokio::spawn(async move { swap.activate((!wanted.is_empty()).then_some(wanted)).await });
            let swapped = activating.await.map_err(|_| Refusal::Busy("the server is stopping"))?;
            let swapped = swapped.map_err(|error| Refusal::Generation(causes(&error)))?;
            Ok(v1::ActivateGenerationResponse { generation_id: swapped.now, previous_generation_id: swapped.before })
        })
        .await
    }

    async fn try_rules(&self, request: Request<v1::TryRulesRequest>) -> Result<Response<v1::TryRulesResponse>, Status> {
        self.timed("TryRules", || {
            let due = Due::of(request.metadata(), self.deadline_ms_max)?;
            self.try_on(request.get_ref(), due)
        })
    }

    async fn set_service_level(
        &self,
        request: Request<v1::SetServiceLevelRequest>,
    ) -> Result<Response<v1::SetServiceLevelResponse>, Status> {
        self.timed("SetServiceLevel", || {
            let unknown = |_| parse::refused("level", Reason::InvalidField, "is none of the levels");
            let level = v1::ServiceLevel::try_from(request.get_ref().level).map_err(unknown)?;
            let ladder = &self.overload.ladder;
            let pinned = levels::from_the_wire(level);
            ladder.pin(pinned);
            match pinned {
                Some(level) => tracing::info!(level = level.name(), "service level set by hand"),
                None => tracing::info!("service level left to the load"),
            }
            Ok(v1::SetServiceLevelResponse { level: levels::on_the_wire(ladder.in_force()) as i32 })
        })
    }

    async fn get_state_digest(
        &self,
        _request: Request<v1::GetStateDigestRequest>,
    ) -> Result<Response<v1::GetStateDigestResponse>, Status> {
        self.timed_async("GetStateDigest", async {
            let (state, boundary) = (self.engine.state().clone(), self.boundary.clone());
            let digested = tokio::task::spawn_blocking(move || {
                let cut = boundary.at(BOUNDARY_PATIENCE, |positions| state.cut().map(|cut| (cut, positions.clone())));
                let (cut, positions) =
                    cut.ok_or(Refusal::Busy("ingest is held up"))?.ok_or(Refusal::Busy("an image is written"))?;
                Ok::<_, Refusal>((Digest::of(&cut), positions))
            });
            let (digest, positions) = digested.await.map_err(|_| Refusal::Busy("the server is stopping"))??;
            let part = |part: u128| format!("{part:032x}");
            let positions = positions.iter().map(|(topic, partition, position)| v1::PartitionStatus {
                topic: topic.to_owned(),
                partition,
                position: position.next,
                end: 0,
            });
            Ok(v1::GetStateDigestResponse {
                digest: digest.to_string(),
                fragments: part(digest.fragments),
                links: part(digest.links),
                items: part(digest.items),
                demand: part(digest.demand),
                positions: positions.collect(),
            })
        })
        .await
    }
}
