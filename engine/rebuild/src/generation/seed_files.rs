//! The files of a generation's seed.
//!
//! | file | arrays |
//! |---|---|
//! | `catalogue.bin` | by item row: titles, brands, currencies (texts), prices (bytes: f64, NaN for none), whether it is sold out (bytes), then categories, tags, regions (ends by item (u32), texts), then vectors (ends by item (u32), f32) |
//! | `neighbours.bin` | ends of persons' lines, ends of lines' items, item rows, minutes (u32) |

use faces_core::catalogue::ItemAttributes;

use super::binary::{Kind, Reader, Writer};
use crate::seed::{NeighbourSeed, Seed};

pub(super) const CATALOGUE: &str = "catalogue.bin";
pub(super) const NEIGHBOURS: &str = "neighbours.bin";
/// Both: there or not there together, and read only by a server that starts.
pub(super) const SEED: [&str; 2] = [CATALOGUE, NEIGHBOURS];

pub(super) fn encode_catalogue(items: &[ItemAttributes]) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(Kind::Catalogue);
    let texts: [fn(&ItemAttributes) -> &str; 3] = [|of| &of.title, |of| &of.brand, |of| &of.currency];
    for text in texts {
        writer.texts(items.iter().map(text))?;
    }
    writer.blob(&items.iter().flat_map(|of| of.price.unwrap_or(f64::NAN).to_le_bytes()).collect::<Vec<_>>());
    writer.blob(&items.iter().map(|of| u8::from(of.sold_out)).collect::<Vec<_>>());
    let lists: [fn(&ItemAttributes) -> &Vec<String>; 3] = [|of| &of.categories, |of| &of.tags, |of| &of.regions];
    for list in lists {
        writer.u32s(&ends(items.iter().map(|of| list(of).len()))?);
        writer.texts(items.iter().flat_map(list).map(String::as_str))?;
    }
    writer.u32s(&ends(items.iter().map(|of| of.embedding.len()))?);
    writer.f32s(&items.iter().flat_map(|of| of.embedding.iter().copied()).collect::<Vec<_>>());
    Ok(writer.into_bytes())
}

pub(super) fn decode_catalogue(bytes: &[u8]) -> Result<Vec<ItemAttributes>, String> {
    let mut reader = Reader::new(bytes, Kind::Catalogue)?;
    let [titles, brands, currencies] = [reader.texts()?, reader.texts()?, reader.texts()?];
    let (prices, sold_out) = (reader.blob()?.as_chunks().0, reader.blob()?);
    let mut items: Vec<ItemAttributes> = Vec::with_capacity(titles.len());
    for ((title, brand), (currency, (price, sold_out))) in
        titles.iter().zip(&brands).zip(currencies.iter().zip(prices.iter().zip(sold_out)))
    {
        items.push(ItemAttributes {
            title: (*title).into(),
            brand: (*brand).into(),
            currency: (*currency).into(),
            price: Some(f64::from_le_bytes(*price)).filter(|price| !price.is_nan()),
            sold_out: *sold_out != 0,
            ..ItemAttributes::default()
        });
    }
    let even = [titles.len(), brands.len(), currencies.len(), prices.len(), sold_out.len()];
    if even.iter().any(|len| *len != items.len()) {
        return Err("its columns are not equally long".into());
    }
    let lists: [fn(&mut ItemAttributes) -> &mut Vec<String>; 3] =
        [|of| &mut of.categories, |of| &mut of.tags, |of| &mut of.regions];
    for list in lists {
        let (ends, texts) = (reader.u32s()?, reader.texts()?);
        for (of, part) in items.iter_mut().zip(parts(&ends, &texts, titles.len())?) {
            *list(of) = part.iter().map(|text| (*text).to_owned()).collect();
        }
    }
    let (ends, values) = (reader.u32s()?, reader.f32s()?);
    for (of, part) in items.iter_mut().zip(parts(&ends, &values, titles.len())?) {
        of.embedding = part.to_vec();
    }
    reader.finish()?;
    Ok(items)
}

pub(super) fn encode_neighbours(seed: &NeighbourSeed) -> Vec<u8> {
    let mut writer = Writer::new(Kind::Neighbours);
    for values in [&seed.line_ends, &seed.item_ends, &seed.rows, &seed.minutes] {
        writer.u32s(values);
    }
    writer.into_bytes()
}

pub(super) fn decode_neighbours(bytes: &[u8]) -> Result<NeighbourSeed, String> {
    let mut reader = Reader::new(bytes, Kind::Neighbours)?;
    let [line_ends, item_ends, rows, minutes] = [reader.u32s()?, reader.u32s()?, reader.u32s()?, reader.u32s()?];
    reader.finish()?;
    Ok(NeighbourSeed { line_ends, item_ends, rows, minutes })
}

pub(super) fn encode(seed: &Seed) -> Result<[(String, Vec<u8>); 2], String> {
    let (catalogue, neighbours) = (encode_catalogue(&seed.catalogue)?, encode_neighbours(&seed.neighbours));
    Ok([(CATALOGUE.to_owned(), catalogue), (NEIGHBOURS.to_owned(), neighbours)])
}

fn ends(lengths: impl Iterator<Item = usize>) -> Result<Vec<u32>, String> {
    let mut end = 0;
    let ends = lengths.map(|length| {
        end += length;
        u32::try_from(end).map_err(|_| "its items have more than 2^32 values of a kind".to_owned())
    });
    ends.collect()
}

/// By item its part of the values.
fn parts<'a, T>(ends: &'a [u32], values: &'a [T], items: usize) -> Result<Vec<&'a [T]>, String> {
    let mut start = 0;
    let part = |end: &u32| values.get(std::mem::replace(&mut start, *end as usize)..*end as usize);
    let parts: Option<Vec<&[T]>> = ends.iter().map(part).collect();
    let is_whole = ends.last().map_or(0, |end| *end as usize) == values.len();
    parts.filter(|parts| is_whole && parts.len() == items).ok_or_else(|| "its lists are cut in the wrong places".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<ItemAttributes> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let full = ItemAttributes {
            title: "Tëa".into(),
            categories: texts(&["food", "food|drink"]),
            brand: "b".into(),
            price: Some(2.5),
            currency: "EUR".into(),
            tags: texts(&["new"]),
            regions: texts(&["north", ""]),
            sold_out: true,
            embedding: vec![1.0, -0.5],
        };
        vec![ItemAttributes::default(), full, ItemAttributes { price: Some(0.0), ..ItemAttributes::default() }]
    }

    #[test]
    fn both_come_back_as_they_were() {
        let read = decode_catalogue(&encode_catalogue(&items()).unwrap()).unwrap();
        assert_eq!(read, items());
        assert_eq!(decode_catalogue(&encode_catalogue(&[]).unwrap()).unwrap(), []);
        let seed = NeighbourSeed { line_ends: vec![1], item_ends: vec![2], rows: vec![5, 4], minutes: vec![9, 8] };
        assert_eq!(decode_neighbours(&encode_neighbours(&seed)).unwrap(), seed);
    }

    #[test]
    fn damage_is_an_error_and_never_more() {
        let whole = encode_catalogue(&items()).unwrap();
        for place in 0..whole.len() {
            assert!(decode_catalogue(&whole[..place]).is_err(), "cut at {place}");
            let mut damaged = whole.clone();
            damaged[place] ^= 0x81;
            drop(decode_catalogue(&damaged)); // whatever it says, it does not panic
        }
    }
}
