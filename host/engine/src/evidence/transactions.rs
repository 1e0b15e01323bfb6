//! What became of the transactions of a container: which are merged already, which still have to be.

use std::collections::BTreeMap;

use dr_backends::tier2::Tier2;
use dr_formats::names::{parent_segment_of, transaction_id};

use super::ContainerEvidence;
use crate::chain::Chain;
use crate::committed::{Committed, Fate, Fates, Open, merged_into};
use crate::content::measure_events;
use crate::error::Result;
use crate::merged::{Candidate, find_copies};
use crate::reconcile::{Reconciled, Standing};

/// Finding of a transaction whose content the recovery makes part of its parent.
pub(crate) const MERGED_BY_RECOVERY: &str = "merged-by-recovery";

/// A segment by its name.
type Named<'a> = (&'a str, &'a Reconciled);

/// What the parent of some transactions holds of them.
struct Settled {
    parent: String,
    merged: Vec<String>,
    /// Where a copy begins that the end of the parent cuts off, and of which transaction it is.
    begun: Option<(String, u64)>,
}

impl ContainerEvidence {
    /// Transactions that were committed by the word of this container alone.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Transactions with content whose end is not known yet.
    pub fn open_transactions(&self) -> Open {
        let transactions = self.transactions_by_parent().into_iter().flat_map(|(_, transactions)| transactions);
        Open::of_segments(transactions.map(|(name, _)| name))
    }

    /// Finds transactions that their parents hold already: see [`crate::merged`]. Those are over; a copy that was not
    /// finished gives way.
    pub(super) fn settle_transactions(&mut self, tier2: &dyn Tier2) -> Result<()> {
        let mut settled = Vec::new();
        for (parent, transactions) in self.transactions_by_parent() {
            settled.extend(self.settle(parent, &transactions, tier2)?);
        }
        self.committed = self.committed_by_metadata();
        for Settled { parent, merged, begun } in settled {
            self.committed.extend(merged.iter().filter_map(|name| transaction_id(name)));
            for name in merged {
                self.end_transaction(&name, "merged-already");
            }
            if let (Some((transaction, end)), Some(parent)) = (begun, self.segments.get_mut(&*parent)) {
                parent.chain = parent.chain.cut(end);
                parent.findings.push("merge-begun");
                self.committed.extend(transaction_id(&transaction));
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        (name, parent): Named<'_>,
        transactions: &[Named<'_>],
        tier2: &dyn Tier2,
    ) -> Result<Option<Settled>> {
        let recorded_end = self.tables.records.get(name).map_or(parent.start_offset, |record| record.length);
        let from = |(_, transaction): &Named<'_>| match transaction.standing {
            // Leftovers of a merge that was recorded long ago can be anywhere.
            Standing::Unrecorded => parent.start_offset,
            _ => recorded_end,
        };
        let from: Vec<u64> = transactions.iter().map(from).collect();
        if from.iter().all(|&from| from >= parent.chain.end()) {
            return Ok(None);
        }
        let chains = transactions.iter().map(|(_, transaction)| &transaction.chain);
        let candidates: Vec<_> = chains.zip(from).map(|(chain, from)| Candidate { chain, from }).collect();
        let copies = find_copies(&parent.chain, parent.start_offset, &candidates, tier2)?;
        let merged = transactions.iter().zip(&copies.whole).filter(|(_, copy)| copy.is_some());
        let merged = merged.map(|((name, _), _)| (*name).to_owned()).collect();
        let begun = copies.begun.filter(|&(index, _)| transactions[index].1.standing == Standing::Live);
        let begun = begun.map(|(index, offset)| (transactions[index].0.to_owned(), offset));
        Ok(Some(Settled { parent: name.to_owned(), merged, begun }))
    }

    /// A commit seals each segment of a transaction before it merges it, an abort does not.
    fn committed_by_metadata(&self) -> Committed {
        let mut committed = Committed::new();
        for (name, segment) in &self.segments {
            match transaction_id(name) {
                Some(id) if segment.sealed => {
                    committed.insert(id);
                }
                Some(_) => {}
                None => committed.extend(merged_into(name, segment.chain.parts.iter().map(|part| &*part.key))),
            }
        }
        committed
    }

    /// Ends the transactions whose fate is known: what was committed becomes part of its parent.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn end_transactions(&mut self, fates: &Fates, tier2: &dyn Tier2) -> Result<()> {
        let mut completed = Vec::new();
        let mut aborted = Vec::new();
        for ((parent_name, parent), transactions) in self.transactions_by_parent() {
            let mut chain = Chain::default();
            let mut merged = Vec::new();
            for (name, transaction) in in_order_of_their_ids(transactions) {
                match transaction_id(name).and_then(|id| fates.get(&id)) {
                    Some(Fate::Committed) if is_surely_outside(parent, transaction) => {
                        if merged.is_empty() {
                            chain = whole(&parent.chain, parent.start_offset, tier2)?;
                        }
                        chain.parts.extend(whole(&transaction.chain, transaction.start_offset, tier2)?.parts);
                        merged.push(name.to_owned());
                    }
                    Some(Fate::Aborted) => aborted.push(name.to_owned()),
                    _ => {}
                }
            }
            if !merged.is_empty() {
                completed.push((parent_name.to_owned(), chain, merged));
            }
        }
        for (parent, chain, merged) in completed {
            if let Some(parent) = self.segments.get_mut(&*parent) {
                parent.chain = chain;
                parent.findings.push("merge-completed");
            }
            merged.iter().for_each(|name| self.end_transaction(name, MERGED_BY_RECOVERY));
        }
        aborted.iter().for_each(|name| self.end_transaction(name, "aborted-already"));
        Ok(())
    }

    fn end_transaction(&mut self, name: &str, finding: &'static str) {
        if let Some(transaction) = self.segments.get_mut(name) {
            transaction.standing = Standing::Deleted;
            transaction.findings.push(finding);
        }
    }

    /// Transactions with content whose end is not known, by name and reconciled state of their parents.
    fn transactions_by_parent(&self) -> Vec<(Named<'_>, Vec<Named<'_>>)> {
        let mut by_parent: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
        for (name, segment) in &self.segments {
            let parent = transaction_id(name).and_then(|_| parent_segment_of(name));
            if let Some(parent) = parent.filter(|_| segment.standing != Standing::Deleted && segment.chain.end() > 0) {
                by_parent.entry(parent).or_default().push((name, segment));
            }
        }
        let known = by_parent.into_iter().filter_map(|(name, transactions)| {
            let (name, parent) = self.segments.get_key_value(name)?;
            (parent.standing == Standing::Live).then_some(((&**name, parent), transactions))
        });
        known.collect()
    }
}

/// What no metadata names could be a leftover of a merge long ago, whose copy was truncated since.
fn is_surely_outside(parent: &Reconciled, transaction: &Reconciled) -> bool {
    transaction.standing == Standing::Live || parent.start_offset == 0
}

/// The order in which the controller gave out the ids is the closest to that of the commits.
fn in_order_of_their_ids(mut transactions: Vec<Named<'_>>) -> Vec<Named<'_>> {
    transactions.sort_by_key(|(name, _)| transaction_id(name).map(|id| id.counter()));
    transactions
}

/// A chain up to its last whole event: what is appended to half an event could not be read.
fn whole(chain: &Chain, start_offset: u64, tier2: &dyn Tier2) -> Result<Chain> {
    Ok(chain.cut(measure_events(chain, start_offset, tier2)?.whole_length))
}
