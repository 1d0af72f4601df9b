//! Clients of every service on one connection, and what tests do with them again and again.

use std::{collections::BTreeMap, net::SocketAddr};

use faces_proto::v1::{
    self, admin_service_client::AdminServiceClient, catalog_service_client::CatalogServiceClient,
    event_service_client::EventServiceClient, identity_service_client::IdentityServiceClient,
    profile_service_client::ProfileServiceClient, recommendation_service_client::RecommendationServiceClient,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::eventually;

/// Clients on one connection.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) channel: Channel,
    pub(crate) recommendations: RecommendationServiceClient<Channel>,
    pub(crate) events: EventServiceClient<Channel>,
    pub(crate) catalog: CatalogServiceClient<Channel>,
    pub(crate) identity: IdentityServiceClient<Channel>,
    pub(crate) profiles: ProfileServiceClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
}

impl Clients {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self {
            recommendations: RecommendationServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            catalog: CatalogServiceClient::new(channel.clone()),
            identity: IdentityServiceClient::new(channel.clone()),
            profiles: ProfileServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// A slate; fails on an error.
    pub(crate) async fn slate(&mut self, request: v1::RecommendRequest) -> v1::RecommendResponse {
        self.recommendations.recommend(request).await.unwrap().into_inner()
    }

    /// Item ids of a slate.
    pub(crate) async fn items(&mut self, request: v1::RecommendRequest) -> Vec<String> {
        self.slate(request).await.items.into_iter().map(|item| item.item_id).collect()
    }

    /// What a slate is refused with.
    pub(crate) async fn refusal(&mut self, request: v1::RecommendRequest) -> Status {
        self.recommendations.recommend(request).await.unwrap_err()
    }

    pub(crate) async fn status(&mut self) -> v1::GetStatusResponse {
        self.admin.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner()
    }

    /// Writes events and waits until the server has applied them and trends show them.
    pub(crate) async fn act(&mut self, events: Vec<v1::Event>) {
        let bus: Vec<String> = events.iter().map(|event| event.bu.clone()).collect();
        let written = self.events.write_events(v1::WriteEventsRequest { events }).await.unwrap().into_inner();
        let mut last: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for (result, bu) in written.results.into_iter().zip(bus) {
            assert_eq!(result.error, None);
            let offset = last.entry((bu, result.partition)).or_default();
            *offset = result.offset.max(*offset);
        }
        for ((bu, partition), offset) in last {
            self.applied(&format!(".events.{bu}"), partition, offset).await;
        }
    }

    /// Waits until the server has applied the record at `offset`.
    pub(crate) async fn applied(&mut self, topic_end: &str, partition: i32, offset: i64) {
        eventually("a record to be applied", async || {
            let status = self.status().await;
            let is_it = |p: &&v1::PartitionStatus| p.topic.ends_with(topic_end) && p.partition == partition;
            status.partitions.iter().find(is_it).filter(|p| p.position > offset && status.trends_settled).map(|_| ())
        })
        .await;
    }

    /// Creates or replaces items and waits until the server has them.
    pub(crate) async fn list(&mut self, items: Vec<v1::Item>, updated_time_ms: i64) {
        for part in items.chunks(1_000) {
            let request = v1::UpsertItemsRequest { items: part.to_vec(), updated_time_ms };
            self.catalog.upsert_items(request).await.unwrap();
        }
        for item in items {
            eventually("an item to be listed", async || {
                let request = v1::GetItemRequest { r#ref: item.r#ref.clone() };
                let found = self.catalog.get_item(request).await.ok()?.into_inner().item?;
                let is_sold_out = |item: &v1::Item| item.stock() == v1::Stock::SoldOut;
                (found.title == item.title && is_sold_out(&found) == is_sold_out(&item)).then_some(())
            })
            .await;
        }
    }

    /// Keys of the person behind `key`.
    pub(crate) async fn person(&mut self, key: &v1::SourceKey) -> Vec<v1::SourceKey> {
        let request = v1::ResolveRequest { key: Some(key.clone()) };
        self.identity.resolve(request).await.unwrap().into_inner().keys
    }

    /// Links two keys and waits until the server knows.
    pub(crate) async fn link(&mut self, a: &v1::SourceKey, b: &v1::SourceKey) {
        let (a, b) = (Some(a.clone()), Some(b.clone()));
        let evidence = v1::LinkEvidence::Login as i32;
        let request = v1::LinkRequest { a: a.clone(), b: b.clone(), evidence, ..v1::LinkRequest::default() };
        self.identity.link(request).await.unwrap();
        eventually("the link", async || self.person(a.as_ref()?).await.contains(b.as_ref()?).then_some(())).await;
    }

    /// Unlinks two keys and waits until the server knows.
    pub(crate) async fn unlink(&mut self, a: &v1::SourceKey, b: &v1::SourceKey) {
        let (a, b) = (Some(a.clone()), Some(b.clone()));
        let evidence = v1::LinkEvidence::Login as i32;
        self.identity.unlink(v1::UnlinkRequest { a: a.clone(), b: b.clone(), evidence, event_time_ms: 0 }).await.unwrap();
        eventually("the unlink", async || (!self.person(a.as_ref()?).await.contains(b.as_ref()?)).then_some(())).await;
    }

    /// Waits until the server answers with another generation than `before`; its id.
    pub(crate) async fn next_generation(&mut self, before: &str) -> String {
        eventually("the next generation", async || {
            let now = self.status().await.generation_id;
            (now != before).then_some(now)
        })
        .await
    }
}
