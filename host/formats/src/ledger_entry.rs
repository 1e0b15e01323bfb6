//! Entries of BookKeeper ledgers as bookies hold and send them (`DigestManager` and `MacDigestManager`).
//!
//! ```text
//! entry := ledger id i64 · entry id i64 · last add confirmed i64 · length i64 · digest · payload
//! ```
//! The digest covers the 32 bytes before it, then the payload: CRC32C 4 bytes, CRC32 8 bytes, HMAC-SHA1 20 bytes,
//! dummy none. Ids and lengths are signed as in BookKeeper; -1 means "none yet".

use std::fmt;

use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};

use crate::error::DecodeError;
use crate::primitives::Reader;

/// Bytes before the digest.
pub const ENTRY_HEADER_BYTES: usize = 32;
/// Bytes of the longest digest, HMAC-SHA1.
pub const DIGEST_MAX_BYTES: usize = 20;
/// What the passwords' digests are salted with.
const MASTER_KEY_SALT: &[u8] = b"ledger";
const MAC_KEY_SALT: &[u8] = b"mac";

/// How entries of a ledger are protected; the numbers are those of the ledger metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DigestType {
    /// CRC32, in 8 bytes.
    Crc32 = 1,
    /// HMAC-SHA1 with a key made of the password, 20 bytes.
    Hmac = 2,
    /// CRC32C, in 4 bytes; what Pravega uses.
    Crc32c = 3,
    /// Nothing.
    Dummy = 4,
}

impl DigestType {
    /// All of them, the most probable first.
    pub const ALL: [Self; 4] = [Self::Crc32c, Self::Crc32, Self::Hmac, Self::Dummy];

    /// Bytes of the digest.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 => 8,
            Self::Hmac => DIGEST_MAX_BYTES,
            Self::Crc32c => 4,
            Self::Dummy => 0,
        }
    }
}

/// Password of a ledger. It never shows in debug output.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LedgerPassword(Vec<u8>);

impl LedgerPassword {
    /// The password as configured (`bookkeeper.connect.security.auth.pwd`, UTF-8; empty by default).
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self(password.into())
    }

    /// The clear text, which belongs nowhere but into ledger metadata.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// The key that bookies ask for.
    #[must_use]
    pub fn master_key(&self) -> MasterKey {
        MasterKey(salted_sha1(MASTER_KEY_SALT, &self.0))
    }
}

impl fmt::Debug for LedgerPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LedgerPassword(..)")
    }
}

/// What bookies ask for before they add to a ledger or fence it: SHA-1 of `ledger` and the password. It never shows
/// in debug output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey(pub [u8; 20]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterKey(..)")
    }
}

fn salted_sha1(salt: &[u8], password: &[u8]) -> [u8; 20] {
    Sha1::new().chain_update(salt).chain_update(password).finalize().into()
}

/// What stands before the digest of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHeader {
    /// The ledger.
    pub ledger_id: i64,
    /// The entry, from 0.
    pub entry_id: i64,
    /// Highest entry that was confirmed when this one was sent; -1 if none was.
    pub last_add_confirmed: i64,
    /// Payload bytes of the ledger up to and including this entry.
    pub length: i64,
}

impl EntryHeader {
    fn to_bytes(self) -> [u8; ENTRY_HEADER_BYTES] {
        let mut bytes = [0; ENTRY_HEADER_BYTES];
        let fields = [self.ledger_id, self.entry_id, self.last_add_confirmed, self.length];
        for (place, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
            *place = field.to_be_bytes();
        }
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ledger_id: reader.i64()?,
            entry_id: reader.i64()?,
            last_add_confirmed: reader.i64()?,
            length: reader.i64()?,
        })
    }
}

/// An entry whose digest is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Ids and lengths.
    pub header: EntryHeader,
    /// What the writer of the ledger gave.
    pub payload: &'a [u8],
}

/// Makes and checks the digests of one ledger.
#[derive(Clone)]
pub struct EntryCodec {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Crc32,
    Crc32c,
    Hmac(Box<Hmac<Sha1>>),
    Dummy,
}

impl fmt::Debug for EntryCodec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EntryCodec").field("digest_type", &self.digest_type()).finish()
    }
}

impl EntryCodec {
    /// A codec of a ledger with that digest and password (which only HMAC needs).
    #[must_use]
    pub fn new(digest_type: DigestType, password: &LedgerPassword) -> Self {
        let kind = match digest_type {
            DigestType::Crc32 => Kind::Crc32,
            DigestType::Crc32c => Kind::Crc32c,
            DigestType::Dummy => Kind::Dummy,
            DigestType::Hmac => {
                let key = salted_sha1(MAC_KEY_SALT, &password.0);
                // HMAC pads a key of 20 bytes with zeroes to a block, so that a block with those bytes is the same key.
                let mut block = hmac::digest::Key::<Hmac<Sha1>>::default();
                block.iter_mut().zip(key).for_each(|(place, byte)| *place = byte);
                Kind::Hmac(Box::new(Mac::new(&block)))
            }
        };
        Self { kind }
    }

    /// The digest that this codec makes.
    #[must_use]
    pub const fn digest_type(&self) -> DigestType {
        match self.kind {
            Kind::Crc32 => DigestType::Crc32,
            Kind::Crc32c => DigestType::Crc32c,
            Kind::Hmac(_) => DigestType::Hmac,
            Kind::Dummy => DigestType::Dummy,
        }
    }

    /// Appends an entry to `output`.
    pub fn encode(&self, header: EntryHeader, payload: &[u8], output: &mut Vec<u8>) {
        let header = header.to_bytes();
        output.reserve(ENTRY_HEADER_BYTES + DIGEST_MAX_BYTES + payload.len());
        output.extend_from_slice(&header);
        self.digest(&header, payload).with(|digest| output.extend_from_slice(digest));
        output.extend_from_slice(payload);
    }

    /// Splits an entry and checks its digest.
    ///
    /// # Errors
    /// If the bytes are shorter than header and digest, or the digest is wrong.
    pub fn decode<'a>(&self, entry: &'a [u8]) -> Result<Entry<'a>, DecodeError> {
        let mut reader = Reader::new("ledger entry", entry);
        let header = EntryHeader::read(&mut reader)?;
        let digest = reader.bytes(self.digest_type().length())?;
        let payload = reader.rest();
        if self.digest(&header.to_bytes(), payload).with(|expected| expected == digest) {
            Ok(Entry { header, payload })
        } else {
            Err(reader.error_at(ENTRY_HEADER_BYTES, format!("a right {:?} digest", self.digest_type())))
        }
    }

    fn digest(&self, header: &[u8], payload: &[u8]) -> DigestBytes {
        match &self.kind {
            Kind::Crc32c => DigestBytes::of(crc32c::crc32c_append(crc32c::crc32c(header), payload).to_be_bytes()),
            Kind::Crc32 => {
                let mut hasher = crc32fast::Hasher::new();
                hasher.update(header);
                hasher.update(payload);
                DigestBytes::of(u64::from(hasher.finalize()).to_be_bytes())
            }
            Kind::Hmac(mac) => {
                let mac = mac.as_ref().clone().chain_update(header).chain_update(payload);
                DigestBytes::of::<DIGEST_MAX_BYTES>(mac.finalize().into_bytes().into())
            }
            Kind::Dummy => DigestBytes::of([]),
        }
    }
}

/// A digest of any kind without allocation.
struct DigestBytes {
    bytes: [u8; DIGEST_MAX_BYTES],
    length: usize,
}

impl DigestBytes {
    fn of<const N: usize>(digest: [u8; N]) -> Self {
        let mut bytes = [0; DIGEST_MAX_BYTES];
        bytes.iter_mut().zip(digest).for_each(|(place, byte)| *place = byte);
        Self { bytes, length: N }
    }

    fn with<T>(&self, use_digest: impl FnOnce(&[u8]) -> T) -> T {
        use_digest(self.bytes.get(..self.length).unwrap_or(&self.bytes))
    }
}

/// Reads the header of an entry without checking anything else.
///
/// # Errors
/// If the bytes are shorter than a header.
pub fn entry_header(entry: &[u8]) -> Result<EntryHeader, DecodeError> {
    EntryHeader::read(&mut Reader::new("ledger entry", entry))
}

/// The digest type of an entry by trial; none if no digest is right. [`DigestType::Dummy`] protects nothing and is
/// never the answer.
#[must_use]
pub fn detect_digest_type(entry: &[u8], password: &LedgerPassword) -> Option<DigestType> {
    DigestType::ALL
        .into_iter()
        .filter(|digest_type| *digest_type != DigestType::Dummy)
        .find(|digest_type| EntryCodec::new(*digest_type, password).decode(entry).is_ok())
}

#[cfg(test)]
mod tests;
