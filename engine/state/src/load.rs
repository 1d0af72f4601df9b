//! Putting the newest image that is whole back into an empty state.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::Value;

use faces_core::{
    catalogue::ItemRecord,
    ids::{EventTime, ItemId},
    key::KeyHash,
    state::{Restorer, State},
};

use crate::{
    ImageStore, StateError,
    files::names,
    manifest::{FileId, Manifest, Section},
    section::{
        items::read_items,
        keys::{counts, read_keys},
    },
    verify::{Reader, in_parallel, verify},
};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Segments come from the object store.
    Fetch,
    /// Checksums are compared.
    Verify,
    /// The state is filled.
    Restore,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes done.
    pub bytes: u64,
    /// Of so many.
    pub bytes_total: u64,
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The image's number.
    pub image: u64,
    /// The caller's log positions, as they were given to [`ImageStore::write`].
    pub positions: Value,
    /// When the image was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// Newest event time in it.
    pub newest: Option<EventTime>,
    /// Bytes read.
    pub bytes: u64,
    /// Whether it came from the object store.
    pub is_fetched: bool,
    /// What was wrong with images that can't be used.
    pub passed_over: Vec<String>,
}

/// Tells the caller how far it is, from any thread.
pub(crate) struct Meter<'a> {
    tell: &'a (dyn Fn(Progress) + Sync),
    stage: Stage,
    bytes: AtomicU64,
    bytes_total: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(tell: &'a (dyn Fn(Progress) + Sync), stage: Stage, bytes_total: u64) -> Self {
        Self { tell, stage, bytes: AtomicU64::new(0), bytes_total }
    }

    pub(crate) fn add(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        (self.tell)(Progress { stage: self.stage, bytes, bytes_total: self.bytes_total });
    }
}

impl ImageStore {
    /// Puts the newest whole image into `state`, which must be empty; `None` if there are no images. From then on the state
    /// remembers changes for [`ImageStore::write`], which is not to be called before. A newer image that is damaged is passed over,
    /// with a warning. With an object store, an image there that is newer is fetched first.
    ///
    /// `progress` is called from several threads, once per section. Cost: reads everything twice, on all cores.
    ///
    /// # Errors
    /// [`StateError::NoneUsable`] if there are images, all damaged; [`StateError::OtherLog`]; [`StateError::Remote`] when the object
    /// store can't be asked and there is nothing here either. After any error the state is to be thrown away.
    pub fn load(&mut self, state: &Arc<State>, progress: &(dyn Fn(Progress) + Sync)) -> Result<Option<Loaded>, StateError> {
        if state.fragment_count() > 0 || state.catalogue().item_count() > 0 || self.state.is_some() {
            return Err(StateError::Misuse("an image is loaded once, into an empty state"));
        }
        state.remember_changes();
        let (found, mut wrong) = self.candidates()?;
        let (mut best, rest) = self.first_whole(found, &mut wrong, progress);
        let is_fetched = self.fetch_newer(&mut best, &mut wrong, progress)?;
        let Some(image) = best else {
            if !wrong.is_empty() {
                return Err(StateError::NoneUsable { folder: self.folder.clone(), reasons: wrong });
            }
            self.state = Some(Arc::downgrade(state));
            self.clean(); // segments of a first cycle that did not come to its end
            return Ok(None);
        };
        wrong.iter().for_each(|reason| tracing::warn!(reason, image = image.id.number, "an image is damaged; using another"));
        let meter = Meter::new(progress, Stage::Restore, image.live_bytes());
        restore(&self.folder, &image, state, &meter).map_err(|reason| StateError::Torn { image: image.id.number, reason })?;
        self.state = Some(Arc::downgrade(state));
        self.next_number = self.next_number.max(image.id.number.saturating_add(1));
        let loaded = Loaded {
            image: image.id.number,
            positions: image.positions.clone(),
            created_ms: image.created_ms,
            newest: image.newest(),
            bytes: image.live_bytes(),
            is_fetched,
            passed_over: wrong,
        };
        self.current = Some(image);
        self.previous = rest.into_iter().next();
        if loaded.passed_over.is_empty() {
            self.clean(); // what crashes left; where something is damaged, it is left for people to look at until the next image
        }
        Ok(Some(loaded))
    }

    /// Images here, newest first, and what is wrong with those that can't be read.
    fn candidates(&self) -> Result<(Vec<Manifest>, Vec<String>), StateError> {
        let (found, wrong) = candidates(&self.folder)?;
        match found.iter().find(|image| image.log != self.options.log) {
            Some(image) => Err(StateError::OtherLog {
                folder: self.folder.clone(),
                found: image.log.clone(),
                expected: self.options.log.clone(),
            }),
            None => Ok((found, wrong)),
        }
    }

    /// The first that is whole, and those after it.
    fn first_whole(
        &self,
        found: Vec<Manifest>,
        wrong: &mut Vec<String>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> (Option<Manifest>, Vec<Manifest>) {
        let mut found = found.into_iter();
        for image in found.by_ref() {
            let meter = Meter::new(progress, Stage::Verify, image.live_bytes());
            match verify(&self.folder, &image, &|bytes| meter.add(bytes)) {
                Ok(()) => return (Some(image), found.collect()),
                Err(reason) => wrong.push(reason),
            }
        }
        (None, Vec::new())
    }

    /// Fetches the newest image of the object store if it is newer than `best`, and puts it in its place.
    fn fetch_newer(
        &self,
        best: &mut Option<Manifest>,
        wrong: &mut Vec<String>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<bool, StateError> {
        let Some(remote) = &self.remote else { return Ok(false) };
        let created_ms = best.as_ref().map(|image| image.created_ms);
        let fetched = remote.fetch_newer_than(created_ms, &self.disk, progress);
        let image = match fetched {
            Ok(Some(image)) => image,
            Ok(None) => return Ok(false),
            Err(error) if best.is_none() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "no newer image could be fetched; using the one here");
                return Ok(false);
            }
        };
        let meter = Meter::new(progress, Stage::Verify, image.live_bytes());
        match verify(&self.folder, &image, &|bytes| meter.add(bytes)) {
            Ok(()) => {
                *best = Some(image);
                Ok(true)
            }
            Err(reason) => {
                wrong.push(format!("fetched {reason}"));
                Ok(false)
            }
        }
    }
}

/// Images in a folder, newest first, and what is wrong with those that can't be read.
pub(crate) fn candidates(folder: &std::path::Path) -> Result<(Vec<Manifest>, Vec<String>), StateError> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for id in names(folder)?.iter().filter_map(|name| FileId::of_image(name)) {
        match Manifest::read(folder, id) {
            Ok(image) => found.push(image),
            Err(reason) => wrong.push(reason),
        }
    }
    found.sort_by_key(|image| std::cmp::Reverse((image.created_ms, image.id)));
    Ok((found, wrong))
}

fn restore(folder: &std::path::Path, image: &Manifest, state: &State, meter: &Meter<'_>) -> Result<(), String> {
    restore_items(&mut Reader::new(folder, image), image, state, meter)?;
    let job = |(reader, restorer): &mut (Reader<'_>, Restorer<'_>), shard: usize| {
        let sections = image.shards.get(shard).map_or(&[][..], Vec::as_slice);
        restore_shard(reader, shard, sections, restorer, meter)
    };
    in_parallel(image.shards.len(), || (Reader::new(folder, image), state.restorer()), job)?;
    state.restored(image.newest(), image.horizon());
    Ok(())
}

/// Names and records; of several records, the last.
fn restore_items(reader: &mut Reader<'_>, image: &Manifest, state: &State, meter: &Meter<'_>) -> Result<(), String> {
    for section in &image.items {
        let read = read_items(reader.read(section)?, |item| match item.name {
            Some((bu, id)) => state.restore_item(item.id, bu, id, item.record).then_some(()),
            None => restore_record(state, item.id, item.record),
        });
        read.ok_or_else(|| format!("items make no sense at byte {}", section.offset))?;
        meter.add(section.bytes);
    }
    Ok(())
}

fn restore_record(state: &State, item: ItemId, record: Option<ItemRecord>) -> Option<()> {
    let catalogue = state.catalogue();
    let (bu, id) = (catalogue.bu_name(catalogue.bu_of(item)?), catalogue.item_name(item)?);
    state.restore_item(item, bu, id, record).then_some(())
}

type Seen = HashSet<KeyHash, foldhash::fast::RandomState>;

/// The newest value of every key: changes from the newest back, then the whole.
fn restore_shard(
    reader: &mut Reader<'_>,
    shard: usize,
    sections: &[Section],
    restorer: &mut Restorer<'_>,
    meter: &Meter<'_>,
) -> Result<(), String> {
    let (mut fragments, mut nodes) = (Vec::new(), Vec::new());
    let (mut seen_fragments, mut seen_nodes) = (Seen::default(), Seen::default());
    for (age, section) in sections.iter().rev().enumerate() {
        let is_oldest = age + 1 == sections.len(); // a key is in a section once
        let bytes = reader.read(section)?;
        let (fragment_count, node_count) = counts(bytes);
        fragments.reserve(fragment_count);
        nodes.reserve(node_count);
        let is_new = |seen: &mut Seen, key| if is_oldest { !seen.contains(&key) } else { seen.insert(key) };
        let read = read_keys(
            bytes,
            |key, stored| {
                if is_new(&mut seen_fragments, key) && !stored.is_empty() {
                    fragments.push((key, stored.fragment()?));
                }
                Some(())
            },
            |key, stored| {
                if is_new(&mut seen_nodes, key) {
                    nodes.push((key, stored.node()?));
                }
                Some(())
            },
        );
        read.ok_or_else(|| format!("shard {shard} makes no sense at byte {}", section.offset))?;
        meter.add(section.bytes);
    }
    restorer.keys(shard, fragments, nodes);
    Ok(())
}
