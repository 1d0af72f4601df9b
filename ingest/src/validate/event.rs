//! Events.

use faces_core::{
    event::EventKind,
    ids::{EventId, RegionId},
    key::check_local_id,
    record::EventView,
};
use faces_proto::v1;

use super::{Violation, amount, bu, currency, source_hash, text_within, time};
use crate::{Reason, wire::EventFields};

const EVENT_ID_BYTES_MAX: usize = 64;
const PLACEMENT_BYTES_MAX: usize = 64;
const ANSWER_TOKEN_BYTES_MAX: usize = 256;
const QUERY_BYTES_MAX: usize = 256;
/// Longest name of a region, bytes.
pub const REGION_BYTES_MAX: usize = 64;

/// Checks an event and gives it its identity: from `event_id`, or from the content where there is none.
///
/// Nothing is copied: the texts stay where they are. The key's business unit may differ from the event's: an account of the one may act in the other.
///
/// # Errors
/// The first field at fault.
pub fn event(event: &v1::Event) -> Result<EventView<'_>, Violation> {
    event_fields(EventFields::from(event))
}

/// As [`event`], wherever the fields lie.
pub(crate) fn event_fields(event: EventFields<'_>) -> Result<EventView<'_>, Violation> {
    text_within("event_id", event.event_id, EVENT_ID_BYTES_MAX)?;
    let time = time("event_time_ms", event.event_time_ms)?;
    let bu = bu(event.bu)?;
    let source = event.source.ok_or_else(|| Violation::missing("source"))?;
    let (source, source_kind) = source_hash(source).map_err(|violation| violation.under("source"))?;
    let kind = event_kind(event.kind)?;
    let is_search_in_words = event.item_id.is_empty() && kind == EventKind::Search;
    if !is_search_in_words {
        check_local_id(event.item_id).map_err(|error| Violation::name("item_id", &error))?;
    }
    let value = amount("value", event.value)?;
    currency(event.currency)?;
    text_within("placement", event.placement, PLACEMENT_BYTES_MAX)?;
    text_within("answer_token", event.answer_token, ANSWER_TOKEN_BYTES_MAX)?;
    text_within("query", event.query, QUERY_BYTES_MAX)?;
    text_within("region", event.region, REGION_BYTES_MAX)?;
    let id = if event.event_id.is_empty() {
        EventId::from_content(time, bu, event.item_id, kind as u8, value)
    } else {
        EventId::from_text(event.event_id, bu, event.item_id)
    };
    let item_id = (!is_search_in_words).then_some(event.item_id);
    let region = (!event.region.is_empty()).then(|| RegionId::of(event.region));
    Ok(EventView { source, source_kind, bu, item_id, kind, time, id, value, region })
}

/// The kind of event that a number on the wire names.
///
/// # Errors
/// A violation of `type` for what is unspecified or unknown.
pub fn event_kind(number: i32) -> Result<EventKind, Violation> {
    Ok(match v1::EventType::try_from(number) {
        Ok(v1::EventType::Impression) => EventKind::Impression,
        Ok(v1::EventType::View) => EventKind::View,
        Ok(v1::EventType::Click) => EventKind::Click,
        Ok(v1::EventType::Search) => EventKind::Search,
        Ok(v1::EventType::Favourite) => EventKind::Favourite,
        Ok(v1::EventType::Cart) => EventKind::Cart,
        Ok(v1::EventType::Purchase) => EventKind::Purchase,
        Ok(v1::EventType::Rating) => EventKind::Rating,
        Ok(v1::EventType::Review) => EventKind::Review,
        Ok(v1::EventType::Dislike) => EventKind::Dislike,
        Ok(v1::EventType::Return) => EventKind::Return,
        Ok(v1::EventType::Unspecified) => return Err(Violation::missing("type")),
        Err(_) => return Err(Violation::new("type", Reason::InvalidField, format!("{number} is no EventType"))),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::validate::tests::{key, verdict};

    pub(crate) fn view() -> v1::Event {
        v1::Event {
            event_id: "e1".into(),
            event_time_ms: 1_700_000_000_000,
            bu: "shop".into(),
            source: Some(key("shop", "u1")),
            r#type: v1::EventType::View.into(),
            item_id: "i1".into(),
            ..v1::Event::default()
        }
    }

    type Edit = fn(&mut v1::Event);

    #[test]
    fn fields() {
        let cases: [(Edit, &str); 25] = [
            (|_| {}, "ok"),
            (|e| e.event_id.clear(), "ok"),
            (|e| e.event_id = "x".repeat(65), "event_id too_long"),
            (|e| e.event_time_ms = 5, "event_time_ms bad_time"),
            (|e| e.bu.clear(), "bu missing_field"),
            (|e| e.source = None, "source missing_field"),
            (|e| e.source = Some(key("video", "u1")), "ok"),
            (|e| e.source = Some(key("video", "")), "source.id missing_field"),
            (|e| e.r#type = 0, "type missing_field"),
            (|e| e.r#type = 12, "type invalid_field"),
            (|e| e.item_id.clear(), "item_id missing_field"),
            (|e| e.item_id = "x".repeat(10_240), "item_id too_long"),
            (|e| (e.r#type, e.item_id) = (v1::EventType::Search.into(), String::new()), "ok"),
            (|e| e.value = Some(0.0), "ok"),
            (|e| e.value = Some(-0.01), "value bad_value"),
            (|e| e.value = Some(f64::NAN), "value bad_value"),
            (|e| e.value = Some(f64::INFINITY), "value bad_value"),
            (|e| e.currency = "JPY".into(), "ok"),
            (|e| e.currency = "yen".into(), "currency invalid_field"),
            (|e| e.placement = "x".repeat(65), "placement too_long"),
            (|e| e.answer_token = "x".repeat(257), "answer_token too_long"),
            (|e| e.query = "x".repeat(257), "query too_long"),
            (|e| e.query = "x".repeat(256), "ok"),
            (|e| e.region = "jp-13".into(), "ok"),
            (|e| e.region = "x".repeat(65), "region too_long"),
        ];
        for (edit, expected) in cases {
            let mut changed = view();
            edit(&mut changed);
            assert_eq!(verdict(event(&changed)), expected, "{changed:?}");
        }
    }

    #[test]
    fn identity_comes_from_the_id_or_from_the_content() {
        let id = |edit: Edit| {
            let mut changed = view();
            edit(&mut changed);
            event(&changed).unwrap().id
        };
        assert_eq!(id(|_| {}), id(|e| e.event_time_ms += 1), "the id alone decides where there is one");
        assert_ne!(id(|_| {}), id(|e| e.event_id = "e2".into()));
        let anonymous: Edit = |e| e.event_id.clear();
        assert_eq!(id(anonymous), id(|e| (e.event_id, e.placement) = (String::new(), "home".into())));
        assert_ne!(id(anonymous), id(|e| (e.event_id, e.event_time_ms) = (String::new(), e.event_time_ms + 1)));
        let zero: Edit = |e| (e.event_id, e.value) = (String::new(), Some(0.0));
        assert_eq!(id(zero), id(|e| (e.event_id, e.value) = (String::new(), Some(-0.0))), "zeros of either sign are one value");
    }
}
