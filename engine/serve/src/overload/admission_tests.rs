use super::*;
use Criticality::{Critical, Default as Usual, Sheddable};

const SECOND: Duration = Duration::from_secs(1);

fn admission(concurrency: usize, queue_max: usize, shares: [f64; 3]) -> (Arc<Admission>, Instant) {
    let options = AdmissionOptions { concurrency_min: concurrency, concurrency_max: concurrency, queue_max, shares };
    let now = Instant::now();
    (Arc::new(Admission::new(options, now)), now)
}

fn permit(entry: Entry) -> Permit {
    match entry {
        Entry::Admitted(permit) => permit,
        other => panic!("not admitted: {other:?}"),
    }
}

fn ticket(entry: Entry) -> Ticket {
    match entry {
        Entry::Waiting(ticket) => ticket,
        other => panic!("does not wait: {other:?}"),
    }
}

fn enter(admission: &Arc<Admission>, now: Instant, criticality: Criticality) -> Entry {
    admission.enter(now, criticality, now + SECOND, Duration::ZERO)
}

#[test]
fn a_turn_that_ends_goes_to_the_most_critical_that_waits() {
    let (admission, now) = admission(1, 10, [1.0; 3]);
    let first = permit(enter(&admission, now, Usual));
    let mut sheddable = ticket(enter(&admission, now, Sheddable));
    let mut critical = ticket(enter(&admission, now, Critical));
    assert_eq!(admission.standing(), Standing { limit: 1, in_flight: 1, waiting: 2 });
    first.finish(now, Duration::ZERO);
    let second = critical.try_recv().unwrap().unwrap();
    assert!(sheddable.try_recv().is_err());
    drop(second);
    assert!(sheddable.try_recv().unwrap().is_ok(), "a turn that is dropped is handed on too");
    assert_eq!(admission.standing(), Standing { limit: 1, in_flight: 0, waiting: 0 });
}

#[test]
fn the_least_critical_are_refused_first_and_the_critical_last() {
    let (admission, now) = admission(1, 3, [1.0; 3]);
    let _working = permit(enter(&admission, now, Usual));
    let mut sheddable = ticket(enter(&admission, now, Sheddable));
    let mut usual = [Usual, Usual].map(|criticality| ticket(enter(&admission, now, criticality)));
    assert!(
        matches!(enter(&admission, now, Sheddable), Entry::Waiting(_)),
        "the newest of its kind is worth more than the oldest"
    );
    assert_eq!(sheddable.try_recv().unwrap().unwrap_err(), Refused::Overloaded);
    let _critical: Vec<_> = (0..3).map(|_| ticket(enter(&admission, now, Critical))).collect();
    assert!(usual.iter_mut().all(|ticket| ticket.try_recv().unwrap().is_err()));
    assert!(matches!(enter(&admission, now, Usual), Entry::Refused(Refused::Overloaded)));
    let refused: Vec<_> = admission.refused().filter(|(.., count)| *count > 0).collect();
    assert_eq!(refused, [(Refused::Overloaded, Sheddable, 2), (Refused::Overloaded, Usual, 3)]);
}

#[test]
fn the_less_critical_leave_room_for_the_critical() {
    let (admission, now) = admission(10, 10, [0.2, 0.5, 1.0]);
    let _two: Vec<_> = (0..2).map(|_| permit(enter(&admission, now, Sheddable))).collect();
    let _third = ticket(enter(&admission, now, Sheddable));
    let _five: Vec<_> = (0..3).map(|_| permit(enter(&admission, now, Usual))).collect();
    let _sixth = ticket(enter(&admission, now, Usual));
    let _ten: Vec<_> = (0..5).map(|_| permit(enter(&admission, now, Critical))).collect();
    assert_eq!(admission.standing(), Standing { limit: 10, in_flight: 10, waiting: 2 });
}

#[test]
fn what_cannot_finish_in_its_time_is_not_begun() {
    let (admission, now) = admission(1, 10, [1.0; 3]);
    let due = now + Duration::from_millis(1);
    let late = admission.enter(now, Critical, due, Duration::from_millis(2));
    assert!(matches!(late, Entry::Refused(Refused::Late)));
    let working = permit(enter(&admission, now, Usual));
    let mut waits = ticket(admission.enter(now, Critical, due, Duration::ZERO));
    let mut next = ticket(enter(&admission, now, Sheddable));
    working.finish(due, Duration::ZERO);
    assert_eq!(waits.try_recv().unwrap().unwrap_err(), Refused::Late);
    assert!(next.try_recv().unwrap().is_ok());
}

#[test]
fn whoever_has_gone_holds_nobody_up() {
    let (admission, now) = admission(1, 10, [1.0; 3]);
    let working = permit(enter(&admission, now, Usual));
    drop(ticket(enter(&admission, now, Usual)));
    let mut stays = ticket(enter(&admission, now, Usual));
    working.finish(now, Duration::ZERO);
    assert!(stays.try_recv().unwrap().is_ok());
    assert_eq!(admission.standing(), Standing { limit: 1, in_flight: 0, waiting: 0 });
}

#[test]
fn what_has_begun_is_never_put_out_and_takes_nobodys_place() {
    let (admission, now) = admission(1, 1, [1.0; 3]);
    let _working = permit(enter(&admission, now, Usual));
    let mut again = ticket(admission.enter_again(now, Sheddable, now + SECOND));
    let mut critical = ticket(enter(&admission, now, Critical));
    let _newer = ticket(enter(&admission, now, Critical));
    assert_eq!(critical.try_recv().unwrap().unwrap_err(), Refused::Overloaded, "of one place");
    assert!(again.try_recv().is_err(), "it waits on");
}

#[test]
fn pressure_tells_a_queue_that_stands_from_one_that_comes_and_goes() {
    let (admission, now) = admission(1, 10, [1.0; 3]);
    let working = permit(enter(&admission, now, Usual));
    let _waits = ticket(enter(&admission, now, Usual));
    assert_eq!(admission.take_pressure(), Pressure { arrivals: 2, waited: 1, refused: 0, waiting_min: 0 });
    assert_eq!(admission.take_pressure().waiting_min, 1);
    working.finish(now, Duration::ZERO);
    assert_eq!(admission.take_pressure().waiting_min, 0);
}
