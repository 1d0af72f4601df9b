//! One cycle: an image of a cut.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde_json::Value;

use faces_core::{catalogue::ItemRecord, fragment::Fragment, ids::ItemId, state::Cut, table::SHARDS};

use crate::{
    ImageStore, StateError,
    manifest::{FileId, Manifest, Section},
    plan::Plan,
    section::{items::put_item, keys::KeysBuffer},
    segment::{SegmentWriter, is_full},
    store::draw,
};

/// Items are cut into sections of about so many bytes, so that no buffer holds them all.
const ITEMS_SECTION_BYTES: usize = 16 << 20;

/// What a cycle did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Written {
    /// The image's number.
    pub image: u64,
    /// Bytes written.
    pub bytes: u64,
    /// How long it took, all in all.
    pub seconds: f64,
    /// The longest time that a shard's writers were held up.
    pub hold_seconds_max: f64,
    /// Shards written whole.
    pub bases: usize,
    /// Shards of which changes were written.
    pub deltas: usize,
    /// Values written: fragments, nodes and items.
    pub values: u64,
    /// Bytes of all segments that the image needs.
    pub segment_bytes: u64,
    /// Bytes in them that it needs.
    pub live_bytes: u64,
}

impl ImageStore {
    /// Makes an image of a cut of the state that was loaded into, and calls [`Cut::keep`] once it is durable. `positions` are those
    /// of the log at the cut. Then deletes what is not needed any more and, where due, lets a copy go to the object store.
    ///
    /// Cost: a copy of what changed, written sequentially, and one sync. A shard's writers wait while it is copied to memory.
    ///
    /// # Errors
    /// [`StateError::Full`] and failed file operations: nothing is left behind, the image before stands, and the next call writes
    /// what this one would have. [`StateError::Misuse`] before [`ImageStore::load`] or for the cut of another state.
    pub fn write(&mut self, cut: Cut, positions: Value) -> Result<Written, StateError> {
        let begun = Instant::now();
        if !self.state.as_ref().is_some_and(|state| Weak::ptr_eq(state, &Arc::downgrade(cut.state()))) {
            return Err(StateError::Misuse("images are made of the state that was loaded into: call load first"));
        }
        let id = FileId { number: self.next_number, run: self.run };
        self.next_number = self.next_number.saturating_add(1); // never twice, even if this fails
        let mut manifest = self.begin(id, &cut, positions);
        let position = manifest.segments.len();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut cycle = Cycle {
            segment: SegmentWriter::new(&self.disk, &self.folder, id, position, self.options.bytes_per_second_max),
            plan: self.current.as_ref().map(Plan::after).unwrap_or_default(),
            since: self.kept,
            written: Written { image: id.number, ..Written::default() },
        };
        let made = cycle.make(&cut, &mut manifest, &mut buffer).and_then(|()| self.put(&manifest));
        self.buffer = buffer;
        let Cycle { segment, mut written, .. } = cycle;
        written.bytes += segment.bytes();
        match made {
            Ok(bytes) => written.bytes += bytes,
            Err(error) => {
                let error = self.explain(error, id, &segment);
                // The image first: never one without what it needs.
                _ = self.disk.remove(&self.folder.join(id.image_name()));
                segment.abandon();
                return Err(error);
            }
        }
        self.kept = cut.number();
        cut.keep();
        written.segment_bytes = manifest.segment_bytes();
        written.live_bytes = manifest.live_bytes();
        self.cycle_bytes = written.bytes;
        if let Some(remote) = &self.remote {
            remote.offer(&manifest);
        }
        self.previous = self.current.replace(manifest);
        self.clean();
        written.seconds = begun.elapsed().as_secs_f64();
        Ok(written)
    }

    /// The image to be, with the sections of the one before.
    fn begin(&self, id: FileId, cut: &Cut, positions: Value) -> Manifest {
        let before = self.current.clone();
        let created_min = before.as_ref().map_or(i64::MIN, |before| before.created_ms.saturating_add(1));
        let fresh = || Manifest {
            id,
            lineage: draw(),
            created_ms: 0,
            log: self.options.log.clone(),
            positions: Value::Null,
            newest_ms: None,
            horizon_ms: None,
            segment_count: 0,
            segments: Vec::new(),
            item_count: 0,
            items: Vec::new(),
            shards: vec![Vec::new(); SHARDS],
        };
        Manifest {
            id,
            created_ms: (self.options.now_ms)().max(created_min),
            positions,
            newest_ms: cut.newest().map(|time| time.millis()),
            horizon_ms: cut.horizon().map(|time| time.millis()),
            ..before.unwrap_or_else(fresh)
        }
    }

    fn put(&self, manifest: &Manifest) -> Result<u64, StateError> {
        let path = self.folder.join(manifest.id.image_name());
        let bytes = manifest.encode().map_err(|error| StateError::io("encode", &path)(error.into()))?;
        self.disk.put(&path, &bytes)?;
        Ok(bytes.len() as u64)
    }

    fn explain(&self, error: StateError, id: FileId, segment: &SegmentWriter<'_>) -> StateError {
        match error {
            StateError::Io { path, source, .. } if is_full(&source) => StateError::Full {
                image: id.number,
                bytes_written: if path == segment.path() { segment.on_disk() } else { 0 },
                path,
                bytes_needed: self.cycle_bytes.max(segment.bytes()),
                source,
            },
            error => error,
        }
    }
}

struct Cycle<'a> {
    segment: SegmentWriter<'a>,
    plan: Plan,
    since: u32,
    written: Written,
}

impl Cycle<'_> {
    fn make(&mut self, cut: &Cut, manifest: &mut Manifest, buffer: &mut KeysBuffer) -> Result<(), StateError> {
        self.items(cut, manifest)?;
        for (shard, sections) in manifest.shards.iter_mut().enumerate() {
            self.keys(cut, shard, sections, buffer)?;
        }
        if let Some(segment) = self.segment.finish(manifest.segment_count)? {
            manifest.segments.push(segment);
            manifest.segment_count += 1;
        }
        manifest.forget_dead_segments();
        Ok(())
    }

    fn keys(&mut self, cut: &Cut, shard: usize, sections: &mut Vec<Section>, buffer: &mut KeysBuffer) -> Result<(), StateError> {
        let is_base = self.plan.is_base_due(shard, sections);
        let buffer = std::cell::RefCell::new(buffer);
        buffer.borrow_mut().clear();
        let begun = Instant::now();
        cut.visit_keys(
            shard,
            (!is_base).then_some(self.since),
            |key, fragment: &Fragment| {
                // In a whole, what is not there is empty.
                if !(is_base && fragment.is_empty()) {
                    buffer.borrow_mut().put_fragment(key, fragment);
                }
            },
            |key, node| buffer.borrow_mut().put_node(key, node),
        );
        self.held(begun.elapsed());
        if is_base {
            sections.clear();
        }
        let buffer = buffer.into_inner();
        let values = buffer.values();
        if values > 0 {
            sections.push(self.segment.append(buffer.finish(), values, is_base)?);
            *(if is_base { &mut self.written.bases } else { &mut self.written.deltas }) += 1;
            self.written.values += values;
        }
        Ok(())
    }

    fn held(&mut self, time: Duration) {
        self.written.hold_seconds_max = self.written.hold_seconds_max.max(time.as_secs_f64());
    }

    fn items(&mut self, cut: &Cut, manifest: &mut Manifest) -> Result<(), StateError> {
        let is_base = self.plan.is_base_due(SHARDS, &manifest.items);
        if is_base {
            manifest.items.clear();
        }
        let named = if is_base { 0 } else { manifest.item_count };
        let (mut bytes, mut values, mut next, mut failed) = (Vec::new(), 0, 0_u64, Ok(()));
        cut.visit_items((!is_base).then_some(self.since), |item, bu, id, record| {
            // Items that are being named right now may have a gap among them. None of them is in the cut.
            if failed.is_err() || u64::from(item.number()) != next {
                return;
            }
            next += 1;
            let name = (next > named).then_some((bu, id));
            let record = record.filter(|record| !is_base || **record != ItemRecord::default());
            if name.is_none() && record.is_none() {
                return;
            }
            put_item(&mut bytes, ItemId::new(item.number()), name, record);
            values += 1;
            if bytes.len() >= ITEMS_SECTION_BYTES {
                failed = self.segment.append(&bytes, values, is_base).map(|section| manifest.items.push(section));
                self.written.values += std::mem::take(&mut values);
                bytes.clear();
            }
        });
        failed?;
        if values > 0 {
            manifest.items.push(self.segment.append(&bytes, values, is_base)?);
            self.written.values += values;
        }
        manifest.item_count = next.max(named);
        Ok(())
    }
}
