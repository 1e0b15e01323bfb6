//! What became of the transactions of a container: which are merged already, which still have to be.

use std::collections::BTreeMap;

use dr_backends::tier2::Tier2;
use dr_formats::names::{parent_segment_of, transaction_id};

use super::ContainerEvidence;
use crate::chain::Chain;
use crate::committed::{Committed, Fate, Fates, Open, merged_into};
use crate::content::measure_events;
use crate::error::Result;
use crate::merged::Search;
use crate::reconcile::{Reconciled, Standing};

/// Finding of a transaction whose content the recovery makes part of its parent.
pub(crate) const MERGED_BY_RECOVERY: &str = "merged-by-recovery";

/// A segment by its name.
type Named<'a> = (&'a str, &'a Reconciled);

/// What a segment was found to hold of the transactions of a stream segment.
struct Holding {
    segment: String,
    merged: Vec<String>,
    /// Where a copy begins that the end of the segment cuts off, and of which transaction it is.
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

    /// Finds transactions that another segment holds already: see [`crate::merged`]. Those are over; a copy that was not
    /// finished gives way.
    pub(super) fn settle_transactions(&mut self, tier2: &dyn Tier2) -> Result<()> {
        let mut holdings = Vec::new();
        for (parent, transactions) in self.transactions_by_parent() {
            holdings.extend(self.holdings(parent, &transactions, tier2)?);
        }
        self.committed = self.committed_by_metadata();
        for Holding { segment, merged, begun } in holdings {
            // Only what is part of the parent has others copied behind it.
            self.committed.extend(merged.iter().chain([&segment]).filter_map(|name| transaction_id(name)));
            for name in merged {
                self.end_transaction(&name, "merged-already");
            }
            if let (Some((transaction, end)), Some(holder)) = (begun, self.segments.get_mut(&*segment)) {
                holder.chain = holder.chain.cut(end);
                holder.findings.push("merge-begun");
                self.committed.extend(transaction_id(&transaction));
            }
        }
        Ok(())
    }

    /// What a stream segment and its transactions hold of these transactions.
    fn holdings(&self, parent: Named<'_>, transactions: &[Named<'_>], tier2: &dyn Tier2) -> Result<Vec<Holding>> {
        let has_unrecorded_bytes = |(name, segment): &Named<'_>| self.recorded_end(name) < segment.held().0.end();
        let is_old = |(_, transaction): &Named<'_>| transaction.standing == Standing::Unrecorded;
        let mut holders: Vec<Named<'_>> = transactions.iter().copied().filter(has_unrecorded_bytes).collect();
        if has_unrecorded_bytes(&parent) || transactions.iter().any(is_old) {
            holders.insert(0, parent);
        }
        if holders.is_empty() {
            return Ok(Vec::new());
        }
        let chains = transactions.iter().map(|(_, transaction)| &transaction.chain).collect();
        let search = Search::new(chains, tier2)?;
        let mut is_found = vec![false; transactions.len()];
        let mut holdings = Vec::new();
        for holder in holders {
            let (name, segment) = holder;
            if transactions.iter().zip(&is_found).any(|((other, _), found)| *found && *other == name) {
                continue;
            }
            let from = |index: usize| {
                let (other, transaction) = transactions[index];
                let is_searched = !is_found[index] && other != name;
                is_searched.then(|| self.first_copy_offset(name, parent.0, transaction))
            };
            let (chain, start) = segment.held();
            let copies = search.copies_in(chain, start, from)?;
            let merged = transactions.iter().zip(&copies.whole).filter(|(_, copy)| copy.is_some());
            let merged: Vec<String> = merged.map(|((name, _), _)| (*name).to_owned()).collect();
            let begun = copies.begun.filter(|&(index, _)| is_surely_outside(parent.1, transactions[index].1));
            let begun = begun.map(|(index, offset)| (transactions[index].0.to_owned(), offset));
            is_found.iter_mut().zip(&copies.whole).for_each(|(found, copy)| *found |= copy.is_some());
            if !merged.is_empty() || begun.is_some() {
                holdings.push(Holding { segment: name.to_owned(), merged, begun });
            }
        }
        Ok(holdings)
    }

    /// The first offset of a segment at which a copy of a transaction can be.
    fn first_copy_offset(&self, holder: &str, parent: &str, transaction: &Reconciled) -> u64 {
        if holder != parent {
            // Behind its own content, of which there is a byte at least.
            return self.recorded_end(holder).max(1);
        }
        match transaction.standing {
            // Leftovers of a merge that was recorded long ago can be anywhere.
            Standing::Unrecorded => 0,
            _ => self.recorded_end(holder),
        }
    }

    /// How far the storage had recorded a segment.
    fn recorded_end(&self, name: &str) -> u64 {
        self.tables.records.get(name).map_or(0, |record| record.length)
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
                None => committed.extend(merged_into(name, segment.held().0.parts.iter().map(|part| &*part.key))),
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
        for (parent, mut chain, merged) in completed {
            let mut linked = Vec::new();
            // What the store wrote behind a transaction that lent its object has the parent's name again.
            self.facts(&parent).link_contiguous(&mut chain, &mut linked);
            if let Some(parent) = self.segments.get_mut(&*parent) {
                parent.chain = chain;
                parent.findings.push("merge-completed");
                parent.findings.extend(linked);
            }
            merged.iter().for_each(|name| self.end_transaction(name, MERGED_BY_RECOVERY));
        }
        aborted.iter().for_each(|name| self.end_transaction(name, "aborted-already"));
        Ok(())
    }

    fn end_transaction(&mut self, name: &str, finding: &'static str) {
        if let Some(transaction) = self.segments.get_mut(name) {
            transaction.standing = Standing::Deleted;
            transaction.is_open = false;
            transaction.findings.push(finding);
        }
    }

    /// Transactions with content whose end is not known, by name and reconciled state of their parents.
    fn transactions_by_parent(&self) -> Vec<(Named<'_>, Vec<Named<'_>>)> {
        let mut by_parent: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
        for (name, segment) in &self.segments {
            let parent = transaction_id(name).and_then(|_| parent_segment_of(name));
            if let Some(parent) = parent.filter(|_| segment.is_open && segment.chain.end() > 0) {
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
    transaction.standing != Standing::Unrecorded || parent.start_offset == 0
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
