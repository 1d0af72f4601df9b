//! Messages in few words.

use std::time::{SystemTime, UNIX_EPOCH};

use faces_proto::v1::{self, EventType, filter::Condition};
use tonic::Status;
use tonic_types::StatusExt as _;

/// Now, milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub(crate) fn key(bu: &str, id: &str) -> v1::SourceKey {
    v1::SourceKey { bu: bu.into(), kind: v1::KeyKind::Account as i32, id: id.into() }
}

/// What `who` did, with the item in the unit of the key, a second ago.
pub(crate) fn event(kind: EventType, who: &v1::SourceKey, item_id: &str) -> v1::Event {
    v1::Event {
        event_time_ms: now_ms() - 1_000,
        bu: who.bu.clone(),
        source: Some(who.clone()),
        r#type: kind as i32,
        item_id: item_id.into(),
        ..v1::Event::default()
    }
}

/// Ten items of `bu`, with reasons.
pub(crate) fn ask(keys: &[v1::SourceKey], bu: &str) -> v1::RecommendRequest {
    v1::RecommendRequest { keys: keys.to_vec(), bu: bu.into(), page_size: 10, explain: true, ..v1::RecommendRequest::default() }
}

pub(crate) fn item_ref(bu: &str, item_id: &str) -> v1::ItemRef {
    v1::ItemRef { bu: bu.into(), item_id: item_id.into() }
}

pub(crate) fn filter(condition: Condition) -> Option<v1::Filter> {
    Some(v1::Filter { condition: Some(condition) })
}

/// What two answers to one question must agree on: everything but the answer's own name and the age of the view.
pub(crate) fn content(mut response: v1::RecommendResponse) -> v1::RecommendResponse {
    response.answer_token.clear();
    if let Some(freshness) = &mut response.freshness {
        freshness.view_age_ms = 0;
    }
    response
}

/// Field paths of a `google.rpc.BadRequest`.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|request| request.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// `ErrorInfo.reason`.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
