//! Where and when a rule is in force.

use crate::ids::EventTime;

/// The moment and place of one request, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Name of the business unit whose items are wanted.
    pub bu: &'a str,
    /// Where the slate is shown; `None` for answers that are no placement's (items like one).
    pub placement: Option<&'a str>,
    /// Now.
    pub now: EventTime,
}

/// Where and when a rule is in force; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only on slates of this business unit.
    pub bu: Option<Box<str>>,
    /// Only in this placement.
    pub placement: Option<Box<str>>,
    /// From then on.
    pub from: Option<EventTime>,
    /// Until then, which is no longer part of it.
    pub until: Option<EventTime>,
}

impl Scope {
    /// Whether the rule is in force.
    #[must_use]
    pub fn covers(&self, moment: &Moment<'_>) -> bool {
        self.bu.as_deref().is_none_or(|bu| bu == moment.bu)
            && self.placement.as_deref().is_none_or(|placement| moment.placement == Some(placement))
            && self.from.is_none_or(|from| from <= moment.now)
            && self.until.is_none_or(|until| moment.now < until)
    }

    /// Whether there is a moment that both cover.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let agree = |a: &Option<Box<str>>, b: &Option<Box<str>>| a.is_none() || b.is_none() || a == b;
        let begins_before_end = |a: &Self, b: &Self| a.from.zip(b.until).is_none_or(|(from, until)| from < until);
        agree(&self.bu, &other.bu)
            && agree(&self.placement, &other.placement)
            && begins_before_end(self, other)
            && begins_before_end(other, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;

    fn scope() -> impl Strategy<Value = Scope> {
        let name = |names: Vec<&'static str>| option::of(select(names).prop_map(Box::from));
        let time = || option::of((0..5_i64).prop_map(EventTime::from_millis));
        let parts = (name(vec!["a", "b"]), name(vec!["x", "y"]), time(), time());
        parts.prop_map(|(bu, placement, from, until)| Scope { bu, placement, from, until })
    }

    proptest! {
        #[test]
        fn two_overlap_where_some_moment_is_covered_by_both(a in scope(), b in scope()) {
            let is_empty = |scope: &Scope| scope.from.zip(scope.until).is_some_and(|(from, until)| until <= from);
            prop_assume!(!is_empty(&a) && !is_empty(&b)); // refused when rules are read
            let both = |bu, placement, now| {
                let moment = Moment { bu, placement: Some(placement), now: EventTime::from_millis(now) };
                a.covers(&moment) && b.covers(&moment)
            };
            let any = ["a", "b"].iter().any(|bu| ["x", "y"].iter().any(|at| (-1..6).any(|now| both(bu, at, now))));
            prop_assert_eq!(a.overlaps(&b), any);
            prop_assert_eq!(b.overlaps(&a), any);
        }
    }

    #[test]
    fn a_rule_for_a_placement_says_nothing_elsewhere() {
        let moment = |placement| Moment { bu: "a", placement, now: EventTime::from_millis(0) };
        let of_placement = Scope { placement: Some("x".into()), ..Scope::default() };
        assert!(of_placement.covers(&moment(Some("x"))) && !of_placement.covers(&moment(Some("y"))));
        assert!(!of_placement.covers(&moment(None)) && Scope::default().covers(&moment(None)));
    }
}
