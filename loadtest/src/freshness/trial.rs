//! One trial: read the slate, write an event, look until it shows.

use std::{future::Future, time::Duration};

use faces_proto::v1::{
    Event, GetProfileRequest, KeyKind, RecommendRequest, SourceKey, WriteEventsRequest, event_service_client::EventServiceClient,
    profile_service_client::ProfileServiceClient, recommendation_service_client::RecommendationServiceClient,
};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Status, transport::Channel};

use super::{FreshnessPlan, now_ms};
use crate::status::{code_name, normalised};

/// Deadline of each call; looking for the event ends at the plan's timeout, with whatever call is under way.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// What a trial found.
#[derive(Debug)]
pub(super) enum TrialOutcome {
    /// The event was written.
    Written(Written),
    /// It did not come to that.
    Failed(Failure),
}

/// A trial whose event the log has.
#[derive(Debug)]
pub(super) struct Written {
    /// Until WriteEvents was acknowledged.
    pub(super) acknowledged: Duration,
    /// Until the profile showed the event.
    pub(super) profile: Look,
    /// Until the slate was another.
    pub(super) slate: Look,
}

/// What waiting for a sign came to.
#[derive(Debug)]
pub(super) enum Look {
    /// The sign came after so long.
    Seen(Duration),
    /// It had not come when time was up.
    Missed,
    /// It would mean nothing: two slates read before the event differed already.
    Unstable,
    /// A call failed.
    Failed(Failure),
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Name of the gRPC code, or the kind of trouble.
    pub(super) kind: &'static str,
    /// In words, with the name of the call.
    pub(super) message: String,
}

impl Failure {
    fn of(call: &str, status: Status) -> Self {
        let status = normalised(status);
        Self { kind: code_name(status.code()), message: format!("{call}: {}", status.message()) }
    }
}

/// One invented person.
#[derive(Debug)]
pub(super) struct Probe<'plan> {
    plan: &'plan FreshnessPlan,
    channel: Channel,
    number: u32,
    key: SourceKey,
}

impl<'plan> Probe<'plan> {
    pub(super) fn new(plan: &'plan FreshnessPlan, channel: Channel, number: u32) -> Self {
        let id = format!("loadtest-{}-{number}", plan.run_id);
        let key = SourceKey { bu: plan.bu.clone(), kind: KeyKind::Session.into(), id };
        Self { plan, channel, number, key }
    }

    pub(super) async fn run(&self) -> TrialOutcome {
        match self.write().await {
            Ok(written) => TrialOutcome::Written(written),
            Err(failure) => TrialOutcome::Failed(failure),
        }
    }

    async fn write(&self) -> Result<Written, Failure> {
        let before = self.slate().await?;
        sleep(self.plan.settle).await;
        let stable = self.slate().await? == before;
        let item_id = before
            .get(self.number as usize % before.len().max(1))
            .cloned()
            .ok_or_else(|| Failure { kind: "empty_slate", message: "Recommend: no item to write an event about".to_owned() })?;

        let began = Instant::now();
        self.write_event(&item_id).await?;
        let acknowledged = began.elapsed();

        let in_profile = look(self.plan, began, || async {
            let behaviours = self.profile_items().await?;
            Ok(behaviours.contains(&item_id))
        });
        let in_slate = async {
            if !stable {
                return Look::Unstable;
            }
            look(self.plan, began, || async { Ok(self.slate().await? != before) }).await
        };
        let (profile, slate) = tokio::join!(in_profile, in_slate);
        Ok(Written { acknowledged, profile, slate })
    }

    async fn slate(&self) -> Result<Vec<String>, Failure> {
        let request = RecommendRequest {
            keys: vec![self.key.clone()],
            bu: self.plan.bu.clone(),
            page_size: i32::from(self.plan.page_size),
            ..RecommendRequest::default()
        };
        let mut client = RecommendationServiceClient::new(self.channel.clone());
        let response = client.recommend(self.request(request)).await.map_err(|status| Failure::of("Recommend", status))?;
        Ok(response.into_inner().items.into_iter().map(|item| item.item_id).collect())
    }

    async fn profile_items(&self) -> Result<Vec<String>, Failure> {
        let request = GetProfileRequest { keys: vec![self.key.clone()] };
        let mut client = ProfileServiceClient::new(self.channel.clone());
        let response = client.get_profile(self.request(request)).await.map_err(|status| Failure::of("GetProfile", status))?;
        let behaviours = response.into_inner().behaviours.into_iter();
        Ok(behaviours.filter_map(|behaviour| behaviour.r#ref).map(|item| item.item_id).collect())
    }

    async fn write_event(&self, item_id: &str) -> Result<(), Failure> {
        let event = Event {
            event_id: format!("{}-{}", self.plan.run_id, self.number),
            event_time_ms: now_ms(),
            bu: self.plan.bu.clone(),
            source: Some(self.key.clone()),
            r#type: self.plan.event.into(),
            item_id: item_id.to_owned(),
            ..Event::default()
        };
        let request = WriteEventsRequest { events: vec![event] };
        let mut client = EventServiceClient::new(self.channel.clone());
        let response = client.write_events(self.request(request)).await.map_err(|status| Failure::of("WriteEvents", status))?;
        let refusal = response.into_inner().results.into_iter().find_map(|result| result.error);
        match refusal {
            None => Ok(()),
            Some(error) => Err(Failure::of("WriteEvents", Status::new(Code::from_i32(error.code), error.message))),
        }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(CALL_DEADLINE);
        request
    }
}

/// Asks `is_there` until it says yes, fails, or the time since `began` is up.
async fn look<F>(plan: &FreshnessPlan, began: Instant, is_there: impl Fn() -> F) -> Look
where
    F: Future<Output = Result<bool, Failure>>,
{
    let looking = async {
        loop {
            match is_there().await {
                Ok(true) => return Look::Seen(began.elapsed()),
                Ok(false) => sleep(plan.poll).await,
                Err(failure) => return Look::Failed(failure),
            }
        }
    };
    timeout_at(began + plan.timeout, looking).await.unwrap_or(Look::Missed)
}
