use std::{path::Path as Folder, sync::Arc};

use faces_rebuild::{
    TrainParams, train,
    training::{Interaction, Log, TrainingItem},
};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutPayload,
    PutResult, Result as StoreResult,
};
use tempfile::TempDir;

use super::*;

/// A machine's own folder, and the store that all share.
struct Machine {
    _folder: TempDir,
    store: Store,
    shared: Shared,
}

fn machine(shared: &Folder) -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("generations")).unwrap();
    Machine { store, _folder: folder, shared: Shared::open(&format!("file://{}", shared.display())).unwrap() }
}

impl Machine {
    fn stage(&self, seed: u32) -> GenerationId {
        let items = ["a", "b", "c", "d"].map(|id| TrainingItem { bu: "shop".into(), item_id: id.into() });
        let act = |n: u32| Interaction { person: n / 3, item: (n + n / 3 * seed) % 4, ts_ms: i64::from(n), weight: 1.0 };
        let log = Log::new(items.into(), (0..40).map(act).collect()).unwrap();
        let mut params = TrainParams::default();
        params.embedding.dimension = 2;
        self.store.stage(&train(&log, &params, &|_, _| ()).unwrap()).unwrap()
    }

    fn publish(&self, seed: u32) -> Turn {
        let (id, seen) = (self.stage(seed), self.shared.latest().unwrap());
        self.shared.publish(&self.store, &id, seen.as_ref(), How::Published, "").unwrap()
    }

    fn current(&self) -> Option<GenerationId> {
        self.store.current().unwrap()
    }
}

#[test]
fn what_one_machine_publishes_others_fetch_whole_and_point_at() {
    let place = tempfile::tempdir().unwrap();
    let (maker, server) = (machine(place.path()), machine(place.path()));
    assert_eq!(server.shared.follow(&server.store, None).unwrap(), None, "nothing there yet");
    let first = maker.publish(0);
    let followed = server.shared.follow(&server.store, None).unwrap().unwrap();
    assert_eq!((followed.turn, server.current()), (1, Some(first.id.clone())));
    assert_eq!(server.shared.follow(&server.store, Some(1)).unwrap(), None, "nothing new");
    let sent = server.store.load(&first.id).unwrap();
    assert_eq!(sent.counts(), maker.store.load(&first.id).unwrap().counts());

    let second = maker.publish(1);
    assert_eq!(second.before, Some(first.id.clone()));
    server.shared.follow(&server.store, Some(1)).unwrap();
    assert_eq!(server.current(), Some(second.id.clone()));
    // A third machine takes it back for all.
    let third = machine(place.path());
    assert_eq!(third.shared.rollback(&third.store, "too dear").unwrap(), (second.id, first.id.clone()));
    let turn = server.shared.follow(&server.store, Some(2)).unwrap().unwrap();
    assert_eq!((turn.how, turn.why.as_str(), server.current()), (How::RolledBack, "too dear", Some(first.id)));
    assert!(third.shared.rollback(&third.store, "").unwrap_err().to_string().contains("knows no generation before"));
}

#[test]
fn roll_backs_from_what_was_activated_again_end_at_the_first() {
    let place = tempfile::tempdir().unwrap();
    let maker = machine(place.path());
    let (first, second) = (maker.publish(0), maker.publish(1));
    for _ in 0..2 {
        let seen = maker.shared.latest().unwrap();
        maker.shared.publish(&maker.store, &first.id, seen.as_ref(), How::Activated, "").unwrap();
    }
    assert_eq!(maker.shared.latest().unwrap().unwrap().turn, 3, "what is current is not activated once more");
    let back: Vec<_> = (0..2).map(|_| maker.shared.rollback(&maker.store, "").unwrap().1).collect();
    assert_eq!(back, [second.id, first.id]);
    assert!(maker.shared.rollback(&maker.store, "").is_err(), "not round in circles");
}

#[test]
fn of_two_publishers_the_slower_one_moves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) = (machine(place.path()), machine(place.path()));
    let (slow, quick) = (one.stage(0), other.stage(1));
    let won = other.shared.publish(&other.store, &quick, None, How::Published, "").unwrap();
    let refused = one.shared.publish(&one.store, &slow, None, How::Published, "").unwrap_err().to_string();
    assert!(refused.contains("moved by somebody else"), "{refused}");
    assert_eq!(one.shared.latest().unwrap(), Some(won));
}

#[test]
fn what_is_half_sent_or_damaged_is_never_current() {
    let place = tempfile::tempdir().unwrap();
    let (maker, server) = (machine(place.path()), machine(place.path()));
    let good = maker.publish(0);
    server.shared.follow(&server.store, None).unwrap();
    let bad = maker.publish(1);
    let folder = place.path().join(bad.id.as_str());
    std::fs::write(folder.join("items.bin"), "damaged").unwrap();
    assert!(format!("{:#}", server.shared.follow(&server.store, Some(1)).unwrap_err()).contains("items.bin"));
    std::fs::remove_file(folder.join("manifest.json")).unwrap();
    assert!(server.shared.follow(&server.store, Some(1)).is_err());
    assert_eq!((server.current(), server.store.list().unwrap().len()), (Some(good.id.clone()), 1), "nothing is left of it");
    assert_eq!(server.shared.generations().unwrap(), [good.id], "without a manifest it is none");
    // Sent again, it is whole.
    maker.shared.publish(&maker.store, &bad.id, Some(&bad), How::Activated, "").unwrap();
    server.shared.follow(&server.store, Some(1)).unwrap();
    assert_eq!(server.current(), Some(bad.id));
}

#[test]
fn old_generations_go_but_for_what_is_current_and_what_was_before() {
    let place = tempfile::tempdir().unwrap();
    let maker = machine(place.path());
    let turns: Vec<Turn> = (0..4).map(|seed| maker.publish(seed)).collect();
    let ids: Vec<GenerationId> = turns.into_iter().map(|turn| turn.id).collect();
    maker.shared.publish(&maker.store, &ids[0], maker.shared.latest().unwrap().as_ref(), How::Activated, "").unwrap();
    // Current: the first; before it: the last. Of the rest, the newest one stays.
    assert_eq!(maker.shared.collect(2, true).unwrap().len(), 1);
    assert_eq!(maker.shared.generations().unwrap().len(), 4, "a dry run");
    assert_eq!(maker.shared.collect(2, false).unwrap(), [ids[1].clone()]);
    assert_eq!(maker.shared.generations().unwrap().len(), 3);
}

#[test]
fn what_servers_were_asked_is_there_for_all_and_goes_when_nobody_renews_it() {
    let place = tempfile::tempdir().unwrap();
    let (server, maker) = (machine(place.path()), machine(place.path()));
    assert!(maker.shared.mirrored().unwrap().is_empty());
    server.shared.leave_mirrored("a.jsonl", "broken").unwrap();
    let line = "{\"at_ms\":1,\"bu\":\"shop\",\"wanted\":10,\"keys\":[]}\n";
    server.shared.leave_mirrored("a.jsonl", line).unwrap();
    server.shared.leave_mirrored("b.jsonl", "broken").unwrap();
    let [a, b] = maker.shared.mirrored().unwrap().try_into().unwrap();
    assert_eq!((a.0.filename(), a.1.unwrap().len(), b.1.is_err()), (Some("a.jsonl"), 1, true));
    assert!(
        maker.shared.latest().unwrap().is_none() && maker.shared.generations().unwrap().is_empty(),
        "no generation is made of it"
    );
    let now = std::time::SystemTime::now();
    let in_two_days = now + std::time::Duration::from_secs(2 * 86_400);
    let collect = |at, is_dry| maker.shared.collect_mirrored(at, is_dry).unwrap().len();
    assert_eq!((collect(now, false), collect(in_two_days, true), collect(in_two_days, false)), (0, 2, 2));
    assert!(maker.shared.mirrored().unwrap().is_empty());
}

/// A store whose answer to what is created is lost; asked again by the client, it says that it is there already.
#[derive(Debug)]
struct Deaf(Arc<dyn ObjectStore>);

impl std::fmt::Display for Deaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[tonic::async_trait]
impl ObjectStore for Deaf {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        let is_created = options.mode == PutMode::Create;
        let put = self.0.put_opts(location, payload, options).await?;
        let again = || object_store::Error::AlreadyExists { path: location.to_string(), source: "it is there".into() };
        if is_created { Err(again()) } else { Ok(put) }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[test]
fn a_turn_whose_answer_was_lost_is_known_as_ones_own() {
    let place = tempfile::tempdir().unwrap();
    let mut maker = machine(place.path());
    maker.shared.place.store = Arc::new(Deaf(Arc::clone(&maker.shared.place.store)));
    let first = maker.publish(0);
    assert_eq!(maker.shared.latest().unwrap(), Some(first.clone()));
    let late = maker.stage(1);
    let refused = maker.shared.publish(&maker.store, &late, None, How::Published, "").unwrap_err();
    assert!(refused.to_string().contains("moved by somebody else"), "{refused}");
    assert_eq!(maker.shared.latest().unwrap(), Some(first));
}
