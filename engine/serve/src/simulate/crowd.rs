//! The people: names, tastes, and the keys under which the business units know them.

use faces_proto::v1::{IdentityLink, KeyKind, LinkEvidence, LinkOperation, SourceKey};
use rand::{
    Rng, RngExt,
    seq::{IndexedRandom, SliceRandom},
};

use super::{DAY_MS, HISTORY_DAYS, Shopper, Unit, draw, vocabulary::Vocabulary};

/// Given names; the display adds an initial.
const GIVEN_NAMES: [&str; 96] = [
    "Aiko", "Akari", "Akira", "Aoi", "Arisa", "Asahi", "Asuka", "Atsushi", "Aya", "Ayumi", "Chihiro", "Chika", "Daichi",
    "Daisuke", "Eiji", "Emi", "Eri", "Fumiko", "Fuyumi", "Genta", "Hana", "Haruka", "Haruki", "Hayato", "Hideo", "Hikari",
    "Hina", "Hiroko", "Hiroshi", "Hitomi", "Hotaru", "Ichiro", "Itsuki", "Izumi", "Jiro", "Jun", "Junko", "Kaede", "Kaito",
    "Kana", "Kaori", "Kazuo", "Keiko", "Kenji", "Kenta", "Kiyomi", "Kohei", "Kotaro", "Kumiko", "Mai", "Maki", "Makoto", "Mana",
    "Mari", "Masato", "Mayu", "Megumi", "Mei", "Michiko", "Minato", "Mio", "Misaki", "Miyuki", "Nanami", "Nao", "Naoki",
    "Natsuki", "Noboru", "Nozomi", "Reiko", "Ren", "Rika", "Riku", "Rin", "Ryo", "Saki", "Sakura", "Satoshi", "Sayaka", "Shinji",
    "Shiori", "Shota", "Sora", "Sota", "Taichi", "Takumi", "Tamami", "Tomoko", "Tsubasa", "Wakana", "Yamato", "Yoko", "Yua",
    "Yuki", "Yuna", "Yuto",
];

/// Initials of family names.
const INITIALS: [char; 16] = ['A', 'E', 'F', 'G', 'H', 'I', 'K', 'M', 'N', 'O', 'S', 'T', 'U', 'W', 'Y', 'Z'];

/// How many business units a person uses: shares of one, two, three and four.
const UNITS_SHARES: [f32; 4] = [0.25, 0.30, 0.25, 0.20];

/// How many themes a person likes: shares of two, three and four.
const THEMES_SHARES: [f32; 3] = [0.4, 0.4, 0.2];

/// Weight of the first, second, … theme, before they are scaled to sum to 1.
const THEME_WEIGHTS: [f32; 4] = [1.0, 0.6, 0.4, 0.3];

/// Share of people of whom a unit also knows a device.
const DEVICE_SHARE: f64 = 0.35;

/// Share of people of whom a unit also knows a session from before they logged in.
const SESSION_SHARE: f64 = 0.15;

/// Within this many days of the start of history people have logged in wherever they have an account.
const LINKED_WITHIN_DAYS: i64 = 5;

/// A hidden taste for one theme.
#[derive(Clone, Debug)]
pub(super) struct Taste {
    /// Position of the theme.
    pub(super) theme: usize,
    pub(super) weight: f32,
    /// Positions of all niches of the theme, favourites first.
    pub(super) niches: Vec<usize>,
}

/// What drives a shopper.
#[derive(Clone, Debug)]
pub(super) struct Persona {
    /// Units with an account, most used first.
    pub(super) units: Vec<Unit>,
    /// Heaviest first.
    pub(super) tastes: Vec<Taste>,
}

impl Unit {
    /// How much of the group's traffic it has.
    pub(super) const fn traffic(self) -> f32 {
        match self {
            Self::Marketplace => 0.40,
            Self::Groceries => 0.28,
            Self::Video => 0.22,
            Self::Payments => 0.10,
        }
    }

    /// The id of shopper `number`'s account: of another shape in every unit, unique inside it.
    fn account_id(self, name: &str, number: usize) -> String {
        let number = number as u64;
        match self {
            // 7,919 is prime to both moduli, so neighbours get distant numbers and none gets another's.
            Self::Marketplace => format!("m-{}", 100_000 + scattered(number, 900_000)),
            Self::Groceries => format!("g-{:06x}", scattered(number, 1 << 24)),
            Self::Video => format!("{}-{number}", name.split(' ').next().unwrap_or_default().to_lowercase()),
            Self::Payments => format!("p-{:04}-{:04}", number / 10_000, number % 10_000),
        }
    }
}

/// A permutation of each block of `modulus` numbers.
const fn scattered(number: u64, modulus: u64) -> u64 {
    number / modulus * modulus + number % modulus * 7_919 % modulus
}

/// Makes up shopper `number`.
pub(super) fn meet(number: usize, vocabulary: &Vocabulary, rng: &mut impl Rng) -> (Shopper, Persona) {
    let name = format!(
        "{} {}.",
        GIVEN_NAMES.choose(rng).copied().unwrap_or_default(),
        INITIALS.choose(rng).copied().unwrap_or_default()
    );
    let persona = Persona { units: units(rng), tastes: tastes(vocabulary, rng) };
    let shopper = Shopper {
        keys: keys(&persona, &name, number, rng),
        name,
        tastes: persona
            .tastes
            .iter()
            .filter_map(|taste| vocabulary.themes.get(taste.theme).map(|theme| (theme.name, taste.weight)))
            .collect(),
        niches: persona
            .tastes
            .iter()
            .filter_map(|taste| vocabulary.niches.get(*taste.niches.first()?).map(|niche| niche.name))
            .collect(),
    };
    (shopper, persona)
}

/// What says that a shopper's keys are one person: logins, all accounts with the first, devices and sessions with the account
/// of their unit.
pub(super) fn link(shopper: &Shopper, now_ms: i64, rng: &mut impl Rng) -> Vec<IdentityLink> {
    let Some((first, others)) = shopper.keys.split_first() else { return Vec::new() };
    let since_ms = now_ms - HISTORY_DAYS * DAY_MS;
    others
        .iter()
        .map(|key| {
            let partner = match key.kind() {
                KeyKind::Account => first,
                _ => shopper.account(&key.bu).unwrap_or(first),
            };
            IdentityLink {
                a: Some(partner.clone()),
                b: Some(key.clone()),
                operation: LinkOperation::Link.into(),
                evidence: LinkEvidence::Login.into(),
                confidence: 1.0,
                event_time_ms: since_ms + rng.random_range(1..=LINKED_WITHIN_DAYS * DAY_MS),
            }
        })
        .collect()
}

fn units(rng: &mut impl Rng) -> Vec<Unit> {
    let count = 1 + draw::weighted(rng, UNITS_SHARES);
    // Efraimidis & Spirakis (2006): the largest u^(1/w) are a weighted sample without replacement.
    let mut lots: Vec<(f32, Unit)> =
        Unit::ALL.into_iter().map(|unit| (rng.random::<f32>().powf(1.0 / unit.traffic()), unit)).collect();
    lots.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    lots.into_iter().take(count).map(|(_, unit)| unit).collect()
}

fn tastes(vocabulary: &Vocabulary, rng: &mut impl Rng) -> Vec<Taste> {
    let count = 2 + draw::weighted(rng, THEMES_SHARES);
    let mut themes: Vec<usize> = (0..vocabulary.themes.len()).collect();
    themes.shuffle(rng);
    let total: f32 = THEME_WEIGHTS.iter().take(count).sum();
    themes
        .into_iter()
        .take(count)
        .zip(THEME_WEIGHTS)
        .map(|(theme, weight)| {
            let mut niches = vocabulary.niches_of(theme);
            niches.shuffle(rng);
            Taste { theme, weight: weight / total, niches }
        })
        .collect()
}

fn keys(persona: &Persona, name: &str, number: usize, rng: &mut impl Rng) -> Vec<SourceKey> {
    let accounts = persona.units.iter().map(|unit| (*unit, KeyKind::Account, unit.account_id(name, number)));
    let mut keys: Vec<_> = accounts.collect();
    for (share, kind, word) in [(DEVICE_SHARE, KeyKind::Device, "app"), (SESSION_SHARE, KeyKind::Session, "visit")] {
        if rng.random_bool(share)
            && let Some(unit) = persona.units.choose(rng)
        {
            keys.push((*unit, kind, format!("{word}-{:08x}-{number}", rng.random::<u32>())));
        }
    }
    keys.into_iter().map(|(unit, kind, id)| SourceKey { bu: unit.name().to_owned(), kind: kind.into(), id }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn account_ids_are_unique_far_beyond_the_demo() {
        for unit in Unit::ALL {
            let ids: HashSet<String> = (0..1_000_000).step_by(7).map(|number| unit.account_id("Rin A.", number)).collect();
            assert_eq!(ids.len(), 1_000_000_usize.div_ceil(7), "{}", unit.name());
        }
    }
}
