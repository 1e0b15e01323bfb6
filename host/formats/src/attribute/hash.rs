//! Table keys as extended attributes (`KeyHasher` and `IndexWriter` of Pravega).

use sha2::{Digest, Sha256};

use crate::primitives::Uuid;

/// Most significant half of the ids of back pointers; the hash of a key never has it.
const BACK_POINTER_PREFIX: i64 = i64::MAX;

/// The attribute id of a key of a hash table: the first 16 bytes of its SHA-256, moved away by one where they would
/// look like a core attribute or a back pointer.
#[must_use]
pub fn table_key_hash(key: &[u8]) -> Uuid {
    let digest = Sha256::digest(key);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(target, source)| *target = source);
    outside_reserved_ids(Uuid(bytes))
}

/// Moves an id whose most significant half is reserved to the neighbour that is not.
fn outside_reserved_ids(hash: Uuid) -> Uuid {
    match hash.most() {
        i64::MIN => Uuid::from_halves(i64::MIN + 1, hash.least()),
        i64::MAX => Uuid::from_halves(i64::MAX - 1, hash.least()),
        _ => hash,
    }
}

/// The attribute id under which the entry at `offset` leads to the previous entry of its bucket, when keys collide.
#[must_use]
pub const fn back_pointer_id(offset: i64) -> Uuid {
    Uuid::from_halves(BACK_POINTER_PREFIX, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_reference() {
        let vectors = [
            ("key", "2c70e12b-7a06-46f9-2279-f427c7b38e73"),
            ("_system/containers/storage_metadata_0", "13030f0b-99b8-fe0d-9641-f3890adb38f0"),
            ("scope/stream/0.#epoch.0", "dc93ffbd-866e-ad21-5914-b72a1efe6cd7"),
        ];
        for (key, hash) in vectors {
            assert_eq!(table_key_hash(key.as_bytes()).to_string(), hash);
        }
    }

    #[test]
    fn hashes_stay_outside_the_reserved_ids() {
        assert_eq!(outside_reserved_ids(Uuid::from_halves(i64::MIN, 7)), Uuid::from_halves(i64::MIN + 1, 7));
        assert_eq!(outside_reserved_ids(back_pointer_id(7)), Uuid::from_halves(i64::MAX - 1, 7));
    }
}
