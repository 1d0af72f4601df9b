//! Items: names in order, and records.
//!
//! A record: flags `u8` (1: has a version, 2: says "gone", 4: has a time of first listing, 8: has attributes, 16: sold out, 32: has
//! a price); version: time `i64`, content `u64`; first listing `i64`; attributes: title, brand, currency (texts), categories, tags,
//! regions (lists of texts), price `f64`, embedding `u32` n and n `f32`. A text is `u32` bytes and the bytes.

use std::sync::Arc;

use faces_core::{
    catalogue::{ItemAttributes, ItemRecord},
    ids::{EventTime, ItemId},
};

use super::bytes::{Bytes, put_text, put_texts};

const NAMED: u8 = 1;
const RECORDED: u8 = 2;

const VERSION: u8 = 1;
const GONE: u8 = 2;
const LISTED: u8 = 4;
const ATTRIBUTES: u8 = 8;
const SOLD_OUT: u8 = 16;
const PRICE: u8 = 32;

/// An item of a section.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) id: ItemId,
    /// Business unit and id, where the section names the item.
    pub(crate) name: Option<(&'a str, &'a str)>,
    pub(crate) record: Option<ItemRecord>,
}

/// Appends an item.
pub(crate) fn put_item(into: &mut Vec<u8>, item: ItemId, name: Option<(&str, &str)>, record: Option<&ItemRecord>) {
    let named = if name.is_some() { NAMED } else { 0 };
    let recorded = if record.is_some() { RECORDED } else { 0 };
    into.extend(item.number().to_le_bytes());
    into.push(named | recorded);
    if let Some((bu, id)) = name {
        put_text(into, bu);
        put_text(into, id);
    }
    if let Some(record) = record {
        put_record(into, record);
    }
}

fn put_record(into: &mut Vec<u8>, record: &ItemRecord) {
    let of = &*record.attributes;
    let has_attributes = *of != ItemAttributes::default();
    let is_gone = record.version.is_some_and(|(_, is_gone, _)| is_gone);
    let flags = [
        (record.version.is_some(), VERSION),
        (is_gone, GONE),
        (record.listed_at.is_some(), LISTED),
        (has_attributes, ATTRIBUTES),
        (of.sold_out, SOLD_OUT),
        (of.price.is_some(), PRICE),
    ];
    into.push(flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag));
    if let Some((time, _, content)) = record.version {
        into.extend(time.millis().to_le_bytes());
        into.extend(content.to_le_bytes());
    }
    if let Some(listed_at) = record.listed_at {
        into.extend(listed_at.millis().to_le_bytes());
    }
    if !has_attributes {
        return;
    }
    [&of.title, &of.brand, &of.currency].into_iter().for_each(|text| put_text(into, text));
    [&of.categories, &of.tags, &of.regions].into_iter().for_each(|list| put_texts(into, list));
    into.extend(of.price.unwrap_or_default().to_le_bytes());
    into.extend((of.embedding.len() as u32).to_le_bytes());
    of.embedding.iter().for_each(|value| into.extend(value.to_le_bytes()));
}

/// Calls `take` with the items of a section until it says stop. `None` if the bytes make no sense.
pub(crate) fn read_items<'a>(section: &'a [u8], mut take: impl FnMut(Item<'a>) -> Option<()>) -> Option<()> {
    let mut bytes = Bytes(section);
    while !bytes.0.is_empty() {
        let id = ItemId::new(bytes.u32()?);
        let flags = bytes.u8()?;
        if flags & !(NAMED | RECORDED) != 0 {
            return None;
        }
        let name = if flags & NAMED == 0 { None } else { Some((bytes.text()?, bytes.text()?)) };
        let record = if flags & RECORDED == 0 { None } else { Some(record(&mut bytes)?) };
        take(Item { id, name, record })?;
    }
    Some(())
}

fn record(bytes: &mut Bytes<'_>) -> Option<ItemRecord> {
    let flags = bytes.u8()?;
    let has = |flag| flags & flag != 0;
    let version = if has(VERSION) { Some((EventTime::from_millis(bytes.i64()?), has(GONE), bytes.u64()?)) } else { None };
    let listed_at = if has(LISTED) { Some(EventTime::from_millis(bytes.i64()?)) } else { None };
    let attributes = if has(ATTRIBUTES) { attributes(bytes, flags)? } else { ItemAttributes::default() };
    Some(ItemRecord { version, listed_at, attributes: Arc::new(attributes) })
}

fn attributes(bytes: &mut Bytes<'_>, flags: u8) -> Option<ItemAttributes> {
    let [title, brand, currency] = [bytes.text()?, bytes.text()?, bytes.text()?].map(str::to_owned);
    let [categories, tags, regions] = [bytes.texts()?, bytes.texts()?, bytes.texts()?];
    let price = f64::from_bits(bytes.u64()?);
    let values = bytes.u32()? as usize;
    let embedding = bytes.take(values.checked_mul(4)?)?.as_chunks::<4>().0;
    Some(ItemAttributes {
        title,
        categories,
        brand,
        price: (flags & PRICE != 0).then_some(price),
        currency,
        tags,
        regions,
        sold_out: flags & SOLD_OUT != 0,
        embedding: embedding.iter().map(|value| f32::from_le_bytes(*value)).collect(),
    })
}
