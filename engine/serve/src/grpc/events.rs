//! `EventService`: appends events; an event is acknowledged when the log has acknowledged it.

use faces_core::ids::EventTime;
use faces_ingest::{WriteError, decode, encode, validate};
use faces_proto::v1::{self, event_service_server::EventService};
use tonic::{Request, Response, Status};

use super::{Services, deadline::Due, parse, refusal::Refusal};
use crate::clock;

const EVENTS_MAX: usize = 1_000;
/// Most events that wait for brokers that are away.
const WAITING_MAX: usize = 1_000;

#[tonic::async_trait]
impl EventService for Services {
    async fn write_events(&self, request: Request<v1::WriteEventsRequest>) -> Result<Response<v1::WriteEventsResponse>, Status> {
        let due = Due::of(request.metadata(), self.deadline_ms_max);
        self.timed_async("WriteEvents", async {
            let (due, events) = (due?, &request.get_ref().events);
            parse::bounded("events", events, 1, EVENTS_MAX)?;
            // With the brokers away every write would wait out its deadline; once so many wait, the next ones need not.
            if !self.progress.brokers_answer() && self.writer.in_flight() > WAITING_MAX {
                return Err(Refusal::LogUnavailable("the brokers don't answer".into()));
            }
            let now = clock::now();
            let refusals: Vec<Option<Refusal>> = events.iter().enumerate().map(|(n, event)| self.check(event, n, now)).collect();
            let valid = events.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
            let records = valid.map(|(event, _)| encode::event(&self.topics, event, decode::Format::Protobuf)).collect();
            let written = due.within(self.writer.write(records)).await?;
            if let (Some(error), true) = (none_written(&written), refusals.iter().all(Option::is_none)) {
                return Err(error.into()); // one status for all, with the time to wait before a retry
            }
            let mut written = written.into_iter();
            let results = refusals.into_iter().map(|refusal| match refusal {
                Some(refusal) => v1::WriteEventResult { error: Some(refusal.into()), ..Default::default() },
                None => match written.next() {
                    Some(Ok((partition, offset))) => v1::WriteEventResult { error: None, partition, offset },
                    Some(Err(error)) => v1::WriteEventResult { error: Some(Refusal::from(error).into()), ..Default::default() },
                    None => {
                        let lost = Refusal::LogUnavailable("no acknowledgement".into());
                        v1::WriteEventResult { error: Some(lost.into()), ..Default::default() }
                    }
                },
            });
            Ok(v1::WriteEventsResponse { results: results.collect() })
        })
        .await
    }
}

/// Why nothing was written, if that is so because the log is away.
fn none_written(written: &[Result<(i32, i64), WriteError>]) -> Option<WriteError> {
    let unavailable = |result: &Result<_, WriteError>| matches!(result, Err(WriteError::Unavailable(_)));
    let first = written.first()?.as_ref().err()?;
    written.iter().all(unavailable).then(|| first.clone())
}

impl Services {
    /// What the consumer would refuse is refused here, with the path of the field.
    fn check(&self, event: &v1::Event, n: usize, now: EventTime) -> Option<Refusal> {
        let checked = validate::event(event);
        let in_time = checked.and_then(|event| self.not_future("event_time_ms", event.time, now));
        in_time.err().map(|violation| violation.under(&format!("events[{n}]")).into())
    }
}
