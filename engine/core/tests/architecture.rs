//! Tidiness, as an ordinary test: which crate may know which, what the domain must never hold, and how long a file may be.
#![allow(clippy::expect_used, reason = "a test that can't read the workspace has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What each crate may use of the others (DESIGN section 8). A crate that is not named here fails the test.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("faces-proto", &[]),
    ("faces-core", &[]),
    ("faces-testbroker", &[]),
    ("faces-index", &["faces-core"]),
    ("faces-rebuild", &["faces-core", "faces-index"]),
    ("faces-ingest", &["faces-core", "faces-proto"]),
    ("faces-state", &["faces-core"]),
    ("faces-serve", &["faces-core", "faces-index", "faces-rebuild", "faces-state", "faces-ingest", "faces-proto"]),
    ("faces-loadtest", &["faces-proto"]),
    ("faces-benches", &["faces-core", "faces-index", "faces-rebuild", "faces-state", "faces-ingest", "faces-serve"]),
];
/// What tests of any crate may use besides.
const TESTS_MAY_USE: [&str; 1] = ["faces-testbroker"];
/// The one crate with scan kernels.
const MAY_BE_UNSAFE: [&str; 1] = ["faces-index"];
/// Async runtimes, wire formats and brokers: nothing the domain may know.
const NOT_IN_CORE: [&str; 5] = ["tokio", "tonic", "prost", "rdkafka", "hyper"];
const LINES_MAX: usize = 600;
const SOURCES: [&str; 4] = ["rs", "proto", "py", "sh"];

fn cargo(arguments: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn metadata(arguments: &[&str]) -> Value {
    let text = cargo(&[&["metadata", "--offline", "--format-version", "1"], arguments].concat());
    serde_json::from_str(&text).expect("cargo writes JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

#[test]
fn arrows_between_crates_run_one_way() {
    let workspace = metadata(&["--no-deps"]);
    let rules: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for package in list(&workspace, "packages") {
        let name = text(package, "name");
        let Some(may_use) = rules.get(name) else {
            wrong.push(format!("{name} is new: say in MAY_USE what it may use"));
            continue;
        };
        for dependency in list(package, "dependencies").filter(|dependency| dependency["path"].is_string()) {
            let (used, is_test) = (text(dependency, "name"), text(dependency, "kind") == "dev");
            let is_allowed = may_use.contains(&used) || (is_test && TESTS_MAY_USE.contains(&used));
            if !is_allowed {
                wrong.push(format!("{name} must not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_knows_no_runtime_and_no_wire() {
    // What other platforms need was perhaps never fetched.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let resolved = metadata(&["--filter-platform", host]);
    let names: BTreeMap<&str, &str> =
        list(&resolved, "packages").map(|package| (text(package, "id"), text(package, "name"))).collect();
    let nodes: BTreeMap<&str, &Value> = list(&resolved["resolve"], "nodes").map(|node| (text(node, "id"), node)).collect();
    let core = names.iter().find(|(_, name)| **name == "faces-core").expect("faces-core is in the workspace").0;
    let (mut open, mut tree) = (vec![*core], BTreeSet::new());
    while let Some(id) = open.pop() {
        tree.insert(names[id]);
        let is_normal = |dependency: &&Value| list(dependency, "dep_kinds").any(|kind| kind["kind"].is_null());
        let uses = list(nodes[id], "deps").filter(is_normal).map(|dependency| text(dependency, "pkg"));
        open.extend(uses.filter(|used| !tree.contains(names[used])));
    }
    assert!(tree.contains("dashmap"), "the walk went nowhere: {tree:?}");
    let found: Vec<_> = NOT_IN_CORE.iter().filter(|name| tree.contains(*name)).collect();
    assert!(found.is_empty(), "faces-core must not hold {found:?}");
}

#[test]
fn unsafe_code_is_forbidden_outside_the_kernels() {
    let workspace = metadata(&["--no-deps"]);
    let crates = list(&workspace, "packages").filter(|package| !MAY_BE_UNSAFE.contains(&text(package, "name")));
    let targets = crates.flat_map(|package| list(package, "targets"));
    let roots = targets.filter(|target| list(target, "kind").any(|kind| kind == "lib" || kind == "bin"));
    let roots: Vec<_> = roots.map(|target| PathBuf::from(text(target, "src_path"))).collect();
    assert!(roots.len() >= MAY_USE.len() - MAY_BE_UNSAFE.len(), "too few crates: {roots:?}");
    let forbids = |root: &&PathBuf| {
        let source = fs::read_to_string(root).expect("a crate's root can be read");
        source.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]")
    };
    let lax: Vec<_> = roots.iter().filter(|root| !forbids(root)).collect();
    assert!(lax.is_empty(), "no #![forbid(unsafe_code)] in {lax:#?}");
}

#[test]
fn no_source_file_is_longer_than_a_room() {
    let workspace = metadata(&["--no-deps"]);
    let target = PathBuf::from(text(&workspace, "target_directory"));
    let mut folders = vec![PathBuf::from(text(&workspace, "workspace_root"))];
    let (mut seen, mut long) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read").map(|entry| entry.expect("an entry can be read")) {
            let path = entry.path();
            if entry.file_type().expect("an entry has a type").is_dir() {
                let is_ours = path != target && !entry.file_name().to_string_lossy().starts_with('.') && !is_target(&path);
                folders.extend(is_ours.then_some(path));
            } else if path.extension().is_some_and(|extension| SOURCES.iter().any(|known| extension == *known)) {
                let lines = fs::read_to_string(&path).expect("a source file can be read").lines().count();
                seen += 1;
                long.extend((lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display())));
            }
        }
    }
    assert!(seen > 50, "only {seen} source files found");
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

/// Cargo marks its output folders, wherever they lie.
fn is_target(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").exists()
}
