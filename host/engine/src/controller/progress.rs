//! What the table `metadata` of a stream says of what is being done with the stream.

use dr_formats::DecodeError;
use dr_formats::controller::{
    self, COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, CommittingTransactions, EPOCH_TRANSITION_KEY,
    EpochTransition, STATE_KEY, StreamConfiguration, TRUNCATION_KEY, TransactionId, Truncation, WAITING_PROCESSOR_KEY,
};

/// What is being done with a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamProgress {
    /// Its state; none if there is no such row, or if it is no stream.
    pub(crate) state: Option<controller::StreamState>,
    /// Its configuration is being changed.
    pub(crate) is_updating: bool,
    /// It is being truncated.
    pub(crate) is_truncating: bool,
    /// The scale under way.
    pub(crate) transition: Option<EpochTransition>,
    /// The transactions of a commit under way.
    pub(crate) committing: Vec<TransactionId>,
    /// The only handler whose requests are processed.
    pub(crate) waiting_processor: Option<String>,
    /// Keys of rows that cannot be read.
    pub(crate) unreadable: Vec<String>,
}

impl StreamProgress {
    /// The rows that tell of it.
    pub(crate) const KEYS: [&str; 6] = [
        STATE_KEY,
        CONFIGURATION_KEY,
        TRUNCATION_KEY,
        EPOCH_TRANSITION_KEY,
        COMMITTING_TRANSACTIONS_KEY,
        WAITING_PROCESSOR_KEY,
    ];

    /// By the newest rows of the table; what a key-value table says in a table of this name, with states of its own, is not told.
    pub(crate) fn of<'a>(row: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let mut progress = Self::default();
        if [TRUNCATION_KEY, EPOCH_TRANSITION_KEY].iter().all(|key| row(key).is_none()) {
            return progress;
        }
        progress.state = progress.decode(&row, STATE_KEY, controller::StreamState::decode);
        progress.is_updating = progress
            .decode(&row, CONFIGURATION_KEY, StreamConfiguration::decode)
            .is_some_and(|configuration| configuration.updating);
        progress.is_truncating =
            progress.decode(&row, TRUNCATION_KEY, Truncation::decode).is_some_and(|truncation| truncation.is_under_way);
        progress.transition = progress.decode(&row, EPOCH_TRANSITION_KEY, EpochTransition::decode).flatten();
        let committing = progress.decode(&row, COMMITTING_TRANSACTIONS_KEY, CommittingTransactions::decode);
        progress.committing = committing.unwrap_or_default().transactions;
        progress.waiting_processor = row(WAITING_PROCESSOR_KEY).map(|name| String::from_utf8_lossy(name).into_owned());
        progress
    }

    /// Nothing is being done with it.
    pub(crate) fn is_at_rest(&self) -> bool {
        use controller::StreamState::{Active, Sealed};
        let rest = Self { state: self.state, ..Self::default() };
        *self == rest && matches!(self.state, None | Some(Active | Sealed))
    }

    fn decode<'a, T>(
        &mut self,
        row: impl Fn(&str) -> Option<&'a [u8]>,
        key: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Option<T> {
        let decoded = decode(row(key)?).ok();
        if decoded.is_none() {
            self.unreadable.push(key.to_owned());
        }
        decoded
    }
}
