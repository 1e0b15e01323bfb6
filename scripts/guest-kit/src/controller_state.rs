//! Steps that bring back what controllers kept in ZooKeeper. Procedures for several scenarios take them, in `finish`.

use crate::bindings::pravega::recovery::controller::{
    PendingWork, StreamState, TransactionCounter, highest_transaction_counter,
};
use crate::bindings::pravega::recovery::coordination;
use crate::{Error, Result, pending_work, report, streams};

/// Makes sure that no transaction id is ever issued twice.
///
/// # Errors
/// `conflict` if the counter stands at its end; whatever the host answers.
pub fn raise_transaction_counter() -> Result<()> {
    const COUNTER: &str = "counter";
    let safe = safe_counter(highest_transaction_counter()?)?;
    match coordination::get(COUNTER)? {
        None => coordination::create(COUNTER, &encode_counter(safe)),
        Some(node) if counter_is_below(&node.data, safe) => {
            coordination::set(COUNTER, &encode_counter(safe), node.version)
        }
        Some(_) => Ok(()),
    }
}

/// The controller finds the streams that it truncates by ZNodes, which it never writes again by itself. Their content
/// means nothing.
///
/// # Errors
/// Whatever the host answers.
pub fn put_streams_under_retention() -> Result<()> {
    for stream in streams()? {
        let stream = stream?;
        if needs_retention_node(&stream) && coordination::get(&stream.retention_znode)?.is_none() {
            coordination::create(&stream.retention_znode, &[])?;
        }
    }
    Ok(())
}

/// Creates the ZNodes by which a controller that starts takes over what others had under way. Those that are there are left as
/// they are. What no ZNode helps with is told to the operator.
///
/// # Errors
/// Whatever the host answers.
pub fn hand_over_pending_work() -> Result<()> {
    for work in pending_work()? {
        let PendingWork { subject, reason, znode, .. } = work?;
        let Some(znode) = znode else {
            report::warning(&format!("{subject}: {reason}"));
            report::decision(None, &subject, "left to the operator", &reason);
            continue;
        };
        if coordination::get(&znode.path)?.is_some() {
            continue;
        }
        coordination::create(&znode.path, &znode.data)?;
        report::decision(None, &subject, "handed over to the next controller", &reason);
    }
    Ok(())
}

/// A counter value above every transaction id that can ever have been issued: the upper half grows by one, because ids
/// above the highest one found may have been issued, used and forgotten.
fn safe_counter(highest: Option<TransactionCounter>) -> Result<TransactionCounter> {
    let high = highest.map_or(0, |counter| counter.high);
    let exhausted =
        || Error::Conflict(format!("the transaction counter stands at its end, {high}; it cannot be raised"));
    Ok(TransactionCounter { high: high.checked_add(1).ok_or_else(exhausted)?, low: 0 })
}

/// The counter as its ZNode holds it.
fn encode_counter(counter: TransactionCounter) -> Vec<u8> {
    [&counter.high.to_be_bytes()[..], &counter.low.to_be_bytes()[..]].concat()
}

/// Whether a counter ZNode has to be raised. One that no controller could read has to be replaced.
fn counter_is_below(data: &[u8], safe: TransactionCounter) -> bool {
    let Some((high, low)) = data.split_first_chunk::<4>() else { return true };
    let Ok(low) = <[u8; 8]>::try_from(low) else { return true };
    (i32::from_be_bytes(*high), i64::from_be_bytes(low)) < (safe.high, safe.low)
}

/// Whether the controller has to find a stream for retention.
fn needs_retention_node(stream: &StreamState) -> bool {
    stream.retention.is_some() && !matches!(stream.state.as_str(), "creating" | "sealed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Retention;

    #[test]
    fn the_counter_only_rises() {
        let counter = |high, low| TransactionCounter { high, low };
        assert_eq!(encode_counter(safe_counter(None).unwrap()), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(safe_counter(Some(counter(4, 77))).unwrap(), counter(5, 0));
        assert!(safe_counter(Some(counter(i32::MAX, 0))).is_err());
        assert!(counter_is_below(&encode_counter(counter(4, i64::MAX)), counter(5, 0)));
        assert!(!counter_is_below(&encode_counter(counter(5, 0)), counter(5, 0)));
        assert!(!counter_is_below(&encode_counter(counter(5, 10_000)), counter(5, 0)));
        assert!(counter_is_below(b"garbage", counter(5, 0)));
    }

    #[test]
    fn retention_is_for_streams_that_live() {
        let stream = |state: &str, limit: Option<i64>| StreamState {
            scope: "s".into(),
            name: "n".into(),
            state: state.into(),
            retention: limit.map(|limit| Retention { kind: "time".into(), limit }),
            retention_znode: "buckets/0/x".into(),
        };
        assert!(needs_retention_node(&stream("active", Some(1))));
        assert!(needs_retention_node(&stream("something-new", Some(1))));
        assert!(!needs_retention_node(&stream("active", None)));
        assert!(!needs_retention_node(&stream("sealed", Some(1))));
        assert!(!needs_retention_node(&stream("creating", Some(1))));
    }
}
