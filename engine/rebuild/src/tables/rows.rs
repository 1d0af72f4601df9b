//! The row types of the schema and how their cells become values.

use faces_core::{
    catalogue::ItemAttributes,
    event::EventKind,
    identity::{Confidence, Evidence},
};

use super::{
    TableError,
    cells::{Cells, Column},
};

/// Something a person did.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// When, in milliseconds since 1970, UTC.
    pub ts_ms: i64,
    /// The business unit.
    pub bu: String,
    /// The person's account in that unit.
    pub local_user_id: String,
    /// The item, an id of that unit; empty for a search in words, as archives of the log hold them.
    pub item_id: String,
    /// `view`, `click`, `purchase`, …, as the file spells it.
    pub event_type: String,
    /// A rating, a price or a quantity, as the type has it.
    pub value: Option<f64>,
    /// ISO 4217 code of `value`, where it is money.
    pub currency: Option<String>,
}

pub(super) const EVENT_COLUMNS: &[Column] = &[
    Column::required("ts_ms"),
    Column::required("bu"),
    Column::required("local_user_id"),
    Column::required("item_id"),
    Column::required("event_type"),
    Column::optional("value"),
    Column::optional("currency"),
];

impl EventRow {
    pub(super) fn from_cells(cells: &Cells<'_>) -> Result<Self, TableError> {
        let event_type = cells.id(4)?;
        let may_lack_item = EventKind::from_name(&event_type) == Some(EventKind::Search);
        Ok(Self {
            ts_ms: cells.ts_ms(0)?,
            bu: cells.id(1)?,
            local_user_id: cells.id(2)?,
            item_id: if may_lack_item { cells.text(3)?.unwrap_or_default() } else { cells.id(3)? },
            event_type,
            value: cells.number(5)?,
            currency: cells.text(6)?,
        })
    }
}

/// An item of a unit's catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemRow {
    /// The unit's id of the item.
    pub item_id: String,
    /// The business unit.
    pub bu: String,
    /// What a person reads.
    pub title: Option<String>,
    /// From the widest level to the narrowest; empty when unknown.
    pub category: Vec<String>,
    /// The maker.
    pub brand: Option<String>,
    /// In the unit's currency.
    pub price: Option<f64>,
    /// The caller's own vector; empty if there is none.
    pub embedding: Vec<f32>,
    /// ISO 4217 code of the price.
    pub currency: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// Where it may be shown; empty means everywhere.
    pub regions: Vec<String>,
    /// Whether it is sold out.
    pub is_sold_out: bool,
    /// When the item became so, milliseconds since 1970, where the table is a log of changes: per item the newest row stands.
    pub updated_ms: Option<i64>,
    /// Whether it is gone since.
    pub is_deleted: bool,
}

pub(super) const ITEM_COLUMNS: &[Column] = &[
    Column::required("item_id"),
    Column::required("bu"),
    Column::optional("title"),
    Column::optional("category"),
    Column::optional("brand"),
    Column::optional("price"),
    Column::optional("embedding"),
    Column::optional("updated_ms"),
    Column::optional("deleted"),
    Column::optional("currency"),
    Column::optional("tags"),
    Column::optional("regions"),
    Column::optional("stock"),
];

/// What `stock` says of an item that can't be had.
pub const SOLD_OUT: &str = "sold_out";
/// What `stock` may say. All but [`SOLD_OUT`], and nothing at all, mean that the item can be had; archives of the log hold all three.
const STOCKS: [&str; 3] = [SOLD_OUT, "in_stock", "unspecified"];
const STOCK_EXPECTED: &str = "a stock: `in_stock`, `sold_out`, `unspecified` or nothing";

impl ItemRow {
    pub(super) fn from_cells(cells: &Cells<'_>) -> Result<Self, TableError> {
        Ok(Self {
            item_id: cells.id(0)?,
            bu: cells.id(1)?,
            title: cells.text(2)?,
            category: list(cells.text(3)?),
            brand: cells.text(4)?,
            price: cells.number(5)?,
            embedding: cells.numbers(6)?,
            updated_ms: cells.number(7)?.map(|updated_ms| updated_ms as i64),
            is_deleted: cells.number(8)?.is_some_and(|deleted| deleted != 0.0),
            currency: cells.text(9)?,
            tags: list(cells.text(10)?),
            regions: list(cells.text(11)?),
            is_sold_out: cells.word(12, &STOCKS, STOCK_EXPECTED)?.is_some_and(|stock| stock == SOLD_OUT),
        })
    }

    /// What the row says of the item, as the catalogue holds it.
    pub fn attributes(&self) -> ItemAttributes {
        ItemAttributes {
            title: self.title.clone().unwrap_or_default(),
            categories: self.category.clone(),
            brand: self.brand.clone().unwrap_or_default(),
            price: self.price,
            currency: self.currency.clone().unwrap_or_default(),
            tags: self.tags.clone(),
            regions: self.regions.clone(),
            sold_out: self.is_sold_out,
            embedding: self.embedding.clone(),
        }
    }
}

/// The parts of a cell between bars.
fn list(cell: Option<String>) -> Vec<String> {
    let parts = cell.as_deref().unwrap_or_default().split('|').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Two accounts that belong to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// When the link became known, in milliseconds since 1970, UTC.
    pub ts_ms: i64,
    /// One unit.
    pub bu_a: String,
    /// The account there.
    pub local_user_a: String,
    /// The other unit.
    pub bu_b: String,
    /// The account there.
    pub local_user_b: String,
    /// Whether the link was taken back then.
    pub is_unlink: bool,
    /// What that rests on: links are taken back by the evidence that they were stated by.
    pub evidence: Evidence,
    /// How far it is trusted.
    pub confidence: Confidence,
}

pub(super) const LINK_COLUMNS: &[Column] = &[
    Column::required("ts_ms"),
    Column::required("bu_a"),
    Column::required("local_user_a"),
    Column::required("bu_b"),
    Column::required("local_user_b"),
    Column::optional("operation"),
    Column::optional("evidence"),
    Column::optional("confidence"),
];

const UNLINK: &str = "unlink";
/// What `operation` may say. Nothing at all means a link.
const OPERATIONS: [&str; 2] = [UNLINK, "link"];
const OPERATION_EXPECTED: &str = "an operation: `link`, `unlink` or nothing";

/// What `evidence` may say. Nothing at all means that the person asked for it.
const EVIDENCE_EXPECTED: &str = "evidence: `login`, `declared`, `shared_contact`, `payment`, `inferred` or nothing";
/// What `confidence` may say. Nothing at all means full trust.
const CONFIDENCE_EXPECTED: &str = "a share above 0 and up to 1, or nothing";

impl LinkRow {
    pub(super) fn from_cells(cells: &Cells<'_>) -> Result<Self, TableError> {
        let evidence = cells.word(6, &Evidence::ALL.map(Evidence::name), EVIDENCE_EXPECTED)?;
        let confidence = |share: f64| Confidence::new(share).ok_or_else(|| cells.bad(7, &share.to_string(), CONFIDENCE_EXPECTED));
        Ok(Self {
            ts_ms: cells.ts_ms(0)?,
            bu_a: cells.id(1)?,
            local_user_a: cells.id(2)?,
            bu_b: cells.id(3)?,
            local_user_b: cells.id(4)?,
            is_unlink: cells.word(5, &OPERATIONS, OPERATION_EXPECTED)?.is_some_and(|operation| operation == UNLINK),
            evidence: Evidence::ALL.into_iter().find(|of| evidence.as_deref() == Some(of.name())).unwrap_or(Evidence::Declared),
            confidence: cells.number(7)?.map_or(Ok(Confidence::FULL), confidence)?,
        })
    }
}
