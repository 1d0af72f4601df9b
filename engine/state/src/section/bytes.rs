//! Reading numbers and texts off a slice.

/// What is left to read. Every method gives `None` where there is too little.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    /// `u32` bytes, text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let bytes = self.u32()?;
        std::str::from_utf8(self.take(bytes as usize)?).ok()
    }

    /// `u32` n, n texts.
    pub(crate) fn texts(&mut self) -> Option<Vec<String>> {
        let count = self.u32()? as usize;
        if count > self.0.len() / 4 {
            return None;
        }
        (0..count).map(|_| self.text().map(str::to_owned)).collect()
    }
}

/// Writes a text; longer than 4 GiB it could not be, it came through the log.
pub(crate) fn put_text(into: &mut Vec<u8>, text: &str) {
    let bytes = u32::try_from(text.len()).unwrap_or(0);
    into.extend(bytes.to_le_bytes());
    into.extend(text.as_bytes().get(..bytes as usize).unwrap_or_default());
}

pub(crate) fn put_texts(into: &mut Vec<u8>, texts: &[String]) {
    into.extend((texts.len() as u32).to_le_bytes());
    texts.iter().for_each(|text| put_text(into, text));
}
