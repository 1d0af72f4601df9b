//! Items and changes of the catalogue.

use faces_core::catalogue::{ItemAttributes, ItemChange};
use faces_proto::v1;

use super::{Violation, amount, currency, item_ref, text_within, time};
use crate::Reason;

const TITLE_BYTES_MAX: usize = 1_024;
const BRAND_BYTES_MAX: usize = 128;
const CATEGORIES: Labels = Labels { field: "categories", count_max: 8, bytes_max: 128 };
const TAGS: Labels = Labels { field: "tags", count_max: 32, bytes_max: 64 };
const REGIONS: Labels = Labels { field: "regions", count_max: 64, bytes_max: 32 };
const EMBEDDING_VALUES_MAX: usize = 1_024;

/// Checks one change of the catalogue.
///
/// # Errors
/// The first field at fault.
pub fn item_change(record: &v1::CatalogRecord) -> Result<ItemChange, Violation> {
    let time = time("updated_time_ms", record.updated_time_ms)?;
    let (bu, item_id, attributes) = match &record.change {
        None => return Err(Violation::missing("change")),
        Some(v1::catalog_record::Change::Upsert(upsert)) => {
            let (bu, item_id, attributes) = item(upsert).map_err(|violation| violation.under("upsert"))?;
            (bu, item_id, Some(attributes))
        }
        Some(v1::catalog_record::Change::Delete(gone)) => {
            let (bu, item_id) = item_ref(gone).map_err(|violation| violation.under("delete"))?;
            (bu, item_id, None)
        }
    };
    Ok(ItemChange { bu: bu.to_owned(), item_id: item_id.to_owned(), time, attributes })
}

/// Checks an item; gives business unit, id and what is said of it.
///
/// # Errors
/// The first field at fault, from the item's root.
pub fn item(item: &v1::Item) -> Result<(&str, &str, ItemAttributes), Violation> {
    let named = item.r#ref.as_ref().ok_or_else(|| Violation::missing("ref"))?;
    let (bu, item_id) = item_ref(named).map_err(|violation| violation.under("ref"))?;
    Ok((bu, item_id, attributes(item)?))
}

/// Checks what is said of an item, its name left aside.
///
/// # Errors
/// The first field at fault, from the item's root.
pub fn attributes(item: &v1::Item) -> Result<ItemAttributes, Violation> {
    text_within("title", &item.title, TITLE_BYTES_MAX)?;
    CATEGORIES.check(&item.categories)?;
    text_within("brand", &item.brand, BRAND_BYTES_MAX)?;
    let price = amount("price", item.price)?;
    currency(&item.currency)?;
    TAGS.check(&item.tags)?;
    REGIONS.check(&item.regions)?;
    let sold_out = match v1::Stock::try_from(item.stock) {
        Ok(v1::Stock::SoldOut) => true,
        Ok(v1::Stock::Unspecified | v1::Stock::InStock) => false,
        Err(_) => return Err(Violation::new("stock", Reason::InvalidField, format!("{} is no Stock", item.stock))),
    };
    embedding(&item.embedding)?;
    Ok(ItemAttributes {
        title: item.title.clone(),
        categories: item.categories.clone(),
        brand: item.brand.clone(),
        price,
        // A currency without a price says nothing; dropping it keeps equal items equal.
        currency: price.map_or_else(String::new, |_| item.currency.clone()),
        tags: item.tags.clone(),
        regions: item.regions.clone(),
        sold_out,
        embedding: item.embedding.clone(),
    })
}

/// A list of short texts and its bounds.
struct Labels {
    field: &'static str,
    count_max: usize,
    bytes_max: usize,
}

impl Labels {
    fn check(&self, labels: &[String]) -> Result<(), Violation> {
        if labels.len() > self.count_max {
            let description = format!("has {} entries; at most {} are allowed", labels.len(), self.count_max);
            return Err(Violation::new(self.field, Reason::TooLong, description));
        }
        for (n, label) in labels.iter().enumerate() {
            let path = || format!("{}[{n}]", self.field);
            if label.is_empty() {
                return Err(Violation::new(&path(), Reason::InvalidField, "is empty; leave it out"));
            }
            text_within(self.field, label, self.bytes_max).map_err(|violation| Violation { field: path(), ..violation })?;
        }
        Ok(())
    }
}

fn embedding(values: &[f32]) -> Result<(), Violation> {
    if values.len() > EMBEDDING_VALUES_MAX {
        let description = format!("has {} values; at most {EMBEDDING_VALUES_MAX} are allowed", values.len());
        return Err(Violation::new("embedding", Reason::TooLong, description));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(n) => Err(Violation::new(&format!("embedding[{n}]"), Reason::BadValue, "is not a finite number")),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::validate::tests::verdict;

    pub(crate) fn knife() -> v1::CatalogRecord {
        let item = v1::Item {
            r#ref: Some(v1::ItemRef { bu: "shop".into(), item_id: "i1".into() }),
            title: "Santoku knife, 18 cm".into(),
            categories: vec!["Kitchen".into(), "Knives".into()],
            brand: "Kai".into(),
            price: Some(4_980.0),
            currency: "JPY".into(),
            tags: vec!["steel".into()],
            regions: vec!["jp-13".into()],
            stock: v1::Stock::InStock.into(),
            embedding: vec![0.5, -0.25],
        };
        v1::CatalogRecord { updated_time_ms: 1_700_000_000_000, change: Some(v1::catalog_record::Change::Upsert(item)) }
    }

    type Edit = fn(&mut v1::Item);

    #[test]
    fn items() {
        let cases: [(Edit, &str); 17] = [
            (|_| {}, "ok"),
            (|i| i.r#ref = None, "upsert.ref missing_field"),
            (|i| i.r#ref = Some(v1::ItemRef { bu: "shop".into(), item_id: String::new() }), "upsert.ref.item_id missing_field"),
            (|i| i.title = "x".repeat(1_025), "upsert.title too_long"),
            (|i| i.categories = vec!["x".into(); 9], "upsert.categories too_long"),
            (|i| i.categories = vec!["x".into(), "x".repeat(129)], "upsert.categories[1] too_long"),
            (|i| i.categories = vec![String::new()], "upsert.categories[0] invalid_field"),
            (|i| i.brand = "x".repeat(129), "upsert.brand too_long"),
            (|i| i.price = Some(-1.0), "upsert.price bad_value"),
            (|i| i.price = Some(f64::NAN), "upsert.price bad_value"),
            (|i| i.currency = "¥".into(), "upsert.currency invalid_field"),
            (|i| i.tags = vec!["x".into(); 33], "upsert.tags too_long"),
            (|i| i.regions = vec!["x".repeat(33)], "upsert.regions[0] too_long"),
            (|i| i.stock = 7, "upsert.stock invalid_field"),
            (|i| i.embedding = vec![0.0; 1_025], "upsert.embedding too_long"),
            (|i| i.embedding = vec![0.0, f32::INFINITY], "upsert.embedding[1] bad_value"),
            (|i| i.price = None, "ok"),
        ];
        for (edit, expected) in cases {
            let mut changed = knife();
            let Some(v1::catalog_record::Change::Upsert(item)) = &mut changed.change else { unreachable!() };
            edit(item);
            assert_eq!(verdict(item_change(&changed)), expected, "{changed:?}");
        }
    }

    #[test]
    fn records() {
        let gone = v1::catalog_record::Change::Delete(v1::ItemRef { bu: "shop".into(), item_id: "i1".into() });
        let nameless = v1::catalog_record::Change::Delete(v1::ItemRef::default());
        for (record, expected) in [
            (v1::CatalogRecord { change: None, ..knife() }, "change missing_field"),
            (v1::CatalogRecord { change: Some(gone), ..knife() }, "ok"),
            (v1::CatalogRecord { change: Some(nameless), ..knife() }, "delete.bu missing_field"),
            (v1::CatalogRecord { updated_time_ms: 0, ..knife() }, "updated_time_ms bad_time"),
        ] {
            assert_eq!(verdict(item_change(&record)), expected, "{record:?}");
        }
    }
}
