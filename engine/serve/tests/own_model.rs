//! A ranking model of the user's own, from a file to slates: what it must be, and what becomes of slates when it has no answer.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[cfg(feature = "onnx")]
mod models;

use std::{process::Command, sync::Arc};

use faces_core::{
    catalogue::{ItemAttributes, ItemChange},
    event::EventKind,
    ids::{EventId, EventTime},
    key::{KeyKind, SourceKey},
    ranking::{OwnModel, RankingOptions, ScoredBy, features::NAMES},
    record::{Apply as _, Event, Record},
    state::{State, StateOptions},
};
use faces_serve::{
    engine::{Answer, Ask, Engine, EngineOptions},
    own_model::{Columns, RowScorer, behind_guards},
};

const DAY_MS: i64 = 86_400_000;
const NOW: EventTime = EventTime::from_millis(3_000 * DAY_MS);
/// Days since each item was listed; its name says it, too. The last one is long known, and stands for choice because it is wanted.
const AGES: [i64; 7] = [4, 1, 6, 3, 2, 5, 2_000];

/// A shop of a few items, all of which stand for choice.
fn shop(own_model: Option<Arc<dyn OwnModel>>) -> Engine {
    let state = State::new(StateOptions::default());
    for days in AGES {
        let attributes = Some(ItemAttributes::default());
        let time = NOW.plus_millis(-days * DAY_MS);
        state.apply(&Record::Item(ItemChange { bu: "shop".into(), item_id: format!("{days}"), time, attributes }));
    }
    for n in 0..3 {
        let source = SourceKey::new("shop", KeyKind::Account, &format!("u{n}")).unwrap();
        let (bu, item_id) = ("shop".to_owned(), Some("2000".to_owned()));
        let (time, id) = (NOW.plus_millis(-DAY_MS), EventId::from_text(&format!("e{n}"), "shop", "2000"));
        state.apply(&Record::Event(Event {
            source,
            bu,
            item_id,
            kind: EventKind::Purchase,
            time,
            id,
            value: None,
            region: None,
        }));
    }
    let ranking = RankingOptions { category_share_max: 1.0, ..RankingOptions::default() };
    Engine::new(Arc::new(state), EngineOptions { ranking, own_model, ..EngineOptions::default() })
}

fn answer(engine: &Engine) -> Answer {
    let bu = engine.state().catalogue().bu("shop").unwrap();
    engine.recommend(&Ask { wanted: AGES.len(), ..Ask::new(&[], bu, NOW) })
}

fn names(engine: &Engine, answer: &Answer) -> Vec<String> {
    let name = |item| engine.state().catalogue().item_name(item).unwrap().to_owned();
    answer.slate.items.iter().map(|candidate| name(candidate.item)).collect()
}

/// What a slate is ordered by, and its items.
fn slate(own_model: Option<Arc<dyn OwnModel>>) -> (ScoredBy, Vec<String>) {
    let engine = shop(own_model);
    let answer = answer(&engine);
    (answer.slate.scored_by, names(&engine, &answer))
}

/// A model of another runtime: scores by one number of each row.
struct ByOne {
    width: usize,
    says: fn(f32) -> f32,
}

impl RowScorer for ByOne {
    fn score(&self, rows: &[f32], scores: &mut Vec<f32>) -> anyhow::Result<()> {
        scores.extend(rows.chunks_exact(self.width).map(|row| (self.says)(row[self.width - 1])));
        Ok(())
    }
}

fn by_age(says: fn(f32) -> f32) -> Option<Arc<dyn OwnModel>> {
    let features = ["together", "age"].map(str::to_owned);
    Some(behind_guards(ByOne { width: 2, says }, Columns::named(&features).unwrap(), None).unwrap())
}

#[test]
fn a_model_of_any_runtime_orders_slates() {
    let newest_first = ["1", "2", "3", "4", "5", "6", "2000"].map(str::to_owned).to_vec();
    assert_eq!(slate(by_age(|age| -age)), (ScoredBy::OwnModel, newest_first.clone()));
    assert_eq!(slate(by_age(|age| age)), (ScoredBy::OwnModel, newest_first.into_iter().rev().collect()));
}

#[test]
fn what_is_not_a_number_at_the_time_leaves_slates_as_they_are_without_a_model() {
    let without = slate(None);
    assert_eq!(without.0, ScoredBy::Blend);
    // Fine for ages up to 1,023 days, which are below 1; what stands for choice is older.
    assert_eq!(slate(by_age(|age| (1.0 - age).sqrt())), without);
}

/// Runs `faces` in an empty folder; it must fail. What it says.
fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_faces")).current_dir(&folder).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_model_that_can_not_be_used_keeps_the_server_and_eval_from_starting() {
    let why = if cfg!(feature = "onnx") { "the file can't be read" } else { "cargo build --release --features onnx" };
    let set = ["--set", "ranking.own_model.path=no-model.onnx"];
    let ports = ["--set", "server.grpc_address=127.0.0.1:0", "--set", "server.admin_address=127.0.0.1:0"];
    let eval = ["eval", "--events", "e.csv", "--items", "i.csv", "--queries", "q.csv", "--out", "o.csv"];
    for arguments in [[&["serve"][..], &ports, &set].concat(), [&eval[..], &set].concat()] {
        let said = refusal(&arguments);
        assert!(["no-model.onnx", "ranking.own_model.path", why].iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn the_page_on_operating_names_every_feature() {
    let page = include_str!("../../../docs/operations.md");
    let missing: Vec<_> = NAMES.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md does not name {missing:?}");
}

#[cfg(feature = "onnx")]
mod onnx {
    use std::{fs, path::PathBuf};

    use faces_serve::own_model::{OwnModelConfig, for_replay, for_serving};

    use super::{
        models::{Attribute, DOUBLE, FLOAT, Model, value},
        *,
    };

    /// Long enough for a machine that is busy with other tests: what these models are tried for is not their speed.
    const UNHURRIED_US: u64 = 60_000_000;

    struct OnDisk {
        _folder: tempfile::TempDir,
        config: OwnModelConfig,
    }

    fn on_disk(bytes: &[u8], features: &[&str]) -> OnDisk {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, bytes).unwrap();
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        OnDisk { _folder: folder, config: OwnModelConfig { path, budget_us: UNHURRIED_US, features } }
    }

    fn loaded(model: &Model, features: &[&str]) -> Option<Arc<dyn OwnModel>> {
        let on_disk = on_disk(&model.bytes(), features);
        for_serving(&on_disk.config).unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)))
    }

    /// Loading must fail. What is said.
    fn refused(config: &OwnModelConfig) -> String {
        format!("{:#}", anyhow::Error::from(for_serving(config).expect_err("a model that can't be used")))
    }

    fn refuses(model: &Model, features: &[&str], expected: &[&str]) {
        let on_disk = on_disk(&model.bytes(), features);
        let said = refused(&on_disk.config);
        let parts = [&["model.onnx", "ranking.own_model.path"], expected].concat();
        assert!(parts.iter().all(|part| said.contains(part)), "{expected:?} is not in: {said}");
    }

    fn newest_first() -> (ScoredBy, Vec<String>) {
        (ScoredBy::OwnModel, ["1", "2", "3", "4", "5", "6", "2000"].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_file_orders_slates_by_the_features_it_names() {
        let linear = Model::linear(&[1.0, -1.0]).with_features("together, age");
        assert_eq!(slate(loaded(&linear, &[])), newest_first());
        assert_eq!(slate(loaded(&linear, &["together", "age"])), newest_first(), "named twice, but alike");
        assert_eq!(slate(loaded(&Model::linear(&[-2.0]), &["age"])), newest_first(), "named by the configuration");
        let mut weights = [0.0; NAMES.len()];
        weights[NAMES.iter().position(|name| *name == "age").unwrap()] = -1.0;
        let all = Model::linear(&weights);
        assert_eq!(slate(loaded(&all, &[])), newest_first(), "all features in their order");
        let squeezed = Model::linear(&[-1.0]).then("Squeeze", &["y"], "z", &[]).change(|graph| {
            graph.output = vec![value("z", FLOAT, &[0])];
        });
        assert_eq!(slate(loaded(&squeezed, &["age"])), newest_first(), "an output without a second dimension");
    }

    #[test]
    fn shapes_may_be_declared_by_any_name() {
        let model = Model::linear(&[-1.0]).then("Identity", &["y"], "z", &[]).change(|graph| {
            graph.value_info = vec![value("y", FLOAT, &[0, 1])];
            graph.output = vec![value("z", FLOAT, &[0, 1])];
        });
        assert_eq!(slate(loaded(&model, &["age"])), newest_first());
    }

    #[test]
    fn scalers_and_linear_regressors_are_understood() {
        let scaled = [Attribute::floats("offset", &[0.0, 0.125]), Attribute::floats("scale", &[1.0, 2.0])];
        let line = [
            Attribute::floats("coefficients", &[1.0, -4.0]),
            Attribute::floats("intercepts", &[3.0]),
            Attribute::int("targets", 1),
        ];
        let model = Model::new(2).then("Scaler", &["x"], "scaled", &scaled).then("LinearRegressor", &["scaled"], "y", &line);
        let engine = shop(loaded(&model, &["together", "age"]));
        let answer = answer(&engine);
        assert_eq!((answer.slate.scored_by, names(&engine, &answer)), newest_first());
        let of_newest = 4.0 - 8.0 * 0.1; // a day: log2(2) / 10
        assert!((answer.slate.items[0].score.value() - of_newest).abs() < 1e-5, "{:?}", answer.slate.items[0]);
    }

    /// Two trees over `together` and `age`. The first says 2 up to 2.5 days (age 0.18), else 1; the second 0.5 up to 4.5 days (0.245),
    /// else 0.25 up to 1,023 days, else -9. `change` changes what is said of them.
    fn trees(change: impl Fn(Attribute) -> Option<Attribute>) -> Model {
        let modes = ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF"];
        let parts = [
            Attribute::int("n_targets", 1),
            Attribute::floats("base_values", &[0.125]),
            Attribute::ints("nodes_treeids", &[0, 0, 0, 1, 1, 1, 1, 1]),
            Attribute::ints("nodes_nodeids", &[0, 1, 2, 0, 1, 2, 3, 4]),
            Attribute::ints("nodes_featureids", &[1, 0, 0, 1, 0, 1, 0, 0]),
            Attribute::ints("nodes_truenodeids", &[1, 0, 0, 1, 0, 4, 0, 0]),
            Attribute::ints("nodes_falsenodeids", &[2, 0, 0, 2, 0, 3, 0, 0]),
            Attribute::floats("nodes_values", &[0.18, 0.0, 0.0, 0.245, 0.0, 1.0, 0.0, 0.0]),
            Attribute::strings("nodes_modes", &modes),
            Attribute::ints("target_treeids", &[0, 0, 1, 1, 1]),
            Attribute::ints("target_nodeids", &[1, 2, 1, 3, 4]),
            Attribute::ints("target_ids", &[0; 5]),
            Attribute::floats("target_weights", &[2.0, 1.0, 0.5, 0.25, -9.0]),
        ];
        let parts: Vec<Attribute> = parts.into_iter().filter_map(change).collect();
        Model::new(2).then("TreeEnsembleRegressor", &["x"], "sum", &parts).then("Identity", &["sum"], "y", &[])
    }

    #[test]
    fn boosted_trees_are_understood() {
        let engine = shop(loaded(&trees(Some), &["together", "age"]));
        let answer = answer(&engine);
        assert_eq!(answer.slate.scored_by, ScoredBy::OwnModel);
        let scores = names(&engine, &answer).into_iter().zip(answer.slate.items.iter().map(|candidate| candidate.score.value()));
        for (name, score) in scores {
            let expected = match name.parse().unwrap() {
                ..=2 => 2.625,
                3..=4 => 1.625,
                5..=6 => 1.375,
                _ => -7.875,
            };
            assert_eq!(score, expected, "{name} days");
        }
    }

    #[test]
    fn trees_that_are_none_are_refused() {
        let with = |name: &'static str, ints: &'static [i64]| {
            trees(move |part| Some(if part.is(name) { Attribute::ints(name, ints) } else { part }))
        };
        let both = ["together", "age"];
        refuses(&with("nodes_truenodeids", &[1, 0, 0, 0, 0, 4, 0, 0]), &both, &["reached twice"]);
        refuses(&with("nodes_truenodeids", &[1, 0, 0, 1, 0, 9, 0, 0]), &both, &["tree 1 has no node 9"]);
        refuses(&with("nodes_featureids", &[2, 0, 0, 1, 0, 1, 0, 0]), &both, &["a feature that is not there"]);
        refuses(&with("nodes_nodeids", &[0, 1, 1, 0, 1, 2, 3, 4]), &both, &["names a node twice"]);
        refuses(&with("target_ids", &[0, 0, 1, 0, 0]), &both, &["several targets"]);
        refuses(&with("nodes_nodeids", &[0, 1, 2]), &both, &["not described in full"]);
        let squashed = trees(Some).then("Sigmoid", &["sum"], "z", &[]);
        refuses(&squashed, &both, &["must stand alone", "Sigmoid"]);
    }

    #[test]
    fn what_goes_in_must_be_a_row_of_features() {
        refuses(&Model::linear(&[1.0; 3]), &["age", "had"], &["takes 3 features a row", "[n, 2]", "faces.features"]);
        refuses(&Model::linear(&[1.0; 3]), &[], &["takes 3 features a row", &format!("[n, {}]", NAMES.len())]);
        let input = |given| Model::linear(&[1.0]).change(|graph| graph.input = given);
        refuses(&input(vec![value("x", DOUBLE, &[0, 1])]), &["age"], &["is double", "model.float()"]);
        refuses(&input(vec![value("x", FLOAT, &[1, 1])]), &["age"], &["exactly 1 rows", "dynamic_axes"]);
        refuses(&input(vec![value("x", FLOAT, &[0, 1, 1])]), &["age"], &["has 3 dimensions"]);
        refuses(&input(vec![value("x", FLOAT, &[0, 1]), value("who", FLOAT, &[0, 1])]), &["age"], &["are 2 (x, who)"]);
    }

    #[test]
    fn what_comes_out_must_be_a_score_a_row() {
        let two = Model::new(1).holding("w", &[1, 2], &[1.0, 2.0]).then("MatMul", &["x", "w"], "y", &[]);
        refuses(&two, &["age"], &["output is F32 [64, 2]", "[n, 1]"]);
        let one_in_all = Model::new(1).then("ReduceSum", &["x"], "y", &[]);
        refuses(&one_in_all, &["age"], &["output is F32", "a score for each row"]);
        let double = Model::new(1).then("Cast", &["x"], "y", &[Attribute::int("to", DOUBLE.into())]);
        refuses(&double, &["age"], &["output is F64"]);
        let several = Model::linear(&[1.0]).change(|graph| graph.output.push(value("label", FLOAT, &[0])));
        refuses(&several, &["age"], &["are 2 (y, label)"]);
        refuses(&Model::new(1), &["age"], &["\"y\" is made by nothing"]);
    }

    #[test]
    fn features_must_be_known_and_named_in_one_way() {
        refuses(&Model::linear(&[1.0, 1.0]).with_features("age,colour"), &[], &["no feature \"colour\"", "demand_180_log"]);
        refuses(&Model::linear(&[1.0, 1.0]), &["age", "age"], &["\"age\" is named twice"]);
        refuses(
            &Model::linear(&[1.0, 1.0]).with_features("age,had"),
            &["had", "age"],
            &["age,had", "had,age", "leave the latter"],
        );
    }

    #[test]
    fn scores_must_be_finite_and_of_their_own_row() {
        let none = Model::new(1).then("Div", &["x", "x"], "y", &[]); // 0 / 0 where a feature says nothing
        refuses(&none, &["age"], &["not finite"]);
        let share = Model::new(1).then("Softmax", &["x"], "y", &[Attribute::int("axis", 0)]);
        refuses(&share, &["age"], &["rows beside it", "softmax"]);
    }

    #[test]
    fn what_the_runtime_can_not_run_is_named() {
        refuses(&Model::new(1).then("Levitate", &["x"], "y", &[]), &["age"], &["operators Levitate"]);
        refuses(&Model::new(1).then("MatMul", &["x", "w"], "y", &[]), &["age"], &["w"]);
        let missing = OwnModelConfig { path: PathBuf::from("nowhere/model.onnx"), ..OwnModelConfig::default() };
        assert!(refused(&missing).contains("nowhere/model.onnx") && refused(&missing).contains("can't be read"));
        for (bytes, expected) in
            [(&b""[..], "empty"), (b"\x89PNG\r\n\x1a\n and so on", "operator set"), (b"\x08\x08", "no graph")]
        {
            let said = refused(&on_disk(bytes, &[]).config);
            assert!(said.contains(expected) && said.contains("model.onnx"), "{expected:?} is not in: {said}");
        }
    }

    #[test]
    fn a_model_that_is_slower_than_its_budget_does_not_serve() {
        // No machine scores 300 candidates by this within a microsecond.
        let slow = on_disk(&Model::perceptron(NAMES.len(), 256, 3).bytes(), &[]);
        let config = OwnModelConfig { budget_us: 1, ..slow.config.clone() };
        let said = refused(&config);
        assert!(said.contains("300 candidates") && said.contains("may take 1 µs") && said.contains("budget_us"), "{said}");
        assert!(for_replay(&config).unwrap().is_some(), "eval takes its time");
    }

    #[test]
    fn no_model_is_no_error() {
        assert!(for_serving(&OwnModelConfig::default()).unwrap().is_none());
    }
}
