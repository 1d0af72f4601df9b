//! What is known of a request before it is decoded: from whom, how critical, due when.

use tonic::Extensions;

use super::deadline::Due;
use crate::overload::{Criticality, callers::Caller};

/// A request's place in the order of things; the door puts it into the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When the answer is due, counted from when the request came in: waiting takes from it too.
    pub due: Due,
    /// How critical, within what the caller may claim.
    pub criticality: Criticality,
    /// Who asks.
    pub caller: Caller,
}

impl Turn {
    /// That of a request which came through the door; `None` for one that did not.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }
}
