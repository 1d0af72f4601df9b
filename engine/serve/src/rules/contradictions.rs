//! Rules that can't both be meant. Each is told with both places and a way out.

use faces_core::ranking::rules::{Boost, Matcher, Pin};

use super::{kinds::Read, problem::Problem};

/// All contradictions between rules whose scopes share a moment. Cost: a look at every pair.
pub fn contradictions(
    pins: &[Read<Pin>],
    boosts: &[Read<Boost>],
    burials: &[Read<Matcher>],
    hidden: &[Read<Matcher>],
    into: &mut Vec<Problem>,
) {
    for (n, later) in pins.iter().enumerate() {
        into.extend(pins.iter().take(n).filter_map(|earlier| of_pins(earlier, later)));
        into.extend(hidden.iter().filter_map(|hide| pinned_and_hidden(later, hide)));
    }
    for (n, later) in boosts.iter().enumerate() {
        into.extend(boosts.iter().take(n).filter_map(|earlier| of_boosts(earlier, later)));
        into.extend(burials.iter().filter_map(|bury| lifted_and_buried(later, bury)));
    }
}

fn overlap<A, B>(a: &Read<A>, b: &Read<B>) -> bool {
    a.rule.scope.overlaps(&b.rule.scope)
}

/// Told at the line of the later rule.
fn told<A, B>(later: &Read<A>, message: String, earlier: &Read<B>, way_out: &str) -> Problem {
    Problem { line: later.place.line, message: format!("{}: {message} {}; {way_out}", later.place, earlier.place) }
}

fn of_pins(earlier: &Read<Pin>, later: &Read<Pin>) -> Option<Problem> {
    if !overlap(earlier, later) {
        return None;
    }
    let (a, b) = (&earlier.rule.what, &later.rule.what);
    if a.position == b.position {
        let message = format!("wants {:?} at position {}, where {:?} is wanted at the same time by", b.item, b.position, a.item);
        let way_out = "give one of them another position, placement or time";
        return Some(told(later, message, earlier, way_out));
    }
    if a.item != b.item {
        return None;
    }
    let message = format!("wants {:?} at position {} and at the same time it is wanted at {} by", b.item, b.position, a.position);
    Some(told(later, message, earlier, "an item stands once on a slate: drop one of them, or give it another placement or time"))
}

fn pinned_and_hidden(pin: &Read<Pin>, hide: &Read<Matcher>) -> Option<Problem> {
    let item = &pin.rule.what.item;
    let contradicts = hide.rule.what.names(item) && overlap(pin, hide);
    contradicts.then(|| {
        told(
            pin,
            format!("pins {item:?}, which is hidden at the same time by"),
            hide,
            "drop one of them, or give it another time",
        )
    })
}

fn of_boosts(earlier: &Read<Boost>, later: &Read<Boost>) -> Option<Problem> {
    let (a, b) = (&earlier.rule.what, &later.rule.what);
    let contradicts = a.items == b.items && a.change.raises() != b.change.raises() && overlap(earlier, later);
    let (one, other) = if b.change.raises() { ("lifts", "sunk") } else { ("sinks", "lifted") };
    let way_out = "drop one of them, or give it another placement or time";
    contradicts.then(|| told(later, format!("{one} the same items that are {other} at the same time by"), earlier, way_out))
}

fn lifted_and_buried(boost: &Read<Boost>, bury: &Read<Matcher>) -> Option<Problem> {
    let of = &boost.rule.what;
    let contradicts = of.change.raises() && of.items == bury.rule.what && overlap(boost, bury);
    let way_out = "drop one of them, or give it another placement or time";
    contradicts.then(|| told(boost, "lifts the same items that are buried at the same time by".into(), bury, way_out))
}
