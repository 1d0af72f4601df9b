//! `AdminService`: for operators.

use faces_core::ranking::Model as _;
use faces_proto::v1::{self, admin_service_server::AdminService};
use tonic::{Request, Response, Status};

use super::{Services, refusal::Refusal};

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
            })
        })
    }

    async fn activate_generation(
        &self,
        request: Request<v1::ActivateGenerationRequest>,
    ) -> Result<Response<v1::ActivateGenerationResponse>, Status> {
        self.timed_async("ActivateGeneration", async {
            let wanted = request.into_inner().generation_id;
            let swapped = self.swap.activate((!wanted.is_empty()).then_some(wanted)).await;
            let swapped = swapped.map_err(|error| Refusal::Generation(format!("{error:#}")))?;
            Ok(v1::ActivateGenerationResponse { generation_id: swapped.now, previous_generation_id: swapped.before })
        })
        .await
    }
}
