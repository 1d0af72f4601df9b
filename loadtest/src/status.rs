//! gRPC statuses as a caller sees them.

use tonic::{Code, Status, TimeoutExpired};

/// The status that a caller would see. Both sides of tonic report an expired deadline as CANCELLED; other clients, and the
/// specification, say DEADLINE_EXCEEDED.
#[must_use]
pub fn normalised(status: Status) -> Status {
    if status.code() == Code::Cancelled && status.message() == TimeoutExpired(()).to_string() {
        Status::deadline_exceeded("the deadline passed")
    } else {
        status
    }
}

/// Name of a code as the gRPC specification writes it.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
