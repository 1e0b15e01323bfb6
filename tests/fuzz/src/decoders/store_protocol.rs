//! Answers of segment stores.

use dr_formats::primitives::Writer;
use dr_formats::store_protocol::{MESSAGE_HEADER_BYTES, MESSAGE_MAX_BYTES, StoreReply};

use crate::decoder::{Decoder, Outcome};

pub(super) const DECODERS: &[Decoder] = &[Decoder {
    name: "store-reply",
    covers: &["store_protocol::StoreReply::fields_length", "store_protocol::StoreReply::decode"],
    seeds: |_| seeds(),
    mend: None,
    check,
}];

fn check(input: &[u8]) -> Outcome {
    let Some((header, fields)) = input.split_first_chunk::<MESSAGE_HEADER_BYTES>() else { return Outcome::Refused };
    // What a caller reads next has a limit, whatever the header says.
    assert!(StoreReply::fields_length(*header).map_or(true, |length| length <= MESSAGE_MAX_BYTES));
    match StoreReply::decode(*header, fields) {
        Ok(reply) => {
            assert!(!matches!(reply, StoreReply::Read { bytes, .. } if bytes.len() > fields.len()));
            Outcome::Accepted
        }
        Err(_) => Outcome::Refused,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let message = |number: i32, write: &dyn Fn(&mut Writer)| {
        let mut fields = Writer::new();
        write(&mut fields);
        let fields = fields.finish().unwrap_or_default();
        let mut message = Writer::new();
        message.i32(number);
        message.i32(i32::try_from(fields.len()).unwrap_or(i32::MAX));
        message.bytes(&fields);
        message.finish().unwrap_or_default()
    };
    let info = message(12, &|writer| {
        writer.i64(7);
        writer.utf("scope/stream/0.#epoch.0");
        [true, true, false].into_iter().for_each(|flag| writer.bool(flag));
        [1_700_000_000_000, 100, 10, 99].into_iter().for_each(|number| writer.i64(number));
    });
    let read = message(10, &|writer| {
        writer.utf("scope/stream/0.#epoch.0");
        writer.i64(5);
        [false, true].into_iter().for_each(|flag| writer.bool(flag));
        writer.u32(3);
        writer.bytes(b"xyz");
        writer.i64(8);
    });
    let others = [-127, 50, 53, 56, 60, 100].map(|number| message(number, &|writer| writer.i64(7)));
    [info, read].into_iter().chain(others).collect()
}
