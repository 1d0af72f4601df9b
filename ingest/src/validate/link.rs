//! Identity links.

use faces_core::identity::{Confidence, Evidence, Operation, Statement};
use faces_proto::v1;

use super::{Violation, source_key, time};
use crate::Reason;

/// Checks a statement about a pair of keys.
///
/// # Errors
/// The first field at fault; `b` with [`Reason::SelfLink`] when both keys are the same.
pub fn link(link: &v1::IdentityLink) -> Result<Statement, Violation> {
    let key = |field: &str, key: &Option<v1::SourceKey>| {
        let key = key.as_ref().ok_or_else(|| Violation::missing(field))?;
        source_key(key).map_err(|violation| violation.under(field))
    };
    let (a, b) = (key("a", &link.a)?, key("b", &link.b)?);
    let operation = match v1::LinkOperation::try_from(link.operation) {
        Ok(v1::LinkOperation::Link) => Operation::Link,
        Ok(v1::LinkOperation::Unlink) => Operation::Unlink,
        Ok(v1::LinkOperation::Unspecified) => return Err(Violation::missing("operation")),
        Err(_) => return Err(unknown("operation", link.operation, "LinkOperation")),
    };
    let evidence = match v1::LinkEvidence::try_from(link.evidence) {
        Ok(v1::LinkEvidence::Login) => Evidence::Login,
        Ok(v1::LinkEvidence::Declared) => Evidence::Declared,
        Ok(v1::LinkEvidence::SharedContact) => Evidence::SharedContact,
        Ok(v1::LinkEvidence::Payment) => Evidence::Payment,
        Ok(v1::LinkEvidence::Inferred) => Evidence::Inferred,
        Ok(v1::LinkEvidence::Unspecified) => return Err(Violation::missing("evidence")),
        Err(_) => return Err(unknown("evidence", link.evidence, "LinkEvidence")),
    };
    let confidence = if link.confidence == 0.0 { Some(Confidence::FULL) } else { Confidence::new(link.confidence) };
    let confidence = confidence
        .ok_or_else(|| Violation::new("confidence", Reason::BadValue, "is not above 0 and up to 1 (0, unset, means 1)"))?;
    let time = time("event_time_ms", link.event_time_ms)?;
    Statement::new(a, b, evidence, operation, confidence, time)
        .ok_or_else(|| Violation::new("b", Reason::SelfLink, "is the same key as `a`"))
}

fn unknown(field: &str, number: i32, of: &str) -> Violation {
    Violation::new(field, Reason::InvalidField, format!("{number} is no {of}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::validate::tests::{key, verdict};

    pub(crate) fn login() -> v1::IdentityLink {
        v1::IdentityLink {
            a: Some(key("shop", "u1")),
            b: Some(key("video", "u1")),
            operation: v1::LinkOperation::Link.into(),
            evidence: v1::LinkEvidence::Login.into(),
            confidence: 0.0,
            event_time_ms: 1_700_000_000_000,
        }
    }

    type Edit = fn(&mut v1::IdentityLink);

    #[test]
    fn fields() {
        let cases: [(Edit, &str); 14] = [
            (|_| {}, "ok"),
            (|l| l.confidence = 1.0, "ok"),
            (|l| l.confidence = 1.5, "confidence bad_value"),
            (|l| l.confidence = -0.5, "confidence bad_value"),
            (|l| l.confidence = f64::NAN, "confidence bad_value"),
            (|l| l.a = None, "a missing_field"),
            (|l| l.b = None, "b missing_field"),
            (|l| l.b = Some(key("video", &"x".repeat(10_240))), "b.id too_long"),
            (|l| l.b = l.a.clone(), "b self_link"),
            (|l| l.operation = 0, "operation missing_field"),
            (|l| l.operation = 3, "operation invalid_field"),
            (|l| l.evidence = 0, "evidence missing_field"),
            (|l| l.evidence = -1, "evidence invalid_field"),
            (|l| l.event_time_ms = 0, "event_time_ms bad_time"),
        ];
        for (edit, expected) in cases {
            let mut changed = login();
            edit(&mut changed);
            assert_eq!(verdict(link(&changed)), expected, "{changed:?}");
        }
    }
}
