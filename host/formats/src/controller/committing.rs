//! The row `committingTxns` of a stream: the commit under way.

use super::TransactionId;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

const COMMITTING: &str = "transactions being committed";

/// Stands for no epoch (`Integer.MIN_VALUE`).
const NO_EPOCH: i32 = i32::MIN;

/// The transactions that a controller is committing (`CommittingTransactionsRecord`); [none](Self::default) if there is no commit under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittingTransactions {
    /// The epoch in which they were begun; the smallest number if there is no commit under way.
    pub epoch: i32,
    /// Their ids, in the order of their commits.
    pub transactions: Vec<TransactionId>,
    /// The present epoch, if that is another one: the controller makes two new epochs for such a commit.
    pub rolled_epoch: Option<i32>,
}

impl Default for CommittingTransactions {
    fn default() -> Self {
        Self { epoch: NO_EPOCH, transactions: Vec::new(), rolled_epoch: None }
    }
}

impl CommittingTransactions {
    /// Decodes the row.
    ///
    /// # Errors
    /// If the bytes do not follow the format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(COMMITTING, bytes);
        let committing = reader.read_single(COMMITTING, |body| {
            Ok(Self {
                epoch: body.i32()?,
                transactions: body.list(16, |body| body.uuid().map(TransactionId))?,
                rolled_epoch: Some(body.i32()?).filter(|epoch| *epoch != NO_EPOCH),
            })
        })?;
        reader.expect_end()?;
        Ok(committing)
    }

    /// Encodes the row.
    ///
    /// # Errors
    /// If the list is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.i32(self.epoch);
            body.list(&self.transactions, |body, id| body.uuid(id.0));
            body.i32(self.rolled_epoch.unwrap_or(NO_EPOCH));
        });
        writer.finish()
    }
}
