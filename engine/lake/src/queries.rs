//! The SQL, as functions of what is counted. Every sum is of whole numbers: order and partitioning do not show.
//!
//! Tables: `files` (events as they lie there), `events` (the same, cleaned), `items` (item, unit, bu, item_id), `persons` (bu,
//! local_user_id, person, length: how many interactions they have), `interactions` (person, item, ts_ms, weight and for pairs place,
//! length), `loads`, `sums`, `contexts`, `lifts`, `told` (events that a replay may go through) and `moments`.
//!
//! A join holds its left side in memory, so what grows with the log stands on the right.

use faces_rebuild::{
    cooccurrence::{HALF_LIVES_MAX, PairParams},
    covisitation::Normalisation,
    popularity,
    prepared::{Counting, PAIR_BITS, TOTAL_BITS},
};
use serde::{Deserialize, Serialize};

const DAY_MS: f64 = 86_400_000.0;
/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// Takers never vanish: what is older counts as if it were as old.
const TAKERS_HALF_LIVES_MAX: f64 = 1_000.0;

/// As many times the contexts that are kept of an item may pairs it is in be until they are capped: to cut them costs more than to read them,
/// and training cuts what it reads.
const UNCAPPED_TIMES: usize = 4;

/// Items whose pairs are made at one time: those from `first` on and before `end` whose pairs are capped, or those that keep all of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The first item.
    pub first: u32,
    /// The one after the last.
    pub end: u32,
    /// Which of the two.
    pub is_capped: bool,
}

/// What an event of a type weighs, for the types that carry weight, as the files spell them.
#[derive(Debug, Clone, Default)]
pub struct Weights(pub Vec<(String, f32)>);

impl Weights {
    fn types(&self) -> String {
        let quoted: Vec<String> = self.0.iter().map(|(name, _)| quoted(name)).collect();
        // A list without a member is no SQL.
        if quoted.is_empty() { "NULL".into() } else { quoted.join(", ") }
    }

    fn weight(&self) -> String {
        let cases = self.0.iter().map(|(name, weight)| format!("WHEN {} THEN {weight:?} ", quoted(name)));
        format!("CASE e.event_type {}END", cases.collect::<String>())
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What the reader of tables takes for a blank, which is more than SQL does by itself.
const BLANKS: &str = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";

/// Events, cleaned as the reader of tables does it: blanks around ids removed, numbers as text, times in milliseconds.
pub fn events(has_times: bool, has_values: bool) -> String {
    let ts_ms = if has_times { "CAST(arrow_cast(ts_ms, 'Timestamp(Millisecond, None)') AS BIGINT)" } else { "ts_ms" };
    let value = if has_values { "value" } else { "CAST(NULL AS DOUBLE)" };
    let trimmed = |column: &str| format!("btrim(CAST({column} AS VARCHAR), '{BLANKS}') AS {column}");
    let ids = ["bu", "local_user_id", "item_id", "event_type"].map(trimmed).join(", ");
    format!("SELECT {ts_ms} AS ts_ms, {ids}, {value} AS value FROM files")
}

/// What footers do not say of some files.
pub fn doubts() -> String {
    "SELECT MIN(ts_ms) AS oldest, MAX(ts_ms) AS newest,
       COUNT(*) - COUNT(ts_ms) AS ts_ms, COUNT(*) - COUNT(NULLIF(bu, '')) AS bu, COUNT(*) - COUNT(NULLIF(local_user_id, '')) AS local_user_id,
       COUNT(*) - COUNT(NULLIF(event_type, '')) AS event_type
     FROM events"
        .into()
}

/// How many events of each type there are, before the cut-off and after.
pub fn types(until_ms: i64) -> String {
    format!(
        "SELECT event_type, CAST(ts_ms >= {until_ms} AS INT) AS is_late, COUNT(*) AS events, MIN(ts_ms) AS oldest, MAX(ts_ms) AS newest
         FROM events GROUP BY event_type, CAST(ts_ms >= {until_ms} AS INT)"
    )
}

/// Who did something to a known item, how often and when last.
pub fn accounts(weights: &Weights, until_ms: i64) -> String {
    let types = weights.types();
    format!(
        "SELECT e.bu, e.local_user_id, COUNT(*) AS events, MAX(e.ts_ms) AS newest
         FROM items i JOIN events e ON e.bu = i.bu AND e.item_id = i.item_id
         WHERE e.ts_ms < {until_ms} AND e.event_type IN ({types})
         GROUP BY e.bu, e.local_user_id"
    )
}

/// Who did what; if they `are_placed`, each person's interactions in their order, numbered, with how many there are, as pairs need it.
pub fn interactions(weights: &Weights, until_ms: i64, are_placed: bool) -> String {
    let (types, weight) = (weights.types(), weights.weight());
    let acts = format!(
        "SELECT p.person, p.length, a.item, a.ts_ms, a.weight
         FROM persons p JOIN (
           SELECT e.bu, e.local_user_id, i.item, e.ts_ms, CAST({weight} AS REAL) AS weight
           FROM items i JOIN events e ON e.bu = i.bu AND e.item_id = i.item_id
           WHERE e.ts_ms < {until_ms} AND e.event_type IN ({types})) a
         ON a.bu = p.bu AND a.local_user_id = p.local_user_id"
    );
    let places = if are_placed {
        ", CAST(ROW_NUMBER() OVER (PARTITION BY person ORDER BY ts_ms, item, weight) - 1 AS INT) AS place, length"
    } else {
        ""
    };
    format!("SELECT person, item, ts_ms, weight{places} FROM ({acts})")
}

/// Popularity: weights, faded by age.
pub fn popular(counting: &Counting, cut_off_ms: i64) -> String {
    faded(Some(counting.popularity.half_life_days), popularity::HALF_LIVES_MAX, cut_off_ms)
}

/// Takers of items, as transitions are normalised by.
pub fn takers(counting: &Counting, cut_off_ms: i64) -> String {
    faded(half_life_days(counting), TAKERS_HALF_LIVES_MAX, cut_off_ms)
}

fn half_life_days(counting: &Counting) -> Option<f64> {
    match counting.co_visitation.normalisation {
        Normalisation::Symmetric { .. } => None,
        Normalisation::Transition { half_life_days, .. } => Some(half_life_days),
    }
}

fn half_lives(half_life_days: f64, cut_off_ms: i64) -> String {
    format!("CAST({cut_off_ms} - ts_ms AS DOUBLE) / {:?}", half_life_days * DAY_MS)
}

fn faded(half_life_days: Option<f64>, half_lives_max: f64, cut_off_ms: i64) -> String {
    let age = half_life_days.map_or("0.0".into(), |days| format!("LEAST({}, {half_lives_max:?})", half_lives(days, cut_off_ms)));
    format!(
        "SELECT item, CAST(floor(age) AS INT) AS octave,
           SUM(CAST(round(weight * power(2.0, {TOTAL_BITS}.0 - (age - floor(age)))) AS BIGINT)) AS total
         FROM (SELECT item, CAST(weight AS DOUBLE) AS weight, {age} AS age FROM interactions)
         GROUP BY item, CAST(floor(age) AS INT)"
    )
}

/// How many pairs each item is in at most: what shares of the work are cut by.
pub fn loads(counting: &Counting) -> String {
    let window = 2 * window(counting);
    format!("SELECT item, SUM(CAST(LEAST(length - 1, {window}) AS BIGINT)) AS pairs FROM interactions GROUP BY item")
}

/// The loads of items whose pairs are capped, or of those that keep all of theirs.
pub fn loads_of(counting: &Counting, is_capped: bool) -> String {
    format!("SELECT item, pairs FROM loads WHERE {} ORDER BY item", load_is(counting, is_capped))
}

fn load_is(counting: &Counting, is_capped: bool) -> String {
    format!("pairs {} {}", if is_capped { ">" } else { "<=" }, UNCAPPED_TIMES * counting.contexts_max)
}

fn window(counting: &Counting) -> usize {
    counting.co_visitation.pairs.window.max(counting.associations.window)
}

/// Pairs of a share's items with all others, both sums at once. Interactions of one person lie in blocks as long as the window, so that an
/// interaction meets its own block and the two beside it alone, however long the history is. A pair is one number while it is summed up:
/// that takes a tenth less than two columns do.
pub fn sums(counting: &Counting, cut_off_ms: i64, share: &Share) -> String {
    let window = window(counting);
    let Share { first, end, is_capped } = share;
    let load = load_is(counting, *is_capped);
    let fade = half_life_days(counting).map_or("1.0".into(), |days| {
        let age = half_lives(days, cut_off_ms);
        format!("CASE WHEN {age} < {HALF_LIVES_MAX:?} THEN exp({age} * {:?}) ELSE 0.0 END", -std::f64::consts::LN_2)
    });
    let transitions = pair_sum(&counting.co_visitation.pairs, "GREATEST(a.fade, b.fade)", window);
    let associations = pair_sum(&counting.associations, "1.0", window);
    format!(
        "WITH acts AS (
           SELECT item, ts_ms, place, length, sqrt(CAST(weight AS DOUBLE)) AS root, {fade} AS fade,
             CAST(person AS BIGINT) * 4294967296 + place / {window} AS block
           FROM interactions),
         own AS (
           SELECT a.item, a.ts_ms, a.place, a.length, a.root, a.fade, a.block
           FROM (SELECT item FROM loads WHERE item >= {first} AND item < {end} AND {load}) l JOIN acts a ON a.item = l.item
           WHERE a.item >= {first} AND a.item < {end} AND a.length > 1),
         near AS (
           SELECT item, ts_ms, place, root, fade, block + step AS block FROM own CROSS JOIN (VALUES (-1), (0), (1)) steps (step)
           WHERE step = 0 OR step = -1 AND place >= {window} OR step = 1 AND (place / {window} + 1) * {window} < length)
         SELECT CAST(pair / 4294967296 AS INT) AS item, CAST(pair % 4294967296 AS INT) AS other, transitions, associations
         FROM (
           SELECT CAST(a.item AS BIGINT) * 4294967296 + b.item AS pair, SUM({transitions}) AS transitions, SUM({associations}) AS associations
           FROM near a JOIN acts b ON a.block = b.block AND a.item <> b.item AND abs(a.place - b.place) <= {window}
           GROUP BY CAST(a.item AS BIGINT) * 4294967296 + b.item)"
    )
}

fn pair_sum(pairs: &PairParams, fade: &str, window_of_join: usize) -> String {
    let rate = -std::f64::consts::LN_2 / (pairs.tau_days * DAY_MS);
    let near = format!("GREATEST(exp(CAST(abs(a.ts_ms - b.ts_ms) AS DOUBLE) * {rate:?}), {:?})", pairs.floor);
    let value = format!("CAST(round(a.root * b.root * {near} * {fade} * {:?}) AS BIGINT)", f64::from(PAIR_BITS).exp2());
    let PairParams { window, .. } = pairs;
    if *window == window_of_join {
        value
    } else {
        format!("CASE WHEN abs(a.place - b.place) <= {window} THEN {value} ELSE 0 END")
    }
}

/// Each item's associations in all, and with how many others.
pub fn contexts() -> String {
    "SELECT item, SUM(associations) AS total, COUNT(*) AS others FROM sums GROUP BY item".into()
}

/// How many items have more others than contexts are kept: pairs of the rest are kept as they are.
pub fn crowded(counting: &Counting) -> String {
    format!("SELECT COUNT(*) AS items FROM contexts WHERE others > {}", counting.contexts_max)
}

/// Pairs after the caps: of an item with more others than contexts are kept, the strongest associations, and of each unit the best
/// transitions (a superset of what the places for units leave).
pub fn pairs(counting: &Counting) -> String {
    let (neighbours_max, contexts_max) = (counting.co_visitation.neighbours_max, counting.contexts_max);
    format!(
        "SELECT item, other, transitions, associations FROM (
           SELECT s.item, s.other, s.transitions, s.associations
           FROM contexts c JOIN sums s ON s.item = c.item WHERE c.others <= {contexts_max}
           UNION ALL
           SELECT item, other,
             CASE WHEN place <= {neighbours_max} THEN transitions ELSE 0 END AS transitions,
             CASE WHEN context <= {contexts_max} THEN associations ELSE 0 END AS associations
           FROM (
             SELECT s.item, s.other, s.transitions, s.associations,
               ROW_NUMBER() OVER (PARTITION BY s.item, l.unit ORDER BY CAST(s.transitions * l.lift AS REAL) DESC, s.other) AS place,
               ROW_NUMBER() OVER (PARTITION BY s.item ORDER BY s.associations DESC, s.other) AS context
             FROM lifts l JOIN (
               SELECT sums.item, sums.other, sums.transitions, sums.associations
               FROM contexts c JOIN sums ON sums.item = c.item WHERE c.others > {contexts_max}) s ON s.other = l.item)
           WHERE place <= {neighbours_max} OR context <= {contexts_max})"
    )
}

/// The events that a replay may go through.
pub fn told(cut_off_ms: i64) -> String {
    format!(
        "SELECT ts_ms, bu, local_user_id, item_id, event_type, value FROM events WHERE ts_ms < {cut_off_ms} AND item_id <> ''"
    )
}

/// How many there are by hour.
pub fn hours() -> String {
    format!("SELECT ts_ms / {HOUR_MS} AS hour, COUNT(*) AS events FROM told GROUP BY ts_ms / {HOUR_MS}")
}

/// Events in order of time, for the replay: all from a time on, and before it those of the persons of the moments, whatever account of
/// theirs took part.
pub fn replay(whole_from_ms: Option<i64>) -> String {
    const COLUMNS: &str = "ts_ms, bu, local_user_id, item_id, event_type, value";
    let Some(from_ms) = whole_from_ms else { return format!("SELECT {COLUMNS} FROM told ORDER BY ts_ms") };
    format!(
        "WITH asked AS (SELECT bu, local_user_id FROM moments GROUP BY bu, local_user_id),
         known AS (
           SELECT p.person FROM asked a JOIN persons p ON p.bu = a.bu AND p.local_user_id = a.local_user_id GROUP BY p.person),
         accounts AS (
           SELECT bu, local_user_id FROM asked
           UNION SELECT p.bu, p.local_user_id FROM known k JOIN persons p ON p.person = k.person)
         SELECT {COLUMNS} FROM (
           SELECT {COLUMNS} FROM told WHERE ts_ms >= {from_ms}
           UNION ALL
           SELECT t.ts_ms, t.bu, t.local_user_id, t.item_id, t.event_type, t.value
           FROM accounts a JOIN told t ON t.bu = a.bu AND t.local_user_id = a.local_user_id WHERE t.ts_ms < {from_ms})
         ORDER BY ts_ms"
    )
}

/// The time from which on the latest `events` interactions happened: examples are taken from these.
pub fn late(weights: &Weights, events: usize) -> String {
    let types = weights.types();
    format!(
        "SELECT MIN(ts_ms) AS ts_ms FROM (SELECT ts_ms FROM told WHERE event_type IN ({types}) ORDER BY ts_ms DESC LIMIT {events})"
    )
}

/// How many moments (one account, unit and time) there are from a time on.
pub fn moment_count(weights: &Weights, from_ms: i64) -> String {
    let types = weights.types();
    format!(
        "SELECT COUNT(*) AS moments FROM (
           SELECT DISTINCT ts_ms, bu, local_user_id FROM told WHERE event_type IN ({types}) AND ts_ms >= {from_ms})"
    )
}

/// The interactions from a time on.
pub fn moments(weights: &Weights, from_ms: i64) -> String {
    let types = weights.types();
    format!(
        "SELECT ts_ms, bu, local_user_id, item_id, event_type, value FROM told
         WHERE event_type IN ({types}) AND ts_ms >= {from_ms} ORDER BY ts_ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_is_one() {
        let blanks: String = (char::MIN..=char::MAX).filter(|letter| letter.is_whitespace()).collect();
        assert_eq!(BLANKS, blanks);
    }
}
