use proptest::prelude::*;

use super::*;
use crate::test_support::{hex, mutations, unhex};

const HEADER: EntryHeader = EntryHeader { ledger_id: 100, entry_id: 0, last_add_confirmed: -1, length: 5 };

fn encode(digest_type: DigestType, password: &str) -> Vec<u8> {
    let mut entry = Vec::new();
    EntryCodec::new(digest_type, &LedgerPassword::new(password)).encode(HEADER, b"hello", &mut entry);
    entry
}

#[test]
fn digests_of_the_reference() {
    for (digest_type, digest) in [
        (DigestType::Crc32c, "60ce91d7"),
        (DigestType::Crc32, "00000000045f8917"),
        (DigestType::Hmac, "a3a9686f97681823d1aeb07097cb3dbd15200795"),
        (DigestType::Dummy, ""),
    ] {
        let entry = encode(digest_type, "");
        let expected = format!("000000000000006400000000000000 00ffffffffffffffff0000000000000005{digest}68656c6c6f");
        assert_eq!(hex(&entry), hex(&unhex(&expected)));
        let codec = EntryCodec::new(digest_type, &LedgerPassword::default());
        assert_eq!(codec.decode(&entry), Ok(Entry { header: HEADER, payload: b"hello" }));
        assert_eq!(entry_header(&entry), Ok(HEADER));
    }
}

#[test]
fn keys_of_the_reference() {
    for (password, key) in
        [("", "850bf1071c5e3d8c24235676f8816ae0cbe2f14f"), ("abc", "2a6eaf26891cfa7e6db330425d432e18f49fe787")]
    {
        assert_eq!(hex(&LedgerPassword::new(password).master_key().0), key);
    }
}

#[test]
fn keys_and_passwords_do_not_show() {
    let password = LedgerPassword::new("secret");
    let shown = format!("{password:?} {:?} {:?}", password.master_key(), EntryCodec::new(DigestType::Hmac, &password));
    assert_eq!(shown, "LedgerPassword(..) MasterKey(..) EntryCodec { digest_type: Hmac }");
}

#[test]
fn digest_types_are_found_by_trial() {
    for digest_type in [DigestType::Crc32c, DigestType::Crc32, DigestType::Hmac] {
        assert_eq!(detect_digest_type(&encode(digest_type, "p"), &LedgerPassword::new("p")), Some(digest_type));
    }
    assert_eq!(detect_digest_type(&encode(DigestType::Hmac, "p"), &LedgerPassword::new("q")), None);
    assert_eq!(detect_digest_type(&encode(DigestType::Dummy, "p"), &LedgerPassword::new("p")), None);
}

#[test]
fn damage_is_found() {
    for digest_type in [DigestType::Crc32c, DigestType::Crc32, DigestType::Hmac] {
        let entry = encode(digest_type, "");
        let codec = EntryCodec::new(digest_type, &LedgerPassword::default());
        mutations(&entry, |bytes| assert!(bytes == entry || codec.decode(bytes).is_err()));
    }
    let mut entry = encode(DigestType::Crc32c, "");
    entry[39] ^= 1;
    let error = EntryCodec::new(DigestType::Crc32c, &LedgerPassword::default()).decode(&entry).unwrap_err();
    assert_eq!(error.to_string(), "ledger entry: at byte 32, expected a right Crc32c digest");
}

proptest! {
    #[test]
    fn entries_survive(ledger_id in any::<i64>(), entry_id in any::<i64>(), last_add_confirmed in any::<i64>(),
                       length in any::<i64>(), payload in any::<Vec<u8>>(), password in any::<Vec<u8>>()) {
        let header = EntryHeader { ledger_id, entry_id, last_add_confirmed, length };
        for digest_type in DigestType::ALL {
            let codec = EntryCodec::new(digest_type, &LedgerPassword::new(password.clone()));
            let mut entry = Vec::new();
            codec.encode(header, &payload, &mut entry);
            prop_assert_eq!(codec.decode(&entry), Ok(Entry { header, payload: &payload }));
        }
    }
}
