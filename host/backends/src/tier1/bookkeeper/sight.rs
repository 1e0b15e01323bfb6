//! Looking at real bookies: each copy is asked for by itself, without fencing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use dr_formats::bookie_protocol::{Request, Response, ResponseBody, Status};
use dr_formats::ledger_entry::EntryCodec;
use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState};

use super::super::Tier1Error;
use super::super::ledger_nodes::container_named_in;
use super::super::sight::{BookieSight, BookieSights, CopySight, LedgerSight, LedgerSights, Registration, Stretch};
use super::BookKeeper;

/// An id that no ledger has: whoever answers at all answers that there is none.
const NO_LEDGER: i64 = i64::MAX;
/// Bookies that are asked at the same time whether they answer.
const ASKED_AT_ONCE: usize = 32;

impl LedgerSights for BookKeeper {
    fn bookies(&self) -> Result<Option<BookieSights>, Tier1Error> {
        if !self.nodes.root_exists()? {
            return Ok(Some(BookieSights::default()));
        }
        let mut registrations: BTreeMap<String, Registration> = BTreeMap::new();
        let cookies = self.nodes.cookies()?;
        registrations.extend(cookies.iter().map(|id| (id.clone(), Registration::None)));
        registrations.extend(self.bookies.read_only()?.into_iter().map(|id| (id, Registration::ReadOnly)));
        let writable = match self.bookies.writable() {
            Err(Tier1Error::Layout { .. }) => Vec::new(),
            writable => writable?,
        };
        registrations.extend(writable.into_iter().map(|id| (id, Registration::Writable)));
        let sight = |(id, registration): (String, Registration)| BookieSight {
            silent: None,
            has_cookie: cookies.binary_search(&id).is_ok(),
            id,
            registration,
        };
        let mut bookies: Vec<BookieSight> = registrations.into_iter().map(sight).collect();
        bookies.chunks_mut(ASKED_AT_ONCE).for_each(|some| self.see_which_answer(some));
        Ok(Some(BookieSights { root_exists: true, bookies }))
    }

    fn ids(&self) -> Result<Vec<i64>, Tier1Error> {
        self.nodes.ids()
    }

    fn ledger(&self, id: i64, answering: &dyn Fn(&str) -> bool) -> Result<Option<LedgerSight>, Tier1Error> {
        let Some(metadata) = self.nodes.registered(id)? else { return Ok(None) };
        let codec = self.nodes.codec_of(&metadata);
        Ok(Some(LedgerLook { bookkeeper: self, id, metadata: &metadata, codec, answering }.look()))
    }

    fn first_held_by(&self, bookie: &str, ids: Range<i64>) -> Result<Option<i64>, Tier1Error> {
        for ledger_id in ids {
            let answer = self.ask(bookie, &Request::ReadLastAddConfirmed { ledger_id });
            let unavailable = |reason| Tier1Error::Unavailable { location: format!("bookie {bookie}"), reason };
            if let ResponseBody::ReadLastAddConfirmed { last_entry: Some(_), .. } = answer.map_err(unavailable)?.body {
                return Ok(Some(ledger_id));
            }
        }
        Ok(None)
    }
}

impl BookKeeper {
    /// Asks each of these bookies at the same time: every one that is gone costs the whole time-out.
    fn see_which_answer(&self, bookies: &mut [BookieSight]) {
        let request = Request::ReadLastAddConfirmed { ledger_id: NO_LEDGER };
        std::thread::scope(|scope| {
            for bookie in bookies {
                scope.spawn(|| bookie.silent = self.ask(&bookie.id, &request).err());
            }
        });
    }

    /// One request to one bookie; the error says in words why there is no answer.
    fn ask(&self, bookie: &str, request: &Request<'_>) -> Result<Response, String> {
        let connection = self.bookies.connection(bookie).map_err(|error| match error {
            Tier1Error::Unavailable { reason, .. } => reason,
            error => error.to_string(),
        })?;
        let transaction = self.bookies.next_transaction();
        let frame = Arc::new(request.encode(transaction).map_err(|error| error.to_string())?);
        let (sender, receiver) = sync_channel(1);
        // Nobody listens any more after the time-out.
        connection.send(transaction, frame, Box::new(move |answer| drop(sender.try_send(answer))));
        let limit = self.bookies.options().request_timeout;
        receiver.recv_timeout(limit).unwrap_or_else(|_| {
            let reason = format!("no answer within {:.1} s", limit.as_secs_f32());
            connection.give_up(&reason);
            Err(reason)
        })
    }
}

/// A look at one ledger.
struct LedgerLook<'a> {
    bookkeeper: &'a BookKeeper,
    id: i64,
    metadata: &'a LedgerMetadata,
    codec: EntryCodec,
    answering: &'a dyn Fn(&str) -> bool,
}

impl LedgerLook<'_> {
    fn look(&self) -> LedgerSight {
        let (last_entry, bytes) = match self.metadata.state {
            LedgerState::Closed { last_entry, length } => (Some(last_entry), u64::try_from(length).unwrap_or(0)),
            LedgerState::Open | LedgerState::InRecovery => (None, self.bytes_found()),
        };
        let ends = self.metadata.ensembles.iter().skip(1).map(|next| Some(next.first_entry - 1)).chain([last_entry]);
        let stretches = self.metadata.ensembles.iter().zip(ends).map(|(ensemble, end)| Stretch {
            first_entry: ensemble.first_entry,
            copies: self.copies(&ensemble.bookies, ensemble.first_entry, end),
        });
        LedgerSight {
            id: self.id,
            container: container_named_in(self.metadata),
            last_entry,
            bytes,
            ack_quorum: self.metadata.ack_quorum as usize,
            stretches: stretches.collect(),
        }
    }

    /// What each bookie has of the entries from `first` to `end`, which is not known of an open ledger.
    fn copies(&self, bookies: &[String], first: i64, end: Option<i64>) -> Vec<(String, CopySight)> {
        let mut copies = Vec::new();
        for (place, bookie) in (0..).zip(bookies) {
            let expected = self.entries_of(place, bookies.len(), first, end);
            let Some(expected) = expected else { continue };
            let copy = if (self.answering)(bookie) { self.copy(bookie, expected) } else { CopySight::Silent };
            copies.push((bookie.clone(), copy));
        }
        copies
    }

    /// The first and the last entry that the bookie at this place of an ensemble should hold: entries go round.
    fn entries_of(&self, place: i64, ensemble: usize, first: i64, end: Option<i64>) -> Option<(i64, i64)> {
        let ensemble = i64::try_from(ensemble).unwrap_or(i64::MAX);
        let copies = i64::from(self.metadata.write_quorum).min(ensemble);
        let holds = |entry: &i64| (place - entry).rem_euclid(ensemble) < copies;
        let last = end.unwrap_or(i64::MAX);
        let first_held = (first..=last).take(usize::try_from(ensemble).unwrap_or(usize::MAX)).find(holds)?;
        let last_held = match end {
            Some(end) => (first..=end).rev().take(usize::try_from(ensemble).unwrap_or(usize::MAX)).find(holds)?,
            None => first_held,
        };
        Some((first_held, last_held))
    }

    fn copy(&self, bookie: &str, (first, last): (i64, i64)) -> CopySight {
        match self.entry(bookie, first) {
            CopySight::Held if last != first => self.entry(bookie, last),
            copy => copy,
        }
    }

    fn entry(&self, bookie: &str, entry: i64) -> CopySight {
        let response = self.bookkeeper.ask(bookie, &Request::Read { ledger_id: self.id, entry_id: entry });
        match response.map(|response| (response.status, response.body)) {
            Ok((Status::Ok, ResponseBody::Read { entry: Some(bytes), .. })) => match self.codec.decode(&bytes) {
                Ok(read) if (read.header.ledger_id, read.header.entry_id) == (self.id, entry) => CopySight::Held,
                Ok(read) => CopySight::Missing(format!("it gave entry {} for {entry}", read.header.entry_id)),
                Err(error) => CopySight::Missing(format!("entry {entry} is damaged: {error}")),
            },
            Ok((status @ (Status::NoLedger | Status::NoEntry), _)) => {
                CopySight::Missing(format!("entry {entry}: {status}"))
            }
            // Its disk may hold the entry all the same.
            Ok(_) | Err(_) => CopySight::Silent,
        }
    }

    /// Payload up to the last entry that any bookie of the last ensemble has.
    fn bytes_found(&self) -> u64 {
        let last = self.metadata.ensembles.last();
        let bookies = last.into_iter().flat_map(|ensemble| &ensemble.bookies);
        let length = |bookie: &String| {
            let answer = self.bookkeeper.ask(bookie, &Request::ReadLastAddConfirmed { ledger_id: self.id }).ok()?;
            let ResponseBody::ReadLastAddConfirmed { last_entry: Some(bytes), .. } = answer.body else { return None };
            u64::try_from(self.codec.decode(&bytes).ok()?.header.length).ok()
        };
        bookies.filter(|bookie| (self.answering)(bookie)).filter_map(length).max().unwrap_or(0)
    }
}
