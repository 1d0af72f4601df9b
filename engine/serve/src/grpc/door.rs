//! The way in: what asks for recommendations gets its turn, waits for it or is refused, before anything of it is decoded.
//!
//! Called by the task of the connection, for each request as it is read, so that requests which only wait for a thread are already
//! counted. Everything else (writing events, looking at a profile, administration) passes: what is told is never shed. A turn is
//! held while a request is worked on and given back whenever it has to wait, for the rest of its message or between parts of a
//! batch: so neither a slow caller nor a huge batch holds what others need.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use hyper::body::Incoming;
use tonic::{
    body::Body,
    codegen::{BoxFuture, Service as _, http},
    service::Routes,
};

use super::{deadline::Due, refusal::Refusals, route::Recommendations, turn::Turn};
use crate::overload::{Criticality, Entry, Level, Overload, Permit, Refused, admission::Ticket, gate::Traffic};

/// Paths that wait for their turn.
const LIMITED: &str = "/faces.v1.RecommendationService/";
const CRITICALITY: &str = "x-faces-criticality";
const CALLER: &str = "x-faces-caller";

/// The services behind their door.
pub struct Door {
    recommendations: Recommendations,
    others: Routes,
    overload: Arc<Overload>,
    deadline_ms_max: u64,
    refusals: Refusals,
}

impl Door {
    /// A door in front of both.
    pub fn new(recommendations: Recommendations, others: Routes, overload: Arc<Overload>, deadline_ms_max: u64) -> Self {
        Self { recommendations, others: others.prepare(), overload, deadline_ms_max, refusals: Refusals::default() }
    }

    /// Takes in a request from `address`.
    fn take(self: &Arc<Self>, mut request: http::Request<Incoming>, address: IpAddr, traffic: &Traffic) -> Call {
        if !request.uri().path().starts_with(LIMITED) {
            return Call::Passing(Box::pin(self.others.clone().call(request.map(Body::new))));
        }
        let now = Instant::now();
        let turn = self.turn(request.headers(), address, now);
        traffic.note(turn.criticality);
        let entry = match self.overload.callers.may_send(turn.caller, now) {
            true => {
                let least = self.overload.ladder.cost(Level::Popular);
                let entry = self.overload.admission.enter(now, turn.criticality, turn.due.instant(), least);
                if matches!(entry, Entry::Refused(Refused::Late)) {
                    self.overload.ladder.note_too_dear(Level::Popular);
                }
                entry
            }
            false => {
                self.overload.admission.note_refused(Refused::RateLimited, turn.criticality);
                Entry::Refused(Refused::RateLimited)
            }
        };
        let stage = match entry {
            Entry::Refused(why) => return Call::Refused(Some(self.refuse(why, now))),
            Entry::Admitted(permit) => Stage::Working(permit),
            Entry::Waiting(ticket) => Stage::Waiting(ticket),
        };
        request.extensions_mut().insert(turn);
        Call::InTurn(Box::new(InTurn { door: Arc::clone(self), turn, stage, work: Work::Not(Some(Box::new(request))) }))
    }

    fn turn(&self, headers: &http::HeaderMap, address: IpAddr, now: Instant) -> Turn {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let caller = self.overload.callers.caller(text(CALLER), address);
        let claimed = headers.get(CRITICALITY).and_then(|value| Criticality::parse(value.as_bytes())).unwrap_or_default();
        let criticality = claimed.min(caller.may.criticality_max);
        Turn { due: Due::after(text("grpc-timeout"), self.deadline_ms_max, now), criticality, caller }
    }

    fn refuse(&self, why: Refused, now: Instant) -> http::Response<Body> {
        self.overload.gate.refused(now);
        self.refusals.response(why)
    }
}

/// The door as one connection has it.
pub struct Visitor {
    /// The door.
    pub door: Arc<Door>,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// What it asks for.
    pub traffic: Arc<Traffic>,
}

impl hyper::service::Service<http::Request<Incoming>> for Visitor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: http::Request<Incoming>) -> Call {
        self.door.take(request, self.address, &self.traffic)
    }
}

/// A request on its way.
pub enum Call {
    /// Refused at once.
    Refused(Option<http::Response<Body>>),
    /// Not subject to turns.
    Passing(BoxFuture<http::Response<Body>, Infallible>),
    /// Waiting for its turn, or having it.
    InTurn(Box<InTurn>),
}

impl Future for Call {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Refused(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
            Self::Passing(work) => work.as_mut().poll(context),
            Self::InTurn(in_turn) => in_turn.poll(context),
        }
    }
}

/// A request that is worked on in turns.
pub struct InTurn {
    door: Arc<Door>,
    turn: Turn,
    stage: Stage,
    work: Work,
}

enum Stage {
    Waiting(Ticket),
    Working(Permit),
    /// Without a turn, until there is something to work on or its time is over; `None` once it is done.
    Parked(Option<Pin<Box<tokio::time::Sleep>>>),
}

enum Work {
    Not(Option<Box<http::Request<Incoming>>>),
    Begun(BoxFuture<http::Response<Body>, Infallible>),
}

impl InTurn {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<http::Response<Body>, Infallible>> {
        loop {
            let next = match &mut self.stage {
                Stage::Waiting(ticket) => match ready!(Pin::new(ticket).poll(context)) {
                    Ok(Ok(permit)) => Stage::Working(permit),
                    Ok(Err(why)) => return Poll::Ready(Ok(self.door.refuse(why, Instant::now()))),
                    Err(_) => return Poll::Ready(Ok(self.door.refuse(Refused::Overloaded, Instant::now()))),
                },
                Stage::Parked(until) => {
                    if until.as_mut().is_none_or(|until| until.as_mut().poll(context).is_ready()) {
                        self.door.overload.admission.note_refused(Refused::Late, self.turn.criticality);
                        return Poll::Ready(Ok(self.door.refuse(Refused::Late, Instant::now())));
                    }
                    let (now, due) = (Instant::now(), self.turn.due.instant());
                    match self.door.overload.admission.enter_again(now, self.turn.criticality, due) {
                        Entry::Admitted(permit) => Stage::Working(permit),
                        Entry::Waiting(ticket) => Stage::Waiting(ticket),
                        Entry::Refused(why) => return Poll::Ready(Ok(self.door.refuse(why, now))),
                    }
                }
                Stage::Working(_) => {
                    let began = Instant::now();
                    let polled = self.work.poll(&self.door, context);
                    let now = Instant::now();
                    let mut until = None;
                    if polled.is_pending() {
                        let mut sleep = Box::pin(tokio::time::sleep_until(self.turn.due.instant().into()));
                        _ = sleep.as_mut().poll(context); // to be woken when its time is over
                        until = Some(sleep);
                    }
                    if let Stage::Working(permit) = std::mem::replace(&mut self.stage, Stage::Parked(until)) {
                        permit.finish(now, now.saturating_duration_since(began));
                    }
                    if polled.is_ready() {
                        self.door.overload.gate.answered(now);
                    }
                    return polled;
                }
            };
            self.stage = next;
        }
    }
}

impl Work {
    fn poll(&mut self, door: &Door, context: &mut Context<'_>) -> Poll<Result<http::Response<Body>, Infallible>> {
        if let Self::Not(request) = self {
            let Some(request) = request.take() else { return Poll::Ready(Ok(http::Response::default())) };
            *self = Self::Begun(door.recommendations.call((*request).map(Body::new)));
        }
        match self {
            Self::Begun(work) => work.as_mut().poll(context),
            Self::Not(_) => Poll::Pending,
        }
    }
}
