//! What is left is read back; what is none is passed over with its name; what is old does not count, and goes.

use faces_core::state::StateOptions;

use super::*;

const NOW_MS: i64 = 1_767_225_600_000;

fn query(age_ms: i64) -> MirroredQuery {
    let keys = vec![
        SourceKey::new("market", KeyKind::Account, "u\"1\n").unwrap(),
        SourceKey::new("cinema", KeyKind::Session, "visit").unwrap(),
    ];
    MirroredQuery { at: EventTime::from_millis(NOW_MS - age_ms), bu: "market".into(), wanted: 10, keys }
}

fn written(queries: &[MirroredQuery]) -> String {
    let state = State::new(StateOptions::default());
    let bu = state.catalogue().bu_or_new("market").unwrap();
    let asked = |query: &MirroredQuery| Asked { keys: query.keys.clone(), bu, wanted: query.wanted, at: query.at };
    text(&queries.iter().map(asked).collect::<Vec<_>>(), &state)
}

fn left(folder: &Path, name: &str, text: &str) {
    leave(&folder.join(FOLDER), name, text).unwrap();
}

#[test]
fn what_is_left_is_read_back_and_replaced_at_one_stroke() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).is_empty(), "nobody has left anything yet");
    let queries = [query(2), MirroredQuery { keys: Vec::new(), wanted: 200, ..query(1) }];
    left(folder.path(), "b.jsonl", &written(&queries[..1]));
    left(folder.path(), "b.jsonl", &written(&queries));
    left(folder.path(), "a.jsonl", &written(&queries[..1]));
    let found: Vec<_> = read(folder.path()).into_iter().map(|(path, queries)| (path, queries.unwrap())).collect();
    let names: Vec<_> = found.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!((names.as_slice(), found[1].1.as_slice()), (["a.jsonl", "b.jsonl"].as_slice(), queries.as_slice()));
    assert_eq!(fs::read_dir(folder.path().join(FOLDER)).unwrap().count(), 2, "nothing half-written is left");
}

#[cfg(unix)]
#[test]
fn others_can_not_read_who_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    left(folder.path(), "a.jsonl", "");
    let mode = fs::metadata(folder.path().join("mirrored/a.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_file_that_holds_anything_else_is_none_and_others_are_read() {
    let sound = written(&[query(0)]);
    let cases = [
        (format!("{sound}{}", &sound[..20]), "line 2 is no query: it breaks off"),
        (format!("{sound}\n"), "line 2 is no query"),
        (sound.replace("\"market\",\"wanted\"", "\"No Unit\",\"wanted\""), "may hold only"),
        (sound.replace(":10,", ":0,"), "asks for 0 items"),
        (sound.replace(":10,", ":201,"), "asks for 201 items"),
        (sound.replace("[\"market\",1", "[\"market\",9"), "unknown kind"),
        (sound.replace("visit", ""), "id is empty"),
    ];
    let folder = tempfile::tempdir().unwrap();
    left(folder.path(), "sound.jsonl", &sound);
    for (text, expected) in cases {
        left(folder.path(), "bad.jsonl", &text);
        let [bad, good] = read(folder.path()).try_into().unwrap();
        let error = format!("{:#}", bad.1.unwrap_err());
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert_eq!(good.1.unwrap(), [query(0)]);
    }
    fs::write(folder.path().join("mirrored/bad.jsonl"), [0xff, b'\n']).unwrap();
    assert!(read(folder.path())[0].1.is_err());
    let long = fs::File::create(folder.path().join("mirrored/bad.jsonl")).unwrap();
    long.set_len(BYTES_MAX + 1).unwrap();
    assert!(format!("{:#}", read(folder.path())[0].1.as_ref().unwrap_err()).contains("more than"));
}

#[test]
fn those_of_the_last_day_count() {
    let day_ms = AGE_MAX.as_millis() as i64;
    let ages = [day_ms + 1, day_ms, 5, 3, -day_ms - 1, 4];
    let lately = lately(ages.map(query).to_vec(), EventTime::from_millis(NOW_MS));
    assert_eq!(lately.iter().map(|query| NOW_MS - query.at.millis()).collect::<Vec<_>>(), [day_ms, 5, 4, 3]);
}

#[test]
fn files_that_nobody_renews_go() {
    let folder = tempfile::tempdir().unwrap();
    assert!(collect(folder.path(), SystemTime::now(), false).unwrap().is_empty());
    left(folder.path(), "a.jsonl", "");
    left(folder.path(), ".half", "");
    let count = || fs::read_dir(folder.path().join(FOLDER)).unwrap().count();
    let gone_at = |after: Duration, is_dry| collect(folder.path(), SystemTime::now() + after, is_dry).unwrap().len();
    assert_eq!((gone_at(Duration::ZERO, false), count()), (0, 2));
    let later = AGE_MAX + Duration::from_secs(3_600);
    assert_eq!((gone_at(later, true), count()), (2, 2), "a dry run");
    assert_eq!((gone_at(later, false), count()), (2, 0));
}

#[test]
fn a_servers_name_makes_no_path() {
    assert_eq!(file_name("faces-0"), "faces-0.jsonl");
    assert_eq!(file_name("../é.x"), "_____x.jsonl");
    assert_eq!(file_name(&"x".repeat(300)).len(), NAME_BYTES_MAX + ".jsonl".len());
}

#[test]
fn what_was_left_goes_where_nothing_is_to_be_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.generations.folder = folder.path().to_owned();
    let start = |config: &Config| start(Arc::new(RecentQueries::new(8)), Arc::new(State::new(StateOptions::default())), config);
    left(folder.path(), "faces-0.jsonl", "");
    left(folder.path(), "faces-1.jsonl", "");
    assert!(start(&config).unwrap().is_some() && read(folder.path()).len() == 2);
    config.generations.mirror_seconds = 0;
    assert!(start(&config).unwrap().is_none() && read(folder.path()).len() == 1);
}
