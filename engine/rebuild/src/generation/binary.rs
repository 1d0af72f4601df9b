//! The frame of a generation's binary files, and bounded reading of it.
//!
//! ```text
//! "FACESGEN"  u32 version (1)  u32 kind  body
//! ```
//!
//! A body is a sequence of arrays, each a u64 count and that many u32, f32 or bytes, little-endian, without padding.
//! Text lists are an array of u32 end offsets and an array of UTF-8 bytes. Limits: what a count promises must lie in
//! the file, so nothing is allocated that was not read; and no byte may follow the last array.

const MAGIC: &[u8; 8] = b"FACESGEN";
const VERSION: u32 = 1;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Items = 1,
    Space = 2,
    CoVisitation = 3,
    Popularity = 4,
    Catalogue = 5,
    Neighbours = 6,
    Content = 7,
}

/// Builds one file.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(kind: Kind) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((kind as u32).to_le_bytes());
        Self { bytes }
    }

    pub(super) fn u32s(&mut self, values: &[u32]) {
        self.count(values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(super) fn f32s(&mut self, values: &[f32]) {
        self.count(values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Texts of together less than 4 GiB.
    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let (mut ends, mut all) = (Vec::new(), String::new());
        for text in texts {
            all.push_str(text);
            ends.push(u32::try_from(all.len()).map_err(|_| "item names exceed 4 GiB; use shorter ids")?);
        }
        self.u32s(&ends);
        self.blob(all.as_bytes());
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn count(&mut self, count: usize) {
        self.bytes.extend((count as u64).to_le_bytes());
    }
}

/// Reads one file; every failure says what was expected.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], kind: Kind) -> Result<Self, String> {
        let mut this = Self { rest: bytes };
        if this.take(MAGIC.len())? != MAGIC {
            return Err("it does not begin as a generation's file does".into());
        }
        let version = this.u32()?;
        if version != VERSION {
            return Err(format!("its format version is {version}, and this program reads {VERSION}"));
        }
        let found = this.u32()?;
        if found != kind as u32 {
            return Err(format!("it holds part {found} where {} ({kind:?}) belongs", kind as u32));
        }
        Ok(this)
    }

    pub(super) fn u32s(&mut self) -> Result<Vec<u32>, String> {
        let bytes = self.array(4)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
    }

    pub(super) fn f32s(&mut self) -> Result<Vec<f32>, String> {
        let bytes = self.array(4)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], String> {
        self.array(1)
    }

    pub(super) fn texts(&mut self) -> Result<Vec<&'a str>, String> {
        let ends = self.u32s()?;
        let all = std::str::from_utf8(self.blob()?).map_err(|_| "its names are not UTF-8")?;
        let mut from = 0;
        let mut texts = Vec::with_capacity(ends.len());
        for end in ends {
            let to = end as usize;
            texts.push(all.get(from..to).ok_or("its names are cut in the wrong places")?);
            from = to;
        }
        if from != all.len() {
            return Err("its names go on after the last one".into());
        }
        Ok(texts)
    }

    /// Insists that nothing is left.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow its end", self.rest.len())) }
    }

    fn array(&mut self, width: u64) -> Result<&'a [u8], String> {
        let count = u64::from(self.u32()?) | (u64::from(self.u32()?) << 32);
        let bytes = count.checked_mul(width).and_then(|bytes| usize::try_from(bytes).ok());
        self.take(bytes.ok_or_else(|| format!("it promises an array of {count} values"))?)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(bytes.first_chunk().copied().map_or(0, u32::from_le_bytes))
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) =
            self.rest.split_at_checked(bytes).ok_or_else(|| format!("it ends {} bytes early", bytes - self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }
}
