//! Transaction segments whose content a crash left in two places: their own objects, and the end of another segment.
//!
//! The store merges a small transaction by copying it behind the last byte of its parent and records that later. A crash
//! in between leaves a parent that is longer than its record, which is right, and a transaction that still looks open.
//! Merged once more it would be there twice. What the copy did not finish must give way to the whole transaction.
//!
//! A transaction that is not copied lends its object to the parent, and the next ones are copied behind it there. As long
//! as no record tells of that, the object looks like that of a transaction, with the content of others at its end.

use std::collections::HashMap;

use dr_backends::tier2::Tier2;

use crate::chain::Chain;
use crate::error::Result;

/// Bytes of a parent that are held at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of an event before its content.
const HEADER_BYTES: usize = 8;

/// Bytes of content by which candidates are found; then all bytes are compared.
const SAMPLE_BYTES: usize = 16;

/// Length of an event's content, and how it begins.
type Sample = (usize, Vec<u8>);

/// What a segment holds of transactions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// For each transaction in order: where its whole content stands.
    pub whole: Vec<Option<u64>>,
    /// Where a copy begins that the end of the segment cuts off, and of which transaction it is. At least one event of it
    /// is whole.
    pub begun: Option<(usize, u64)>,
}

/// A search for the content of transactions.
pub struct Search<'a> {
    transactions: Vec<&'a Chain>,
    by_sample: HashMap<Sample, Vec<usize>>,
    tier2: &'a dyn Tier2,
}

impl<'a> Search<'a> {
    /// A search for these transactions, given by what their objects hold.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn new(transactions: Vec<&'a Chain>, tier2: &'a dyn Tier2) -> Result<Self> {
        let mut by_sample: HashMap<Sample, Vec<usize>> = HashMap::new();
        for (index, transaction) in transactions.iter().enumerate() {
            let mut window = Window::new(transaction, tier2);
            if let Some(sample) = window.sample(transaction.first_start)? {
                by_sample.entry(sample).or_default().push(index);
            }
        }
        Ok(Self { transactions, by_sample, tier2 })
    }

    /// Finds their copies in a segment, at the boundaries of its events from `start` on. `from` gives the first offset at
    /// which a copy of a transaction can be; none for one that is not looked for.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn copies_in(&self, segment: &Chain, start: u64, from: impl Fn(usize) -> Option<u64>) -> Result<Copies> {
        let mut copies = Copies { whole: vec![None; self.transactions.len()], begun: None };
        let mut window = Window::new(segment, self.tier2);
        let mut position = start;
        while let Some(sample) = window.sample(position)? {
            let length = (HEADER_BYTES + sample.0) as u64;
            let mut step = length;
            for &index in self.by_sample.get(&sample).into_iter().flatten() {
                if copies.whole[index].is_some() || from(index).is_none_or(|from| position < from) {
                    continue;
                }
                let transaction = self.transactions[index];
                let size = transaction.end() - transaction.first_start;
                let common = size.min(segment.end() - position);
                if !is_equal(segment, position, transaction, common, self.tier2)? {
                    continue;
                }
                if common == size {
                    copies.whole[index] = Some(position);
                    step = size;
                    break;
                }
                if common >= length {
                    copies.begun.get_or_insert((index, position));
                }
            }
            position += step;
        }
        Ok(copies)
    }
}

/// True if `length` bytes of `parent` from `position` on are the first ones of `child`.
fn is_equal(parent: &Chain, position: u64, child: &Chain, length: u64, tier2: &dyn Tier2) -> Result<bool> {
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(BLOCK_BYTES as u64);
        let theirs = child.read_range(tier2, child.first_start + done, child.first_start + done + piece)?;
        if parent.read_range(tier2, position + done, position + done + piece)? != theirs {
            return Ok(false);
        }
        done += piece;
    }
    Ok(true)
}

/// Reads a chain forwards, a block at a time.
struct Window<'a> {
    chain: &'a Chain,
    tier2: &'a dyn Tier2,
    offset: u64,
    block: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(chain: &'a Chain, tier2: &'a dyn Tier2) -> Self {
        Self { chain, tier2, offset: 0, block: Vec::new() }
    }

    /// The event at `position`; none at the end, and where no event can begin.
    fn sample(&mut self, position: u64) -> Result<Option<Sample>> {
        let wanted = (self.chain.end().saturating_sub(position)).min((HEADER_BYTES + SAMPLE_BYTES) as u64);
        let held = self.offset..self.offset + self.block.len() as u64;
        if !(held.contains(&position) && position + wanted <= held.end) {
            let end = self.chain.end().min(position + BLOCK_BYTES as u64);
            self.block = if position < end { self.chain.read_range(self.tier2, position, end)? } else { Vec::new() };
            self.offset = position;
        }
        let bytes =
            usize::try_from(position - self.offset).ok().and_then(|at| self.block.get(at..)).unwrap_or_default();
        let Some(([0, 0, 0, 0, length @ ..], content)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Ok(None) };
        Ok(Some((length, content[..content.len().min(SAMPLE_BYTES).min(length)].to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dr_backends::tier2::MemoryTier2;

    use super::*;
    use crate::chain::ChunkPart;

    fn event(content: &[u8]) -> Vec<u8> {
        let length = i32::try_from(content.len()).unwrap().to_be_bytes();
        [&[0; 4][..], &length, content].concat()
    }

    fn events(contents: &[&[u8]]) -> Vec<u8> {
        contents.iter().flat_map(|content| event(content)).collect()
    }

    /// Puts each content into an object of its own and returns the chains.
    fn chains(contents: &[Vec<u8>]) -> (Arc<MemoryTier2>, Vec<Chain>) {
        let tier2 = Arc::new(MemoryTier2::new());
        let chain = |(index, bytes): (usize, &Vec<u8>)| {
            let key = format!("o{index}");
            tier2.create(&key, bytes).unwrap();
            Chain { first_start: 0, parts: vec![ChunkPart { key: key.into(), length: bytes.len() as u64 }] }
        };
        let chains = contents.iter().enumerate().map(chain).collect();
        (tier2, chains)
    }

    fn find(parent: Vec<u8>, recorded: u64, transactions: &[Vec<u8>]) -> Copies {
        let (tier2, chains) = chains(&[&[parent][..], transactions].concat());
        let search = Search::new(chains[1..].iter().collect(), tier2.as_ref()).unwrap();
        search.copies_in(&chains[0], 0, |_| Some(recorded)).unwrap()
    }

    #[test]
    fn each_copy_stands_for_one_transaction() {
        let (a, b) = (events(&[b"one", b"two"]), events(&[b"three"]));
        let parent = [events(&[b"before"]), a.clone(), b.clone()].concat();
        let at_a = events(&[b"before"]).len() as u64;
        let at_b = at_a + a.len() as u64;
        let copies = find(parent.clone(), 0, &[b.clone(), a.clone(), a.clone()]);
        assert_eq!(copies, Copies { whole: vec![Some(at_b), Some(at_a), None], begun: None });
        // What the record counts was there before.
        assert_eq!(find(parent, at_a + 1, &[a, b]).whole, [None, Some(at_b)]);
    }

    #[test]
    fn a_copy_that_the_end_cuts_off_is_told_from_none() {
        let transaction = events(&[b"one", b"two", b"three"]);
        let before = events(&[b"before"]);
        let cut_at =
            |bytes: usize| find([&before[..], &transaction[..bytes]].concat(), 0, std::slice::from_ref(&transaction));
        assert_eq!(cut_at(transaction.len() - 1).begun, Some((0, before.len() as u64)));
        assert_eq!(cut_at(event(b"one").len()).begun, Some((0, before.len() as u64)));
        // Less than an event is cut off anyway.
        assert_eq!(cut_at(event(b"one").len() - 1).begun, None);
        assert_eq!(cut_at(0), Copies { whole: vec![None], begun: None });
    }

    #[test]
    fn other_content_is_no_copy() {
        let parent = events(&[b"a long event with the same beginning", b"a"]);
        let transaction = events(&[b"a long event with the same be ginning"]);
        assert_eq!(find(parent, 0, &[transaction, Vec::new(), b"no events at all".to_vec()]).whole, [None, None, None]);
    }
}
