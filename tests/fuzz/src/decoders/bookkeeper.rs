//! BookKeeper: metadata and entries of ledgers, messages of bookies.

use dr_formats::bookie_protocol::{
    Request, Response, ResponseBody, Status, bookie_endpoints, message_length, next_message,
};
use dr_formats::ledger_entry::{
    DigestType, EntryCodec, EntryHeader, LedgerPassword, MasterKey, detect_digest_type, entry_header,
};
use dr_formats::ledger_metadata::{Ensemble, LedgerManager, LedgerMetadata, LedgerSecurity, LedgerState, raw_fields};
use fastrand::Rng;

use crate::decoder::{Decoder, Outcome, round_trip};

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "ledger-metadata",
        covers: &["ledger_metadata::LedgerMetadata::decode", "ledger_metadata::raw_fields"],
        seeds: |_| ledger_metadata().iter().flat_map(LedgerMetadata::encode).collect(),
        mend: Some(|input, _| mend_metadata(input)),
        check: check_metadata,
    },
    Decoder {
        name: "ledger-layout",
        covers: &["ledger_metadata::LedgerManager::from_layout_text", "ledger_metadata::LedgerManager::ledger_id"],
        seeds: |_| layout_seeds(),
        mend: None,
        check: check_layout,
    },
    Decoder {
        name: "ledger-entry",
        covers: &["ledger_entry::EntryCodec::decode", "ledger_entry::entry_header", "ledger_entry::detect_digest_type"],
        seeds: |_| entry_seeds(),
        mend: Some(mend_entry),
        check: check_entry,
    },
    Decoder {
        name: "bookie-request",
        covers: &["bookie_protocol::Request::decode"],
        seeds: |_| requests().iter().flat_map(|request| request.encode(77)).map(without_length).collect(),
        mend: None,
        check: |input| {
            let decoded = Request::decode(input);
            round_trip(
                decoded,
                |(id, request)| request.encode(*id).map(without_length),
                |bytes, value| Request::decode(bytes).as_ref() == Ok(value),
            )
        },
    },
    Decoder {
        name: "bookie-response",
        covers: &["bookie_protocol::Response::decode"],
        seeds: |_| responses().iter().flat_map(Response::encode).map(without_length).collect(),
        mend: None,
        check: |input| {
            let decoded = Response::decode(input);
            round_trip(
                decoded,
                |response| response.encode().map(without_length),
                |bytes, value| Response::decode(bytes).as_ref() == Ok(value),
            )
        },
    },
    Decoder {
        name: "bookie-stream",
        covers: &["bookie_protocol::next_message", "bookie_protocol::message_length"],
        seeds: |_| vec![responses().iter().flat_map(Response::encode).flatten().collect()],
        mend: None,
        check: check_stream,
    },
    Decoder {
        name: "bookie-registration",
        covers: &["bookie_protocol::bookie_endpoints"],
        seeds: |_| vec![registration(), b"bookie.example:3181".to_vec()],
        mend: None,
        check: check_registration,
    },
];

fn ledger_metadata() -> Vec<LedgerMetadata> {
    let bookies = |number: i64| (number..number + 3).map(|port| format!("127.0.0.1:{port}")).collect();
    let open = LedgerMetadata {
        ensemble_size: 3,
        write_quorum: 3,
        ack_quorum: 2,
        state: LedgerState::Open,
        ensembles: [0, 900].map(|first_entry| Ensemble { first_entry, bookies: bookies(first_entry) }).into(),
        security: Some(LedgerSecurity { digest_type: DigestType::Crc32c, password: LedgerPassword::new("secret") }),
        creation_time: Some(1_700_000_000_000),
        custom_metadata: vec![("application".into(), b"Pravega".to_vec()), (String::new(), Vec::new())],
        creation_token: Some(-5),
    };
    let closed = LedgerState::Closed { last_entry: 1000, length: 1 << 33 };
    vec![
        LedgerMetadata { state: LedgerState::InRecovery, security: None, creation_time: None, ..open.clone() },
        LedgerMetadata { state: closed, custom_metadata: Vec::new(), creation_token: None, ..open.clone() },
        open,
    ]
}

/// Bytes of the line before the message.
const METADATA_HEADER: usize = 30;

/// Mends the length before the message, where it takes one or two bytes.
fn mend_metadata(input: &mut [u8]) {
    let Some(message) = input.len().checked_sub(METADATA_HEADER + 2).filter(|length| *length < 1 << 14) else { return };
    input[METADATA_HEADER] = message as u8 | 0x80;
    input[METADATA_HEADER + 1] = (message >> 7) as u8;
}

fn check_metadata(input: &[u8]) -> Outcome {
    let (fields, _) = raw_fields(input);
    assert!(fields.is_sorted_by_key(|field| field.offset), "fields out of order");
    assert!(fields.last().is_none_or(|field| field.offset < input.len() as u64), "a field outside of the data");
    let decoded = LedgerMetadata::decode(input);
    if let Ok(metadata) = &decoded {
        for entry in [i64::MIN, -1, 0, 900, i64::MAX] {
            assert!(metadata.ensemble_of(entry).is_none_or(|ensemble| ensemble.first_entry <= entry));
        }
    }
    round_trip(decoded, LedgerMetadata::encode, |bytes, value| LedgerMetadata::decode(bytes).as_ref() == Ok(value))
}

const MANAGERS: [LedgerManager; 4] = [
    LedgerManager::Hierarchical,
    LedgerManager::LegacyHierarchical,
    LedgerManager::LongHierarchical,
    LedgerManager::Flat,
];

fn layout_seeds() -> Vec<Vec<u8>> {
    let ids = [0, 7, 2_147_483_646, 2_147_483_647, i64::MAX];
    let paths = MANAGERS.iter().flat_map(|manager| ids.iter().filter_map(|id| manager.ledger_path(*id)));
    MANAGERS.iter().map(|manager| manager.layout_text()).chain(paths).map(String::into_bytes).collect()
}

fn check_layout(input: &[u8]) -> Outcome {
    let path = String::from_utf8_lossy(input);
    let mut outcome = round_trip(
        LedgerManager::from_layout_text(input),
        |manager| Ok::<_, ()>(manager.layout_text().into_bytes()),
        |text, manager| LedgerManager::from_layout_text(text).as_ref() == Ok(manager),
    );
    for manager in MANAGERS {
        if let Some(id) = manager.ledger_id(&path) {
            assert_eq!(manager.ledger_path(id).as_deref(), Some(&*path));
            outcome = Outcome::RoundTripped;
        }
    }
    outcome
}

fn password() -> LedgerPassword {
    LedgerPassword::new("password")
}

fn codecs() -> [EntryCodec; 4] {
    DigestType::ALL.map(|digest| EntryCodec::new(digest, &password()))
}

fn entry_seeds() -> Vec<Vec<u8>> {
    let header = EntryHeader { ledger_id: 9, entry_id: 4, last_add_confirmed: 3, length: 70 };
    let payloads: [&[u8]; 3] = [b"", b"payload", &[3; 300]];
    let encode = |codec: &EntryCodec, payload: &[u8]| {
        let mut entry = Vec::new();
        codec.encode(header, payload, &mut entry);
        entry
    };
    codecs().iter().flat_map(|codec| payloads.map(|payload| encode(codec, payload))).collect()
}

/// Gives an entry the right digest of a type by chance.
fn mend_entry(input: &mut Vec<u8>, rng: &mut Rng) {
    let codec = &codecs()[rng.usize(..4)];
    let Ok(header) = entry_header(input) else { return };
    let start = dr_formats::ledger_entry::ENTRY_HEADER_BYTES + codec.digest_type().length();
    let Some(payload) = input.get(start..).map(<[u8]>::to_vec) else { return };
    input.clear();
    codec.encode(header, &payload, input);
}

fn check_entry(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::Refused;
    for codec in codecs() {
        let Ok(entry) = codec.decode(input) else { continue };
        assert_eq!(entry_header(input), Ok(entry.header));
        let mut encoded = Vec::new();
        codec.encode(entry.header, entry.payload, &mut encoded);
        assert_eq!(encoded, input, "an entry has one encoding");
        if codec.digest_type() != DigestType::Dummy {
            outcome = Outcome::RoundTripped;
        }
    }
    let detected = detect_digest_type(input, &password());
    assert_eq!(detected.is_some(), outcome == Outcome::RoundTripped);
    outcome
}

fn requests() -> Vec<Request<'static>> {
    let (ledger_id, entry_id, master_key) = (5, 1 << 40, MasterKey([7; 20]));
    vec![
        Request::Read { ledger_id, entry_id },
        Request::Fence { ledger_id, master_key },
        Request::Add { ledger_id, entry_id, master_key, entry: b"an entry".into(), recovery: true },
        Request::ReadLastAddConfirmed { ledger_id },
        Request::StartTls,
    ]
}

fn responses() -> Vec<Response> {
    let (ledger_id, entry_id) = (5, 6);
    let bodies = [
        ResponseBody::Read { ledger_id, entry_id, entry: Some(vec![1; 40]) },
        ResponseBody::Add { ledger_id, entry_id },
        ResponseBody::ReadLastAddConfirmed { ledger_id, explicit: Some(vec![2; 30]), last_entry: None },
        ResponseBody::StartTls,
        ResponseBody::None,
    ];
    let statuses = [Status::Ok, Status::Fenced, Status::NoEntry, Status::Ok, Status::Other(-9)];
    (1..)
        .zip(statuses)
        .zip(bodies)
        .map(|((transaction_id, status), body)| Response { transaction_id, status, body })
        .collect()
}

fn without_length(message: Vec<u8>) -> Vec<u8> {
    message.get(4..).unwrap_or_default().to_vec()
}

fn check_stream(input: &[u8]) -> Outcome {
    let mut rest = input;
    let mut outcome = Outcome::Refused;
    while let Ok(Some((message, taken))) = next_message(rest) {
        assert!(taken == message.len() + 4 && taken <= rest.len());
        assert_eq!(rest.first_chunk().map(|length| message_length(*length)), Some(Ok(message.len())));
        rest = &rest[taken..];
        outcome = Outcome::Accepted;
    }
    outcome
}

/// `BookieServiceInfoFormat` with one endpoint, as bookies write it.
fn registration() -> Vec<u8> {
    let endpoint = b"\x0a\x06bookie\x10\xed\x18\x1a\x09127.0.0.1\x22\x0abookie-rpc";
    [&[0x32, endpoint.len() as u8], &endpoint[..]].concat()
}

fn check_registration(input: &[u8]) -> Outcome {
    // Without content the id is what is parsed.
    let by_id = bookie_endpoints(&String::from_utf8_lossy(input), &[]);
    let by_content = bookie_endpoints("bookie", input);
    assert!(by_content.as_ref().map_or(true, |endpoints| !endpoints.is_empty()));
    if by_id.is_ok() || by_content.is_ok() { Outcome::Accepted } else { Outcome::Refused }
}
