//! The pointer moves for whoever knows where it stands; the way back is known; and nothing goes that is needed.

use std::{fs, path::PathBuf, sync::Arc};

use super::{
    super::{Kept, tests::generation},
    *,
};

fn store(generations: u32) -> (tempfile::TempDir, Store, Vec<GenerationId>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let ids = (0..generations).map(|seed| store.publish(&generation(seed)).unwrap()).collect();
    (folder, store, ids)
}

#[test]
fn a_mover_who_knows_an_old_state_is_refused() {
    let (_folder, store, ids) = store(2);
    let seen = store.pointer().unwrap();
    let third = store.stage(&generation(2)).unwrap();
    store.activate(&ids[0]).unwrap();
    let refused = store.swing(&third, Expected::Still(seen.as_ref()), How::Published, "").unwrap_err();
    assert!(matches!(refused, GenerationError::Moved { .. }), "{refused}");
    let said = refused.to_string();
    assert!([&ids[0], &ids[1], &third].iter().all(|id| said.contains(id.as_str())), "{said}");
    assert_eq!(store.current().unwrap().as_ref(), Some(&ids[0]));
    // The same generation is current again, but by another turn: what was compared with it may not hold any more.
    store.activate(&ids[1]).unwrap();
    assert!(store.swing(&third, Expected::Still(seen.as_ref()), How::Published, "").is_err());
    let seen = store.pointer().unwrap();
    store.swing(&third, Expected::Still(seen.as_ref()), How::Published, "").unwrap();
    assert_eq!(store.current().unwrap(), Some(third));
}

#[test]
fn of_movers_who_saw_the_same_one_wins() {
    let (_folder, store, ids) = store(1);
    let others: Vec<_> = (1..9).map(|seed| store.stage(&generation(seed)).unwrap()).collect();
    let seen = Arc::new(store.pointer().unwrap());
    let movers = others.into_iter().map(|id| {
        let (store, seen) = (store.clone(), Arc::clone(&seen));
        std::thread::spawn(move || {
            store.swing(&id, Expected::Still(seen.as_ref().as_ref()), How::Published, "").is_ok().then_some(id)
        })
    });
    let movers: Vec<_> = movers.collect();
    let winners: Vec<_> = movers.into_iter().filter_map(|mover| mover.join().unwrap()).collect();
    assert_eq!((winners.len(), store.current().unwrap().as_ref()), (1, winners.first()));
    let history = store.history().unwrap();
    assert_eq!(history.iter().map(|turn| turn.turn).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(history[1].before.as_ref(), Some(&ids[0]));
}

#[test]
fn roll_backs_go_down_the_history() {
    let (_folder, store, ids) = store(3);
    assert_eq!(store.rollback("too many empty slates").unwrap(), (ids[2].clone(), ids[1].clone()));
    let fourth = store.publish(&generation(3)).unwrap();
    assert_eq!(store.rollback("").unwrap(), (fourth.clone(), ids[1].clone()), "not to the third, which was taken back");
    assert_eq!(store.rollback("").unwrap(), (ids[1].clone(), ids[0].clone()));
    assert!(matches!(store.rollback(""), Err(GenerationError::NothingBefore { .. })));
    let (_empty, nothing, _) = self::store(0);
    assert!(matches!(nothing.rollback(""), Err(GenerationError::NothingCurrent { .. })));
    let history = store.history().unwrap();
    let turns: Vec<_> = history.iter().map(|turn| (turn.turn, &turn.id, turn.how)).collect();
    let (published, back) = (How::Published, How::RolledBack);
    let expected = [(1, &ids[0], published), (2, &ids[1], published), (3, &ids[2], published), (4, &ids[1], back)];
    assert_eq!(turns[..4], expected);
    assert_eq!(turns[4..], [(5, &fourth, published), (6, &ids[1], back), (7, &ids[0], back)]);
    assert_eq!(history[3].why, "too many empty slates");
}

#[test]
fn roll_backs_from_what_was_activated_again_end_at_the_first() {
    let (_folder, store, ids) = store(3);
    store.activate(&ids[0]).unwrap();
    let back: Vec<_> = (0..3).map(|_| store.rollback("").unwrap().1).collect();
    assert_eq!(back, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert!(matches!(store.rollback(""), Err(GenerationError::NothingBefore { .. })), "not round in circles");
}

#[test]
fn what_is_current_already_is_no_move_whatever_its_mover_saw() {
    let (_folder, store, ids) = store(1);
    let second = store.stage(&generation(1)).unwrap();
    let seen = store.pointer().unwrap();
    store.swing(&second, Expected::Any, How::Published, "").unwrap(); // by a server that follows an object store
    store.swing(&second, Expected::Still(seen.as_ref()), How::Published, "").unwrap();
    assert_eq!((store.current().unwrap(), store.history().unwrap().len()), (Some(second), ids.len() + 1));
}

#[test]
fn a_roll_back_to_what_is_damaged_leaves_the_pointer_alone() {
    let (_folder, store, ids) = store(2);
    fs::write(store.root().join(ids[0].as_str()).join("items.bin"), b"").unwrap();
    let refused = store.rollback("").unwrap_err().to_string();
    assert!(refused.contains("items.bin"), "{refused}");
    assert_eq!(store.current().unwrap().as_ref(), Some(&ids[1]));
}

#[test]
fn a_pointer_of_a_hand_is_taken_and_a_turn_that_did_not_happen_is_not() {
    let (_folder, store, ids) = store(3);
    // A mover died between history and pointer.
    fs::write(store.root().join(CURRENT), format!("{} 2\n", ids[1])).unwrap();
    assert_eq!(store.history().unwrap().len(), 2);
    fs::write(store.root().join(CURRENT), format!("{}\n", ids[2])).unwrap();
    assert_eq!(store.pointer().unwrap(), Some(Pointer { id: ids[2].clone(), turn: 0 }));
    assert_eq!(store.rollback("").unwrap().1, ids[1]);
    fs::write(store.root().join(HISTORY), "{").unwrap();
    assert!(store.history().unwrap_err().to_string().contains("HISTORY"));
    store.activate(&ids[0]).unwrap();
    assert_eq!(store.history().unwrap().len(), 1, "it begins anew");
}

#[test]
fn collecting_keeps_what_is_current_what_was_before_and_what_is_in_use() {
    let (_folder, store, ids) = store(6);
    store.activate(&ids[1]).unwrap(); // before it: the sixth
    let held = store.hold(&ids[2]).unwrap();
    let left: PathBuf = store.root().join(format!(".staging-{}-9-9", ids[0]));
    fs::create_dir(&left).unwrap();
    let planned = store.collect(0, true).unwrap();
    assert_eq!((store.list().unwrap().len(), left.exists()), (6, true), "nothing is deleted for a look");
    let collected = store.collect(0, false).unwrap();
    assert_eq!((&collected.deleted, collected.leftovers), (&planned.deleted, 1));
    assert_eq!(collected.deleted, [ids[4].clone(), ids[3].clone(), ids[0].clone()]);
    let kept = [(ids[5].clone(), Kept::Before), (ids[2].clone(), Kept::InUse), (ids[1].clone(), Kept::Current)];
    assert_eq!(collected.kept, kept);
    assert_eq!((store.list().unwrap().len(), left.exists()), (3, false));
    drop(held);
    assert_eq!(store.collect(1, false).unwrap().deleted, [ids[2].clone()]);
    assert_eq!(store.collect(9, false).unwrap().deleted, []);
    for id in [&ids[1], &ids[5]] {
        store.load(id).unwrap();
    }
}

#[test]
fn nothing_is_collected_where_the_pointer_can_not_be_read() {
    let (_folder, store, ids) = store(2);
    fs::write(store.root().join(CURRENT), "no id\n").unwrap();
    assert!(store.collect(0, false).unwrap_err().to_string().contains("CURRENT"));
    assert_eq!(store.list().unwrap().len(), ids.len());
}

#[test]
fn a_pointer_that_can_not_be_read_costs_no_history() {
    let (_folder, store, ids) = store(3);
    fs::write(store.root().join(CURRENT), "no id\n").unwrap();
    let refused = store.current().unwrap_err().to_string();
    assert!(refused.contains("\"no\" is no generation") && refused.contains("activate"), "{refused}");
    assert_eq!(store.history().unwrap().len(), 3);
    store.activate(&ids[2]).unwrap();
    assert_eq!(store.history().unwrap().len(), 4);
    assert_eq!(store.pointer().unwrap(), Some(Pointer { id: ids[2].clone(), turn: 4 }));
}
