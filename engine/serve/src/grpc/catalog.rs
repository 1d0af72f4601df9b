//! `CatalogService`: changes go through the log, reads come from memory.

use faces_core::catalogue::ItemAttributes;
use faces_ingest::{
    Reason,
    decode::Format,
    encode,
    validate::{self, Violation},
};
use faces_proto::v1::{self, catalog_record::Change, catalog_service_server::CatalogService};
use tonic::{Request, Response, Status};

use super::{Services, deadline::Due, parse, refusal::Refusal};
use crate::clock;

const ITEMS_MAX: usize = 1_000;

#[tonic::async_trait]
impl CatalogService for Services {
    async fn upsert_items(&self, request: Request<v1::UpsertItemsRequest>) -> Result<Response<v1::UpsertItemsResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        self.timed_async("UpsertItems", async {
            let request = request.into_inner();
            parse::bounded("items", &request.items, 1, ITEMS_MAX)?;
            let changes = request.items.into_iter().map(Change::Upsert);
            self.append_changes(changes, request.updated_time_ms, due?).await?;
            Ok(v1::UpsertItemsResponse {})
        })
        .await
    }

    async fn delete_items(&self, request: Request<v1::DeleteItemsRequest>) -> Result<Response<v1::DeleteItemsResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        self.timed_async("DeleteItems", async {
            let request = request.into_inner();
            parse::bounded("items", &request.items, 1, ITEMS_MAX)?;
            let changes = request.items.into_iter().map(Change::Delete);
            self.append_changes(changes, request.updated_time_ms, due?).await?;
            Ok(v1::DeleteItemsResponse {})
        })
        .await
    }

    async fn get_item(&self, request: Request<v1::GetItemRequest>) -> Result<Response<v1::GetItemResponse>, Status> {
        self.timed("GetItem", || {
            let Some(wire) = &request.get_ref().r#ref else {
                return Err(parse::refused("ref", Reason::MissingField, "is required").into());
            };
            let (bu, item_id) = validate::item_ref(wire).map_err(|violation| violation.under("ref"))?;
            let catalogue = self.engine.state().catalogue();
            let item = catalogue.bu(bu).and_then(|bu| catalogue.item(bu, item_id)).filter(|item| catalogue.is_listed(*item));
            let unknown = || Refusal::UnknownItem { bu: bu.into(), item_id: item_id.into() };
            let attributes = catalogue.attributes(item.ok_or_else(unknown)?);
            Ok(v1::GetItemResponse { item: Some(item_on_the_wire(wire.clone(), &attributes)) })
        })
    }
}

impl Services {
    async fn append_changes(&self, changes: impl Iterator<Item = Change>, time_ms: i64, due: Due) -> Result<(), Refusal> {
        let now = clock::now();
        let updated_time_ms = if time_ms == 0 { now.millis() } else { time_ms };
        let mut records = Vec::new();
        for (n, change) in changes.enumerate() {
            let record = v1::CatalogRecord { updated_time_ms, change: Some(change) };
            let change = validate::item_change(&record).map_err(|violation| in_request(violation, n))?;
            self.not_future("updated_time_ms", change.time, now)?;
            records.push(encode::catalog(&self.topics, &record, Format::Protobuf));
        }
        self.append(records, due).await
    }
}

/// The record's field path as the request has it: `upsert.title` of the third item is `items[2].title`.
fn in_request(mut violation: Violation, n: usize) -> Violation {
    let of_item = violation.field.strip_prefix("upsert.").or_else(|| violation.field.strip_prefix("delete."));
    if let Some(rest) = of_item {
        violation.field = format!("items[{n}].{rest}");
    }
    violation
}

fn item_on_the_wire(item: v1::ItemRef, of: &ItemAttributes) -> v1::Item {
    v1::Item {
        r#ref: Some(item),
        title: of.title.clone(),
        categories: of.categories.clone(),
        brand: of.brand.clone(),
        price: of.price,
        currency: of.currency.clone(),
        tags: of.tags.clone(),
        regions: of.regions.clone(),
        stock: if of.sold_out { v1::Stock::SoldOut } else { v1::Stock::InStock } as i32,
        embedding: of.embedding.clone(),
    }
}
