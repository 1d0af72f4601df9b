//! Items of which the log tells nothing (yet): known from elsewhere, until a record says more.

use std::sync::Arc;

use super::{Catalogue, ItemAttributes, ItemRecord, content_hash};
use crate::ids::EventTime;

/// Before any record's time, so that every record takes a seed's place.
const TIME: EventTime = EventTime::from_millis(i64::MIN);

impl Catalogue {
    /// Lists an item of which no record stands; `false` where one does, or the item can't be numbered. When it was first listed stays
    /// open: records say.
    pub fn seed(&self, bu: &str, item_id: &str, attributes: ItemAttributes) -> bool {
        let Some(item) = self.bu_or_new(bu).and_then(|bu| self.item_or_new(bu, item_id)) else { return false };
        let Some(slot) = self.slot(item) else { return false };
        let mut standing = slot.rest.standing.write();
        if standing.record.version.is_some() {
            return false;
        }
        let version = Some((TIME, false, content_hash(Some(&attributes))));
        let record = ItemRecord { version, attributes: Arc::new(attributes), ..standing.record.clone() };
        standing.keep_for(&self.clock);
        self.set(item, &mut standing, record);
        drop(standing);
        self.journal.push(item);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Changed, ItemChange};

    fn titled(title: &str) -> ItemAttributes {
        ItemAttributes { title: title.into(), ..ItemAttributes::default() }
    }

    #[test]
    fn a_seed_stands_until_a_record_comes_whatever_its_time() {
        let catalogue = Catalogue::default();
        assert!(catalogue.seed("shop", "a", titled("seeded")));
        let bu = catalogue.bu("shop").unwrap();
        let item = catalogue.item(bu, "a").unwrap();
        assert!(catalogue.is_servable_in(bu, item) && catalogue.listed_count() == 1);
        assert_eq!((&*catalogue.attributes(item).title, catalogue.listed_at(item)), ("seeded", None));

        let time = EventTime::from_millis(0);
        let change = ItemChange { bu: "shop".into(), item_id: "a".into(), time, attributes: Some(titled("told")) };
        assert_eq!(catalogue.apply(&change), Some(Changed::Applied));
        assert_eq!((&*catalogue.attributes(item).title, catalogue.listed_at(item)), ("told", Some(time)));
        assert!(!catalogue.seed("shop", "a", titled("seeded")), "a record stands");
        assert_eq!(&*catalogue.attributes(item).title, "told");
    }

    #[test]
    fn what_is_gone_stays_gone_and_who_follows_hears_of_a_seed() {
        let catalogue = Catalogue::default();
        let gone = ItemChange { bu: "shop".into(), item_id: "a".into(), time: EventTime::from_millis(5), attributes: None };
        assert_eq!(catalogue.apply(&gone), Some(Changed::Applied));
        let before = catalogue.journal().end();
        assert!(!catalogue.seed("shop", "a", titled("again")));
        assert_eq!((catalogue.listed_count(), catalogue.journal().end()), (0, before));
        let named = catalogue.item_or_new(catalogue.bu("shop").unwrap(), "b").unwrap();
        assert!(catalogue.seed("shop", "b", titled("named before")) && catalogue.is_listed(named));
        assert_eq!(catalogue.journal().end(), before + 2, "named, and seeded");
    }
}
