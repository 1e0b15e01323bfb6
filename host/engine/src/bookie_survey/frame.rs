//! What the payload of an entry says as a frame of a log.

use dr_formats::DecodeError;
use dr_formats::data_frame::FrameParts;
use dr_formats::operation::OperationHead;

use super::FrameSummary;

/// Summarises a payload; none if it is no frame.
pub(crate) fn summarise(payload: &[u8]) -> Option<FrameSummary> {
    read(payload).ok()
}

fn read(payload: &[u8]) -> Result<FrameSummary, DecodeError> {
    let mut summary = FrameSummary::default();
    let mut first = true;
    for part in FrameParts::new(payload)? {
        let part = part?;
        summary.begins_inside_record |= first && !part.begins_record;
        first = false;
        summary.ends_inside_record = !part.ends_record;
        if !part.begins_record {
            continue;
        }
        summary.records_begun += 1;
        if !part.ends_record && part.bytes.len() < OperationHead::MIN_BYTES {
            summary.unnumbered_records += 1;
        } else {
            // A record that is no operation makes it a frame of something else.
            summary.learn(OperationHead::decode(part.bytes)?);
        }
    }
    Ok(summary)
}

impl FrameSummary {
    fn learn(&mut self, head: OperationHead) {
        self.first_sequence_number.get_or_insert(head.sequence_number);
        self.last_sequence_number = Some(head.sequence_number);
        self.metadata_checkpoints += u32::from(head.metadata_checkpoint);
        if let Some(container) = head.container_id
            && let Err(place) = self.container_ids.binary_search(&container)
        {
            self.container_ids.insert(place, container);
        }
    }
}
