//! Configuration: the example file says what the defaults are, and flags win over environment over file over defaults.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use faces_serve::config::Config;
use toml::Value;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../faces.example.toml");

/// Paths of all values, e.g. `training.co_visitation.pairs.window`.
fn keys(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (name, inner) in table {
                keys(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, inner, into);
            }
        }
        _ => _ = into.insert(prefix.to_owned()),
    }
}

fn keys_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys("", value, &mut found);
    found
}

#[test]
fn the_example_file_holds_every_key_with_its_default() {
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let example: Value = toml::from_str(&text).unwrap();
    let defaults = Value::try_from(Config::default()).unwrap();
    let (written, known) = (keys_of(&example), keys_of(&defaults));
    let missing: Vec<_> = known.difference(&written).collect();
    let unknown: Vec<_> = written.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing in the example: {missing:#?}; unknown: {unknown:#?}");
    assert_eq!(Config::load(Some(Path::new(EXAMPLE)), &[]).unwrap(), Config::default());
}

#[test]
fn every_key_can_be_set_by_a_flag() {
    let example: Value = toml::from_str(&fs::read_to_string(EXAMPLE).unwrap()).unwrap();
    let mut keys = keys_of(&example);
    keys.retain(|key| !matches!(key.as_str(), "ranking.repeat_units" | "ranking.own_model.features"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value_of = |key: &str| key.split('.').fold(&example, |table, name| &table[name]);
    let mut flags: Vec<_> = keys.iter().map(|key| (key.clone(), text(value_of(key)))).collect();
    let lists = [("ranking.repeat_units", "grocery, drugstore"), ("ranking.own_model.features", "had")];
    flags.extend(lists.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let config = Config::load(None, &flags).unwrap();
    assert_eq!(config.ranking.repeat_units, ["grocery", "drugstore"]);
    assert_eq!(config.ranking.own_model.features, ["had"]);
}

#[test]
fn a_name_where_a_table_is_wanted_is_told() {
    let key = "training.co_visitation.normalisation";
    let refused = Config::load(None, &[(key.to_owned(), "transition".to_owned())]).unwrap_err();
    let told = faces_serve::causes::causes(&refused.into());
    assert!(told.contains("training.co_visitation.normalisation.transition"), "{told}");
}

#[test]
fn every_key_of_the_example_has_a_comment() {
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let comment = |n: usize| n.checked_sub(1).and_then(|before| lines.get(before)).is_some_and(|line| line.starts_with('#'));
    // By its name: the same keys of two sections need saying once.
    let keys = lines.iter().enumerate().filter_map(|(n, line)| Some((line.split_once(" = ")?.0, comment(n))));
    let (said, unsaid): (Vec<_>, Vec<_>) = keys.filter(|(name, _)| !name.starts_with('#')).partition(|(_, comment)| *comment);
    let said: BTreeSet<&str> = said.into_iter().map(|(name, _)| name).collect();
    let bare: Vec<_> = unsaid.into_iter().filter(|(name, _)| !said.contains(name)).collect();
    assert!(said.len() > 40 && bare.is_empty(), "without a comment: {bare:?}");
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.toml");
    fs::write(&file, "[generations]\nfolder = \"of-file\"\n").unwrap();
    ["generations", "of-file", "of-environment", "of-flag", "007"]
        .iter()
        .for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
    let by_file = ["--config", file.to_str().unwrap()];
    let by_flag = ["--set", "generations.folder=of-flag"];
    let run = |variable: Option<&str>, arguments: &[&[&str]]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        command.current_dir(&folder).args(["generations", "list"]).args(arguments.concat());
        command.envs(variable.map(|value| ("FACES__GENERATIONS__FOLDER", value)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    type Case<'a> = (Option<&'a str>, &'a [&'a [&'a str]], &'a str); // variable, arguments, what is said
    let cases: [Case<'_>; 5] = [
        (None, &[], "in generations;"),
        (None, &[&by_file], "in of-file;"),
        (Some("of-environment"), &[&by_file], "in of-environment;"),
        (Some("of-environment"), &[&by_file, &by_flag], "in of-flag;"),
        (Some("007"), &[], "in 007;"),
    ];
    for (variable, arguments, expected) in cases {
        let said = run(variable, arguments);
        assert!(said.contains(expected), "{expected:?} is not in {said:?}");
    }
}

#[test]
fn the_variable_that_names_the_file_counts_unless_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.toml");
    fs::write(&file, "[generations]\nfolder = \"of-file\"\n").unwrap();
    ["generations", "of-file"].iter().for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
    for (variable, expected) in [(file.to_str().unwrap(), "in of-file;"), ("", "in generations;")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faces"));
        let output = command.current_dir(&folder).args(["generations", "list"]).env("FACES_CONFIG", variable).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected), "{variable:?}: {output:?}");
    }
}

#[test]
fn properties_of_the_client_are_named_with_dots_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.toml");
    let text = "[kafka.extra]\n\"security.protocol\" = \"ssl\"\nsasl.username = \"u\"\n\"socket.keepalive.enable\" = true\n";
    fs::write(&file, text).unwrap();
    let flags =
        [("kafka.extra.security.protocol", "plaintext"), ("kafka.extra.sasl.password", "0123"), ("kafka.extra.debug", "all")];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::load(Some(&file), &flags).unwrap();
    let extra: Vec<_> = config.kafka.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("debug", "all"),
        ("sasl.password", "0123"),
        ("sasl.username", "u"),
        ("security.protocol", "plaintext"),
        ("socket.keepalive.enable", "true"),
    ];
    assert_eq!(extra, expected);
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let load = |key: &str, value: &str| Config::load(None, &[(key.to_owned(), value.to_owned())]);
    for (key, sound, bad) in [
        ("ranking.position_decay", "1", "0"),
        ("ranking.cross_unit_weight", "0", "1.5"),
        ("ranking.category_share_max", "0.1", "-1"),
        ("ranking.interest_vectors_max", "3", "4"),
        ("ranking.turned_down_penalty", "0", "1.1"),
        ("ranking.trend_half_life_days", "0.5", "nan"),
        ("ranking.trend_half_life_days", "0.04", "1e-6"),
        ("ranking.popular_half_life_days", "36500", "1e9"),
        ("ranking.base_score", "-1", "nan"),
        ("ranking.session_minutes", "0", "-1"),
        ("ranking.tired_window_hours", "1000000", "9223372036854775807"),
        ("ranking.repeat_units", "grocery, drugstore", "[\"grocery\"]"),
        ("ranking.own_model.budget_us", "1", "0"),
        ("identity.person_keys_max", "1", "0"),
        ("server.deadline_ms_max", "1", "0"),
        ("generations.watch_ms", "10", "9"),
        ("generations.lease_seconds", "3", "2"),
        ("generations.watch_over.minutes", "0", "-1"),
        ("generations.watch_over.latency_ratio_max", "1", "0.9"),
        ("gates.recall_10_min", "1", "1.1"),
        ("gates.items_lost_share_max", "0", "nan"),
        ("gates.mirrored_queries_min", "1", "0"),
        ("gates.latency_ratio_max", "1", "0"),
        ("server.connections_max", "1", "0"),
        ("server.streams_max", "1", "0"),
        ("overload.concurrency_min", "1", "0"),
        ("overload.concurrency_max", "4", "3"),
        ("overload.default_share", "1", "0"),
        ("overload.sheddable_share", "0.1", "1.1"),
        ("overload.refusal_cpu_share", "1", "nan"),
    ] {
        assert!(load(key, sound).is_ok(), "{key}={sound}: {:?}", load(key, sound));
        let refused = load(key, bad).expect_err(key).to_string();
        assert!(refused.contains(key) && refused.contains("must be"), "{refused}");
    }
}
