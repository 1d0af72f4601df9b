//! What a file of rules may say, and what each problem is told as.

use faces_core::{
    catalogue::Catalogue,
    ids::EventTime,
    ranking::rules::{CapBy, Moment},
};

use super::*;

const SOUND: &str = r#"
[[pin]]
name = "hero"
bu = "market"
placement = "home.top"
item = "x"
position = 1
from = 2026-11-11T00:00:00Z
until = "2026-11-12T00:00:00+09:00"

[[pin]]
bu = "market"
item = "y"
position = 2

[[boost]]
category = "kitchen"
brand = "acme"
price_max = 50
factor = 1.5

[[boost]]
bu = "market"
items = ["a", "b"]
add = -0.25

[[bury]]
tag = "clearance"

[[hide]]
bu = "cinema"
items = ["banned"]

[[cap]]
by = "brand"
share_max = 0.2

[[cap]]
tag = "sponsored"
share_max = 0.1
placement = "home.top"

[diversity]
lambda = 0.3

[explore]
share = 0.1
days = 7
"#;

/// Checks that a file has exactly these problems: the line of each, and parts of what it says.
fn check(text: &str, expected: &[(usize, &[&str])]) {
    let problems = parse(text).err().unwrap_or_default();
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{text}\n{problems:#?}");
    for (problem, (_, parts)) in problems.iter().zip(expected) {
        assert!(parts.iter().all(|part| problem.message.contains(part)), "{parts:?} are not in {problem}");
    }
}

#[test]
fn a_sound_file_says_what_it_says() {
    let rules = parse(SOUND).unwrap().rules;
    assert_eq!(rules.count(), 10);
    let [hero, other] = &rules.pins[..] else { panic!("{rules:?}") };
    assert_eq!((&*hero.name, &*hero.what.item, hero.what.position.get()), ("hero", "x", 1));
    assert_eq!((&*other.name, other.scope.placement.as_deref()), ("pin 2", None));
    let from = EventTime::from_millis(1_794_355_200_000); // 2026-11-11 in UTC
    assert_eq!((hero.scope.from, hero.scope.until), (Some(from), Some(from.plus_millis(15 * 3_600_000))));
    let covers = |placement, now| hero.scope.covers(&Moment { bu: "market", placement: Some(placement), now });
    assert!(covers("home.top", from) && !covers("cart", from) && !covers("home.top", from.plus_millis(-1)));
    assert!(rules.hidden[0].what.names("banned") && !rules.hidden[0].what.names("x"));
    assert!(matches!((&rules.caps[0].what.by, &rules.caps[1].what.by), (CapBy::Brand, CapBy::Items(_))));
    assert_eq!(rules.explore.unwrap().what.days, 7.0);
    assert_eq!(parse("").unwrap().rules, Rules::default());
    assert_eq!(parse("[diversity]\nlambda = 0\n[explore]\nshare = 0.0\n").unwrap().rules, Rules::default(), "0 is off");
}

#[test]
fn the_documented_file_is_sound() {
    let manual = include_str!("../../../../docs/operations.md");
    let (_, chapter) = manual.split_once("## Rules for slates").unwrap();
    let example = chapter.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(parse(example).unwrap().rules.count(), 8);
}

#[test]
fn every_problem_is_told_with_its_line_and_the_way_out() {
    check("[[pin]]\nbu = ", &[(2, &["no TOML"])]);
    check("[[pim]]\nx = 1\n[rules]\n", &[(1, &["pim", "pin, boost"]), (3, &["rules"])]);
    check("[pin]\nbu = \"m\"", &[(1, &["[[pin]]"])]);
    check("[[explore]]\nshare = 0.1", &[(1, &["[explore]"])]);
    check("pin = 3", &[(1, &["[[pin]]"])]);
    check("[[pin]]", &[(1, &["bu is missing"]), (1, &["item is missing"]), (1, &["position is missing"])]);
    check(
        "[[pin]]\nbu = \"M M\"\nitem = 7\nposition = 0\nplacemnt = \"home\"\n",
        &[
            (2, &["bu", "M M"]),
            (3, &["item", "an integer", "text"]),
            (4, &["position is 0", "1 to 200"]),
            (5, &["placemnt", "placement"]),
        ],
    );
    check("[[pin]]\nbu=\"m\"\nitem=\"x\"\nposition=1.5", &[(4, &["position is 1.5"])]);
    check("[[pin]]\nbu=\"m\"\nitem=\"\"\nposition=201", &[(3, &["item", "0 bytes"]), (4, &["201"])]);
    check("[[boost]]\nfactor = 2", &[(1, &["say which items", "category"])]);
    check("[[boost]]\nbrand = \"a\"", &[(1, &["factor", "add"])]);
    check("[[boost]]\nbrand = \"a\"\nfactor = 0", &[(3, &["above 0"])]);
    check("[[boost]]\nbrand = \"a\"\nfactor = 2\nadd = -1", &[(3, &["two directions"])]);
    check("[[boost]]\nbrand = \"a\"\nfactor = inf", &[(3, &["finite"])]);
    check("[[boost]]\nbrand = \"a\"\nadd = \"much\"", &[(3, &["add is a string", "a number"])]);
    check("[[hide]]\nitems = [\"x\"]", &[(2, &["items need bu"])]);
    check("[[hide]]\nbu = \"m\"\nitems = []", &[(3, &["items holds 0"])]);
    check("[[hide]]\nbu = \"m\"\nitems = [\"a\", 3]", &[(3, &["must hold texts"])]);
    check("[[hide]]\nprice_min = 9\nprice_max = 3", &[(3, &["price_max is below price_min"])]);
    check("[[cap]]\nby = \"brand\"\nshare_max = 0", &[(3, &["share_max is 0", "[[hide]]"])]);
    check("[[cap]]\nby = \"colour\"\nshare_max = 0.5", &[(2, &["colour", "\"brand\""])]);
    check("[[cap]]\nby = \"brand\"", &[(1, &["share_max is missing"])]);
    check("[diversity]\nlambda = 1.1", &[(2, &["lambda is 1.1", "0 (off) to 1"])]);
    check("[explore]\nshare = 0.1\ndays = 0", &[(3, &["days is 0"])]);
    check("[[bury]]\ntag=\"t\"\nfrom = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z", &[(4, &["until is not after from"])]);
    check("[[bury]]\ntag=\"t\"\nfrom = 2026-01-02\nuntil = \"soon\"", &[(3, &["2026-01-02", "T00:00:00Z"]), (4, &["soon"])]);
    // Any two of these contradict each other.
    let many = "[[pin]]\nbu = \"m\"\nitem = \"x\"\nposition = 1\n".repeat(RULES_MAX + 1);
    check(&many, &[(1, &["501", "500"])]);
    check(&" ".repeat(FILE_BYTES_MAX + 1), &[(1, &["bytes"])]);
}

#[test]
fn contradictions_name_both_rules() {
    let pin = |item: &str, position: u8, more: &str| format!("[[pin]]\nbu=\"m\"\nitem=\"{item}\"\nposition={position}\n{more}\n");
    let (day_1, day_2) = ("from=2026-01-01T00:00:00Z\nuntil=2026-01-02T00:00:00Z", "from=2026-01-02T00:00:00Z");
    let two = |a: String, b: String| a + &b;
    check(
        &two(pin("a", 1, ""), pin("b", 1, "name=\"late\"")),
        &[(6, &["\"late\"", "[[pin]] 1 (line 1)", "\"b\"", "another position"])],
    );
    check(&two(pin("a", 1, day_1), pin("b", 1, day_2)), &[]);
    check(&two(pin("a", 1, "placement=\"x\""), pin("b", 1, "placement=\"y\"")), &[]);
    check(&two(pin("a", 1, "placement=\"x\""), pin("b", 1, "")), &[(6, &["[[pin]] 2"])]);
    check(&two(pin("a", 1, ""), pin("a", 2, "")), &[(6, &["once on a slate"])]);
    let hide = |bu: &str| format!("[[hide]]\nbu=\"{bu}\"\nitems=[\"z\", \"a\"]\n");
    check(&two(pin("a", 1, ""), hide("m")), &[(1, &["hidden", "[[hide]] 1 (line 6)", "drop one"])]);
    check(&two(pin("a", 1, ""), hide("other")), &[]);
    let boost = |what: &str| format!("[[boost]]\nbrand=\"b\"\ntag=\"t\"\n{what}\n");
    check(&two(boost("factor=2"), boost("add=-1")), &[(5, &["sinks", "lifted", "[[boost]] 1 (line 1)"])]);
    check(&two(boost("factor=2"), boost("add=1")), &[]);
    check(&two(boost("factor=2\nbu=\"m\""), boost("add=-1\nbu=\"n\"")), &[]);
    check(&two(boost("factor=2"), "[[bury]]\ntag=\"t\"\nbrand=\"b\"\n".into()), &[(1, &["buried", "[[bury]] 1 (line 5)"])]);
    check(&two(boost("factor=0.5"), "[[bury]]\ntag=\"t\"\nbrand=\"b\"\n".into()), &[]);
    // All at once.
    let all =
        [pin("a", 1, ""), pin("b", 1, ""), boost("factor=2"), boost("factor=0.5"), "[[cap]]\nby=\"brand\"\nshare_max=0\n".into()];
    assert_eq!(parse(&all.concat()).unwrap_err().len(), 3);
}

#[test]
fn what_nothing_has_named_is_a_warning() {
    let parsed = parse(SOUND).unwrap();
    let catalogue = Catalogue::default();
    let bu = catalogue.bu_or_new("market").unwrap();
    for item in ["x", "a"] {
        catalogue.item_or_new(bu, item).unwrap();
    }
    let told: Vec<String> = parsed.unknown(&catalogue).iter().map(Problem::to_string).collect();
    let expected = [("line 11", "\"y\""), ("line 22", "\"b\""), ("line 30", "\"cinema\"")];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (line, name)) in told.iter().zip(expected) {
        assert!(told.starts_with(line) && told.contains(name), "{told}");
    }
}

#[test]
fn a_file_of_something_else_is_told_line_by_line_in_one_pass() {
    const LINES: usize = 100_000; // where each took a look at all, this took minutes
    let keys: String = (0..LINES).map(|n| format!("k{n}=1\n")).collect();
    for (text, first) in [(format!("[[hide]]\nbrand = \"x\"\n{keys}"), 3), ("a,b\n".repeat(LINES), 1)] {
        let problems = parse(&text).unwrap_err();
        assert_eq!((problems.len(), problems[0].line, problems[LINES - 1].line), (LINES, first, first + LINES - 1));
    }
}
