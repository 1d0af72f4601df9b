//! Who made a generation: an ed25519 signature of its manifest, which holds the checksums of everything else.
//!
//! `manifest.sig` is the signature, 128 hexadecimal digits. A key is 64 hexadecimal digits: the secret one in a file that only the rebuild
//! can read, the public one in the configuration of whoever loads generations.

use std::{
    fmt,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
    sync::Arc,
};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{
    GenerationError,
    files::{io_error, read_bounded},
    pointer::unless_missing,
};

pub(super) const SIGNATURE: &str = "manifest.sig";
/// Longest signature or key file that is read.
const BYTES_MAX: u64 = 256;

/// Signs what a store publishes. Never shown.
#[derive(Clone)]
pub struct SecretKey(Arc<SigningKey>);

/// Tells whether a signature is the secret key's.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// Of 32 random bytes.
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        Self(Arc::new(SigningKey::from_bytes(seed)))
    }

    /// Reads a file that [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`GenerationError::Io`], [`GenerationError::BadKey`].
    pub fn read(path: &Path) -> Result<Self, GenerationError> {
        let text = read_bounded(path, BYTES_MAX)?;
        let seed = from_hex::<32>(&text).ok_or_else(|| GenerationError::BadKey { what: path.display().to_string() })?;
        Ok(Self::of_seed(&seed))
    }

    /// Writes it to a new file that nobody but its owner can read.
    ///
    /// # Errors
    /// [`GenerationError::KeyThere`]; [`GenerationError::Io`], and then there is no file.
    pub fn write(&self, path: &Path) -> Result<(), GenerationError> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => GenerationError::KeyThere { path: path.into() },
            _ => io_error("write", path)(error),
        })?;
        let written = writeln!(file, "{}", hex(&self.0.to_bytes())).and_then(|()| file.sync_all());
        written.map_err(|error| {
            let _ = fs::remove_file(path); // half a key is in the way of the next attempt
            io_error("write", path)(error)
        })
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, manifest: &[u8]) -> String {
        format!("{}\n", hex(&self.0.sign(manifest).to_bytes()))
    }
}

impl PublicKey {
    /// Of its text.
    ///
    /// # Errors
    /// [`GenerationError::BadKey`].
    pub fn parse(text: &str) -> Result<Self, GenerationError> {
        let key = from_hex::<32>(text.as_bytes()).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        key.map(Self).ok_or_else(|| GenerationError::BadKey { what: "the public key".into() })
    }

    /// Checks the signature beside a manifest.
    pub(super) fn verify(&self, folder: &Path, manifest: &[u8]) -> Result<(), GenerationError> {
        let path = folder.join(SIGNATURE);
        let refused = |reason| GenerationError::NotSigned { path: path.clone(), reason };
        let text = unless_missing(read_bounded(&path, BYTES_MAX))?.ok_or_else(|| refused("there is none"))?;
        let signature = from_hex::<64>(&text).ok_or_else(|| refused("it is no signature"))?;
        let is_ours = self.0.verify_strict(manifest, &Signature::from_bytes(&signature)).is_ok();
        if is_ours { Ok(()) } else { Err(refused("it is not this key's, or not of this manifest")) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretKey(of {})", self.public())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of so many pairs of hexadecimal digits.
fn from_hex<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let text = text.trim_ascii();
    let mut bytes = [0; BYTES];
    let digit = |digit: u8| char::from(digit).to_digit(16);
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{super::Store, super::tests::generation, *};

    fn key(seed: u8) -> SecretKey {
        SecretKey::of_seed(&[seed; 32])
    }

    #[test]
    fn what_the_key_signed_is_taken_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Store::open(folder.path()).unwrap();
        let strict = plain.clone().verifying_with(key(1).public());
        let unsigned = plain.publish(&generation(0)).unwrap();
        let foreign = plain.clone().signing_with(key(2)).publish(&generation(1)).unwrap();
        let ours = strict.clone().signing_with(key(1)).publish(&generation(2)).unwrap();
        strict.load(&ours).unwrap();
        plain.load(&ours).unwrap();
        for (id, reason) in [(&unsigned, "there is none"), (&foreign, "not this key's")] {
            plain.load(id).unwrap();
            let refused = strict.load(id).unwrap_err().to_string();
            assert!(refused.contains("manifest.sig") && refused.contains(reason), "{refused}");
            assert!(strict.activate(id).is_err() && strict.manifest(id).is_err());
        }
        assert_eq!(strict.current().unwrap(), Some(ours));
        let refused = strict.publish(&generation(3)).unwrap_err();
        assert!(matches!(refused, GenerationError::NotSigned { .. }), "nothing is published that could not be loaded: {refused}");
        assert_eq!(strict.list().unwrap().len(), 3);
    }

    #[test]
    fn a_manifest_that_was_changed_with_its_checksum_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap().signing_with(key(1)).verifying_with(key(1).public());
        let id = store.publish(&generation(0)).unwrap();
        let path = folder.path().join(id.as_str()).join("manifest.json");
        let text = fs::read_to_string(&path).unwrap().replacen("\"cut_off_ms\": ", "\"cut_off_ms\": 9", 1);
        fs::write(&path, &text).unwrap();
        fs::write(path.with_file_name("manifest.crc32c"), format!("{:08x}", crc32c::crc32c(text.as_bytes()))).unwrap();
        assert!(matches!(store.load(&id), Err(GenerationError::NotSigned { .. })));
        Store::open(folder.path()).unwrap().load(&id).unwrap();
    }

    #[test]
    fn keys_come_back_from_their_files_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        key(7).write(&path).unwrap();
        assert!(key(8).write(&path).is_err(), "no key is written over another");
        let read = SecretKey::read(&path).unwrap();
        assert_eq!(read.public(), key(7).public());
        assert_eq!(PublicKey::parse(&read.public().to_string()).unwrap(), read.public());
        assert!(!format!("{read:?}").contains(&"07".repeat(32)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for text in ["", "07", &"0g".repeat(32), &"07".repeat(33)] {
            assert!(PublicKey::parse(text).is_err());
            fs::write(&path, text).unwrap();
            assert!(SecretKey::read(&path).unwrap_err().to_string().contains("keygen"));
        }
    }
}
