use proptest::prelude::*;

use super::*;
use crate::test_support::{hex, mutations, unhex};

const HEADER_HEX: &str = "426f6f6b69654d65746164617461466f726d617456657273696f6e09330a";
const SMALL: &str =
    "426f6f6b69654d65746164617461466f726d617456657273696f6e09330a4908031003186420092803321d0a0768313a333138310a076832
    3a333138310a0768333a3331383110003803420048025a160a0b6170706c69636174696f6e1207507261766567616000";

fn bookies(names: [&str; 3]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

fn security() -> Option<LedgerSecurity> {
    Some(LedgerSecurity { digest_type: DigestType::Crc32c, password: LedgerPassword::default() })
}

fn application() -> (String, Vec<u8>) {
    ("application".to_owned(), b"Pravega".to_vec())
}

fn small() -> LedgerMetadata {
    LedgerMetadata {
        ensemble_size: 3,
        write_quorum: 3,
        ack_quorum: 2,
        state: LedgerState::Closed { last_entry: 9, length: 100 },
        ensembles: vec![Ensemble { first_entry: 0, bookies: bookies(["h1:3181", "h2:3181", "h3:3181"]) }],
        security: security(),
        creation_time: None,
        custom_metadata: vec![application()],
        creation_token: Some(0),
    }
}

#[test]
fn small_vector_of_the_reference() {
    let bytes = unhex(SMALL);
    assert_eq!(hex(&small().encode().unwrap()), hex(&bytes));
    assert_eq!(LedgerMetadata::decode(&bytes).unwrap(), small());
}

#[test]
fn vector_of_a_real_cluster() {
    let member = |port: &str| format!("0a0f3132372e302e302e313a333139{port}");
    let body = format!(
        "0803 1003 188d801a 208006 2803
         3235 {}{}{} 1000  3236 {}{}{} 10ed05
         3803 4200 4802 5a160a0b6170706c69636174696f6e120750726176656761
         5a140a0f426f6f6b4b65657065724c6f674964120130 6000",
        member("3230"),
        member("3233"),
        member("3231"),
        member("3230"),
        member("3233"),
        member("3232")
    );
    let bytes = unhex(&format!("{HEADER_HEX} b201 {body}"));
    let value = LedgerMetadata {
        state: LedgerState::Closed { last_entry: 768, length: 425_997 },
        ensembles: vec![
            Ensemble { first_entry: 0, bookies: bookies(["127.0.0.1:31920", "127.0.0.1:31923", "127.0.0.1:31921"]) },
            Ensemble { first_entry: 749, bookies: bookies(["127.0.0.1:31920", "127.0.0.1:31923", "127.0.0.1:31922"]) },
        ],
        custom_metadata: vec![application(), ("BookKeeperLogId".to_owned(), b"0".to_vec())],
        ..small()
    };
    assert_eq!(LedgerMetadata::decode(&bytes).unwrap(), value);
    assert_eq!(hex(&value.encode().unwrap()), hex(&bytes));
    assert_eq!(value.ensemble_of(748), value.ensembles.first());
    assert_eq!(value.ensemble_of(749), value.ensembles.last());
}

#[test]
fn an_open_ledger_has_a_last_entry_of_minus_one() {
    let open = LedgerMetadata { state: LedgerState::Open, ..small() };
    let bytes = open.encode().unwrap();
    assert!(hex(&bytes).contains("180020ffffffffffffffffff012801"));
    assert_eq!(LedgerMetadata::decode(&bytes).unwrap(), open);
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let refused = |text: &str| LedgerMetadata::decode(&unhex(text)).unwrap_err().to_string();
    let with = |body: &str| format!("{HEADER_HEX}{:02x}{body}", body.len() / 2);
    assert_eq!(
        refused(&with("0803100318002801320210003803")),
        "ledger metadata: at byte 30, expected digest type and password, or neither"
    );
    assert_eq!(
        refused(&with("08031003180028013803 4200".replace(' ', "").as_str())),
        "ledger metadata: at byte 30, expected at least one ensemble"
    );
    assert_eq!(
        refused(&with("08031003180028033202100038034200")),
        "ledger metadata: at byte 30, expected an end of the closed ledger, found None, 0"
    );
    assert_eq!(
        refused(&with("0800100318002801320210003803 4200".replace(' ', "").as_str())),
        "ledger metadata: at byte 30, expected a write quorum above 0, found 0"
    );
    assert!(refused(&with("08031003180028013202100038094200")).contains("a digest type 1 to 4, found 9"));
    assert!(
        refused("426f6f6b69654d65746164617461466f726d617456657273696f6e09320a")
            .contains("found \"BookieMetadataFormatVersion\\t2\\n\"")
    );
    assert!(refused("").contains("`BookieMetadataFormatVersion` 3"));
}

#[test]
fn the_password_does_not_show() {
    let security = Some(LedgerSecurity { digest_type: DigestType::Hmac, password: LedgerPassword::new("hunter2") });
    let metadata = LedgerMetadata { security, ..small() };
    assert!(!format!("{metadata:?}").contains("hunter2"));
    assert!(!format!("{metadata:?}").contains("104, 117"));
}

#[test]
fn layout_of_the_reference() {
    let text = unhex(
        "320a6f72672e6170616368652e626f6f6b6b65657065722e6d6574612e48696572617263686963616c4c65646765724d616e61676572
         466163746f72793a31",
    );
    assert_eq!(LedgerManager::Hierarchical.layout_text().as_bytes(), text);
    assert_eq!(text.len(), 63);
    for manager in [LedgerManager::Hierarchical, LedgerManager::Flat, LedgerManager::LongHierarchical] {
        assert_eq!(LedgerManager::from_layout_text(manager.layout_text().as_bytes()), Ok(manager));
    }
    assert!(LedgerManager::from_layout_text(b"2\norg.example.Other:1").is_err());
}

#[test]
fn paths_of_the_reference() {
    let default = LedgerManager::Hierarchical;
    for (manager, id, path) in [
        (default, 16, "00/0000/L0016"),
        (default, 2_147_483_646, "21/4748/L3646"),
        (default, 2_147_483_647, "000/0000/0021/4748/L3647"),
        (default, 4_294_967_296, "000/0000/0042/9496/L7296"),
        (LedgerManager::Flat, 16, "L0000000016"),
        (LedgerManager::LongHierarchical, 16, "000/0000/0000/0000/L0016"),
    ] {
        assert_eq!(manager.ledger_path(id).as_deref(), Some(path));
        assert_eq!(manager.ledger_id(path), Some(id));
    }
    assert_eq!(default.ledger_path(-1), None);
    assert_eq!(LedgerManager::LegacyHierarchical.ledger_path(10_000_000_000), None);
    for path in
        ["", "L", "00/0000/0016", "00/000/L00016", "000/0000/0000/0000/L0016", "00/0000/L+016", "idgen/ID-0000000001"]
    {
        assert_eq!(default.ledger_id(path), None, "{path}");
    }
}

#[test]
fn mutated_metadata_give_value_or_error() {
    mutations(&unhex(SMALL), |bytes| drop(LedgerMetadata::decode(bytes)));
}

proptest! {
    #[test]
    fn metadata_survive(sizes in prop::array::uniform3(1..=i32::MAX as u32), last_entry in -1..i64::MAX, length in 0..i64::MAX,
                        first_entry in any::<i64>(), members in prop::collection::vec(any::<String>(), 0..4),
                        custom_metadata in prop::collection::vec(any::<(String, Vec<u8>)>(), 0..4),
                        creation_time in any::<Option<i64>>(), creation_token in any::<Option<i64>>()) {
        let metadata = LedgerMetadata {
            ensemble_size: sizes[0],
            write_quorum: sizes[1],
            ack_quorum: sizes[2],
            state: LedgerState::Closed { last_entry, length },
            ensembles: vec![Ensemble { first_entry, bookies: members }],
            creation_time,
            custom_metadata,
            creation_token,
            ..small()
        };
        prop_assert_eq!(LedgerMetadata::decode(&metadata.encode().unwrap()).unwrap(), metadata);
    }

    #[test]
    fn ledger_paths_survive(ledger_id in 0..=i64::MAX) {
        let path = LedgerManager::Hierarchical.ledger_path(ledger_id).unwrap();
        prop_assert_eq!(LedgerManager::Hierarchical.ledger_id(&path), Some(ledger_id));
    }

    #[test]
    fn any_bytes_give_value_or_error(body in any::<Vec<u8>>(), path in any::<String>()) {
        drop(LedgerMetadata::decode(&[HEADER, &body].concat()));
        let _ = LedgerManager::Hierarchical.ledger_id(&path);
    }
}

#[test]
fn fields_before_damage_are_read() {
    let bytes = unhex(SMALL);
    let (fields, damage) = raw_fields(&bytes);
    assert_eq!(damage, None);
    let names: Vec<_> = fields.iter().filter_map(|field| field.name).collect();
    assert_eq!(names[..6], ["quorumSize", "ensembleSize", "length", "lastEntryId", "state", "segment"]);
    for length in 0..bytes.len() {
        let (fields, damage) = raw_fields(&bytes[..length]);
        let offset = damage.unwrap().offset;
        assert!(offset <= length as u64 && fields.iter().all(|field| field.offset < length as u64));
    }
}
