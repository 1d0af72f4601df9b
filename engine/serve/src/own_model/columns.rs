//! Which features a model takes, in which order, and its input made of them.

use faces_core::ranking::features::NAMES;

use super::{CHUNK_ROWS, Problem};

/// Places of a model's features among all, in the model's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<usize>);

impl Columns {
    /// Of these names; of none, all features in their order.
    ///
    /// # Errors
    /// A name that no feature has, or that stands twice.
    pub fn named(names: &[String]) -> Result<Self, Problem> {
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let Some(place) = NAMES.iter().position(|known| known == name) else {
                return Err(Problem::UnknownFeature { name: name.clone(), known: NAMES.join(", ") });
            };
            if places.contains(&place) {
                return Err(Problem::FeatureTwice { name: name.clone() });
            }
            places.push(place);
        }
        Ok(Self(if places.is_empty() { (0..NAMES.len()).collect() } else { places }))
    }

    /// How many they are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// Sets `rows` to the numbers of up to [`CHUNK_ROWS`] candidates from `first` on, candidate by candidate, and to zeros beyond the
    /// last one. `row` gives a feature's values, by candidate.
    pub(super) fn fill<'a>(&self, first: usize, row: impl Fn(usize) -> &'a [f32], rows: &mut Vec<f32>) {
        rows.clear();
        rows.resize(CHUNK_ROWS * self.width(), 0.0);
        for (column, place) in self.0.iter().enumerate() {
            let values = row(*place).get(first..).unwrap_or_default();
            rows.iter_mut().skip(column).step_by(self.width()).zip(values).for_each(|(held, value)| *held = *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_models_input_is_made_in_its_order() {
        let columns = Columns::named(&names(&[NAMES[4], NAMES[1]])).unwrap();
        // Of candidate n, feature f is 100 · f + n.
        let features: Vec<Vec<f32>> = (0..NAMES.len()).map(|f| (0..70).map(|n| (100 * f + n) as f32).collect()).collect();
        let mut rows = vec![7.0; 3];
        columns.fill(64, |f| &features[f], &mut rows);
        assert_eq!(rows.len(), CHUNK_ROWS * 2);
        let (given, beyond) = rows.split_at(2 * 6);
        assert_eq!(given, [464.0, 164.0, 465.0, 165.0, 466.0, 166.0, 467.0, 167.0, 468.0, 168.0, 469.0, 169.0]);
        assert!(beyond.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn names_must_be_of_features_and_stand_once() {
        assert_eq!(Columns::named(&[]).unwrap().0, (0..NAMES.len()).collect::<Vec<_>>());
        let unknown = Columns::named(&names(&["together", "colour"])).unwrap_err().to_string();
        assert!(unknown.contains("\"colour\"") && unknown.contains("demand_180_log"), "{unknown}");
        let twice = Columns::named(&names(&["together", "had", "together"])).unwrap_err().to_string();
        assert!(twice.contains("\"together\""), "{twice}");
    }
}
