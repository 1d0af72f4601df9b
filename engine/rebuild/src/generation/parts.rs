//! Which arrays each file of a generation holds.
//!
//! | file | arrays |
//! |---|---|
//! | `items.bin` | unit names (texts), unit of each item (u32, a place in the names), item ids (texts) |
//! | `space-NNNN.bin` | the unit (texts, one), item rows (u32), the index as `faces-index` writes it (bytes) |
//! | `co_visited.bin` | offsets (u32), item rows (u32), weights (f32) |
//! | `content.bin` | the same; generations before format version 3 are without |
//! | `popular.bin` | unit names (texts), then for each unit item rows (u32) and scores (f32) |
//!
//! Decoding checks form alone; whether the parts fit each other is [`super::Generation::check`]'s affair.

use crate::{
    neighbour_lists::NeighbourLists,
    popularity::{Popularity, UnitPopularity},
    training::TrainingItem,
};

use super::{
    Space,
    binary::{Kind, Reader, Writer},
};

pub(super) const ITEMS: &str = "items.bin";
pub(super) const CO_VISITED: &str = "co_visited.bin";
pub(super) const CONTENT: &str = "content.bin";
pub(super) const POPULAR: &str = "popular.bin";

/// Most units a generation may have, by the digits of the files' names.
const SPACES_MAX: usize = 10_000;

/// The name of the n-th unit's file.
pub(super) fn space_name(place: usize) -> Result<String, String> {
    if place < SPACES_MAX { Ok(format!("space-{place:04}.bin")) } else { Err("it has more than 10000 units".into()) }
}

pub(super) fn encode_items(items: &[TrainingItem]) -> Result<Vec<u8>, String> {
    let mut units: Vec<&str> = items.iter().map(|item| item.bu.as_str()).collect();
    units.sort_unstable();
    units.dedup();
    let unit_of = |item: &TrainingItem| units.binary_search(&item.bu.as_str()).unwrap_or_default() as u32;
    let mut writer = Writer::new(Kind::Items);
    writer.texts(units.iter().copied())?;
    writer.u32s(&items.iter().map(unit_of).collect::<Vec<_>>());
    writer.texts(items.iter().map(|item| item.item_id.as_str()))?;
    Ok(writer.into_bytes())
}

pub(super) fn decode_items(bytes: &[u8]) -> Result<Vec<TrainingItem>, String> {
    let mut reader = Reader::new(bytes, Kind::Items)?;
    let (units, unit_of_item, ids) = (reader.texts()?, reader.u32s()?, reader.texts()?);
    reader.finish()?;
    if unit_of_item.len() != ids.len() {
        return Err(format!("{} items have {} units", ids.len(), unit_of_item.len()));
    }
    let pairs = unit_of_item.iter().zip(ids);
    let item = |(&unit, id): (&u32, &str)| {
        let bu = units.get(unit as usize).ok_or_else(|| format!("item {id} is of unit {unit} of {}", units.len()))?;
        Ok(TrainingItem { bu: (*bu).to_owned(), item_id: id.to_owned() })
    };
    pairs.map(item).collect()
}

pub(super) fn encode_space(space: &Space) -> Result<Vec<u8>, String> {
    let mut index = Vec::new();
    faces_index::write(space.index.as_ref(), &mut index).map_err(|error| error.to_string())?;
    let mut writer = Writer::new(Kind::Space);
    writer.texts(std::iter::once(space.bu.as_str()))?;
    writer.u32s(&space.rows);
    writer.blob(&index);
    Ok(writer.into_bytes())
}

pub(super) fn decode_space(bytes: &[u8]) -> Result<Space, String> {
    let mut reader = Reader::new(bytes, Kind::Space)?;
    let (names, rows, index) = (reader.texts()?, reader.u32s()?, reader.blob()?);
    reader.finish()?;
    let [bu] = names.as_slice() else {
        return Err(format!("it names {} units", names.len()));
    };
    let index = faces_index::read(index).map_err(|error| error.to_string())?;
    Ok(Space { bu: (*bu).to_owned(), rows, index })
}

pub(super) fn encode_co_visited(lists: &NeighbourLists) -> Vec<u8> {
    encode_lists(Kind::CoVisitation, lists)
}

pub(super) fn decode_co_visited(bytes: &[u8]) -> Result<NeighbourLists, String> {
    decode_lists(Kind::CoVisitation, bytes)
}

pub(super) fn encode_content(lists: &NeighbourLists) -> Vec<u8> {
    encode_lists(Kind::Content, lists)
}

pub(super) fn decode_content(bytes: &[u8]) -> Result<NeighbourLists, String> {
    decode_lists(Kind::Content, bytes)
}

fn encode_lists(kind: Kind, lists: &NeighbourLists) -> Vec<u8> {
    let mut writer = Writer::new(kind);
    writer.u32s(lists.offsets());
    writer.u32s(lists.rows());
    writer.f32s(lists.weights());
    writer.into_bytes()
}

fn decode_lists(kind: Kind, bytes: &[u8]) -> Result<NeighbourLists, String> {
    let mut reader = Reader::new(bytes, kind)?;
    let (offsets, rows, weights) = (reader.u32s()?, reader.u32s()?, reader.f32s()?);
    reader.finish()?;
    NeighbourLists::new(offsets, rows, weights)
}

pub(super) fn encode_popular(popular: &Popularity) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(Kind::Popularity);
    writer.texts(popular.units().iter().map(|unit| unit.bu.as_str()))?;
    for unit in popular.units() {
        writer.u32s(&unit.rows);
        writer.f32s(&unit.scores);
    }
    Ok(writer.into_bytes())
}

pub(super) fn decode_popular(bytes: &[u8]) -> Result<Popularity, String> {
    let mut reader = Reader::new(bytes, Kind::Popularity)?;
    let names = reader.texts()?;
    let mut units = Vec::with_capacity(names.len());
    for bu in names {
        units.push(UnitPopularity { bu: bu.to_owned(), rows: reader.u32s()?, scores: reader.f32s()? });
    }
    reader.finish()?;
    Popularity::new(units)
}
