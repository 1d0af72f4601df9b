//! `ProfileService`: one view of a person, as the ranking sees it.

use faces_core::event::{Behaviour, EventKind};
use faces_proto::v1::{self, profile_service_server::ProfileService};
use tonic::{Request, Response, Status};

use super::{Services, answer, parse};

const BEHAVIOURS_MAX: usize = 64;

#[tonic::async_trait]
impl ProfileService for Services {
    async fn get_profile(&self, request: Request<v1::GetProfileRequest>) -> Result<Response<v1::GetProfileResponse>, Status> {
        self.timed("GetProfile", || {
            let keys = parse::keys(&request.get_ref().keys, 1)?;
            let state = self.engine.state();
            let profile = state.profile(&keys, None);
            let mut behaviours: Vec<&Behaviour> =
                [&profile.taste, &profile.rejected, &profile.shown].into_iter().flatten().collect();
            behaviours.sort_by_key(|behaviour| std::cmp::Reverse((behaviour.time, behaviour.event)));
            behaviours.truncate(BEHAVIOURS_MAX);
            Ok(v1::GetProfileResponse {
                keys: self.keys_on_the_wire(&state.person_keys(&keys), &keys),
                behaviours: behaviours.into_iter().map(|behaviour| self.behaviour_on_the_wire(behaviour)).collect(),
                freshness: Some(self.freshness(profile.newest())),
            })
        })
    }
}

impl Services {
    fn behaviour_on_the_wire(&self, behaviour: &Behaviour) -> v1::Behaviour {
        let catalogue = self.engine.state().catalogue();
        v1::Behaviour {
            r#ref: Some(answer::item_ref(catalogue, behaviour.item)),
            r#type: event_type(behaviour.kind) as i32,
            event_time_ms: behaviour.time.millis(),
            title: catalogue.attributes(behaviour.item).title.clone(),
        }
    }
}

/// An event kind on the wire.
pub const fn event_type(kind: EventKind) -> v1::EventType {
    match kind {
        EventKind::Impression => v1::EventType::Impression,
        EventKind::View => v1::EventType::View,
        EventKind::Click => v1::EventType::Click,
        EventKind::Search => v1::EventType::Search,
        EventKind::Favourite => v1::EventType::Favourite,
        EventKind::Cart => v1::EventType::Cart,
        EventKind::Purchase => v1::EventType::Purchase,
        EventKind::Rating => v1::EventType::Rating,
        EventKind::Review => v1::EventType::Review,
        EventKind::Dislike => v1::EventType::Dislike,
        EventKind::Return => v1::EventType::Return,
    }
}
