//! Every way a call is refused, and the one table that turns it into a gRPC status with `google.rpc` details.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use faces_ingest::{WriteError, validate::Violation};
use faces_proto::v1;
use thiserror::Error;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Response},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::overload::Refused;

/// `ErrorInfo.domain` of everything this server refuses.
pub const DOMAIN: &str = "faces.v1";

/// Why a call is refused.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Fields that break their contract.
    #[error("{}", violations_text(.0))]
    Invalid(Vec<Violation>),
    /// A business unit that nothing has named yet.
    #[error("business unit {0:?} is unknown: no event and no item has named it; check the spelling")]
    UnknownUnit(String),
    /// An item that nothing has named yet, or that is deleted.
    #[error("item {item_id:?} of {bu:?} is unknown or deleted")]
    UnknownItem {
        /// Its business unit.
        bu: String,
        /// Its id.
        item_id: String,
    },
    /// The time that the caller gave is over.
    #[error("the deadline passed; give more time or ask for less")]
    DeadlineExceeded,
    /// The log does not acknowledge.
    #[error("the log is not available: {0}; nothing was lost that was acknowledged, retry the rest")]
    LogUnavailable(String),
    /// The log will never take this.
    #[error("the log refuses the record: {0}")]
    LogRejected(String),
    /// A generation that is not sound or not there; the old one goes on serving.
    #[error("generation refused: {0}; the one in service stays")]
    Generation(String),
    /// The state is being read for something else.
    #[error("the state can't be cut just now ({0}): try again in a moment")]
    Busy(&'static str),
    /// More is asked than can be answered.
    #[error("more is asked than can be answered; wait before you ask again, and ask elsewhere meanwhile")]
    Overloaded(Duration),
    /// The caller asks more than it may.
    #[error("this caller asks more than it may (overload.callers); spread the requests, or have its rate raised")]
    RateLimited,
}

fn violations_text(violations: &[Violation]) -> String {
    match violations {
        [] => "the request is not valid".into(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

impl Refusal {
    /// A refusal of one field.
    pub fn field(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }

    /// Field paths of what is refused start at `parent`.
    pub fn under(self, parent: &str) -> Self {
        match self {
            Self::Invalid(violations) => Self::Invalid(violations.into_iter().map(|violation| violation.under(parent)).collect()),
            other => other,
        }
    }

    /// The table: status code, `ErrorInfo.reason`, and how long to wait before a retry that makes sense.
    const fn row(&self) -> (Code, &'static str, Option<Duration>) {
        match self {
            Self::Invalid(_) => (Code::InvalidArgument, "INVALID_FIELD", None),
            Self::UnknownUnit(_) => (Code::NotFound, "UNKNOWN_BU", None),
            Self::UnknownItem { .. } => (Code::NotFound, "UNKNOWN_ITEM", None),
            Self::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None),
            Self::LogUnavailable(_) => (Code::Unavailable, "LOG_UNAVAILABLE", Some(Duration::from_secs(1))),
            Self::LogRejected(_) => (Code::FailedPrecondition, "LOG_REJECTED", None),
            Self::Generation(_) => (Code::FailedPrecondition, "GENERATION_REFUSED", None),
            Self::Busy(_) => (Code::Aborted, "STATE_BUSY", Some(Duration::from_secs(1))),
            Self::Overloaded(retry) => (Code::Unavailable, "OVERLOADED", Some(*retry)),
            Self::RateLimited => (Code::ResourceExhausted, "RATE_LIMITED", Some(Duration::from_secs(1))),
        }
    }

    /// The status code.
    pub const fn code(&self) -> Code {
        self.row().0
    }
}

/// Refusals that are given before a request is looked at, made beforehand: they must cost next to nothing.
pub struct Refusals {
    /// With several times to wait, so that callers don't all come back at once.
    overloaded: Vec<HeaderMap>,
    rate_limited: HeaderMap,
    late: HeaderMap,
    turn: AtomicUsize,
}

impl Default for Refusals {
    fn default() -> Self {
        let headers = |refusal: Refusal| Status::from(refusal).into_http::<Body>().into_parts().0.headers;
        let waits = (1..=8).map(|quarter| Duration::from_millis(250 * quarter));
        Self {
            overloaded: waits.map(Refusal::Overloaded).map(headers).collect(),
            rate_limited: headers(Refusal::RateLimited),
            late: headers(Refusal::DeadlineExceeded),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Refusals {
    /// The response that says why.
    pub fn response(&self, why: Refused) -> Response<Body> {
        let headers = match why {
            Refused::Overloaded => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.overloaded.len().max(1);
                self.overloaded.get(turn).unwrap_or(&self.late)
            }
            Refused::RateLimited => &self.rate_limited,
            Refused::Late => &self.late,
        };
        let mut response = Response::new(Body::empty());
        response.headers_mut().clone_from(headers);
        response
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::field(violation)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable(reason) => Self::LogUnavailable(reason),
            WriteError::Rejected(reason) => Self::LogRejected(reason),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, retry_after) = refusal.row();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, HashMap::new());
        if let Refusal::Invalid(violations) = &refusal {
            let fields = violations.iter().map(|v| FieldViolation::new(&v.field, &v.description));
            details.set_bad_request(fields.collect::<Vec<_>>());
        }
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        Self::with_error_details(code, refusal.to_string(), details)
    }
}

impl From<Refusal> for v1::EntryError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let code = refusal.code() as i32;
        let violations = match refusal {
            Refusal::Invalid(violations) => violations,
            _ => Vec::new(),
        };
        let violations = violations.into_iter().map(|v| v1::FieldViolation { field: v.field, description: v.description });
        Self { code, message, violations: violations.collect() }
    }
}
