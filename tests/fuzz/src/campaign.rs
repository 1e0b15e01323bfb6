//! Many inputs for one decoder, on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::decoder::{Decoder, Outcome};
use crate::judge::{Defect, catch_quietly, judge};
use crate::{mutate, regressions};

/// An input that takes longer is taken for endless. Real ones take microseconds; the rest is for machines under load.
pub const WATCH_DOG_LIMIT: Duration = Duration::from_secs(20);
/// Inputs that a thread takes at once.
const SHARE: u64 = 1024;
/// Different defects of one decoder after which its campaign ends.
const MAX_FINDINGS: usize = 8;
/// What a thread's number says while it has no input.
const IDLE: u64 = u64::MAX;

/// How much to do.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Inputs at most.
    pub inputs: u64,
    /// Start of the pseudo-random numbers.
    pub seed: u64,
    /// Time at most.
    pub time: Option<Duration>,
    /// Threads.
    pub threads: usize,
}

/// An input with its defect.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Number of the input.
    pub number: u64,
    /// The input as it was made.
    pub input: Vec<u8>,
    /// What is wrong.
    pub defect: Defect,
}

/// What a campaign gave.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were run.
    pub inputs: u64,
    /// Those that the decoder accepted, round trips included.
    pub accepted: u64,
    /// Those that were the same after encoding and decoding.
    pub round_trips: u64,
    /// Time from the first to the last input.
    pub time: Duration,
    /// Different defects, each with the first input that showed it.
    pub findings: Vec<Finding>,
}

/// The input with that number.
pub fn input(decoder: &Decoder, seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let name = regressions::hash(decoder.name.as_bytes());
    let mut rng = Rng::with_seed(seed ^ name.rotate_left(17) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = mutate::input(seeds, &mut rng);
    if let Some(mend) = decoder.mend
        && rng.bool()
    {
        mend(&mut bytes, &mut rng);
    }
    bytes
}

/// Runs a decoder on inputs made of `seeds`.
///
/// An endless input ends the campaign at once, and its thread goes on: the caller should end the process.
pub fn run(decoder: &'static Decoder, seeds: Vec<Vec<u8>>, effort: Effort) -> Report {
    catch_quietly();
    let start = Instant::now();
    let shared = std::sync::Arc::new(Shared {
        decoder,
        seeds,
        effort,
        start,
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        working: (0..effort.threads).map(|_| AtomicU64::new(IDLE)).collect(),
        left: AtomicU64::new(effort.threads as u64),
        report: Mutex::new(Report::default()),
    });
    // Not scoped: a thread with an endless input never ends.
    for thread in 0..effort.threads {
        let shared = std::sync::Arc::clone(&shared);
        thread::spawn(move || shared.work(thread));
    }
    if let Some(number) = shared.watch() {
        let input = input(decoder, &shared.seeds, effort.seed, number);
        shared.found(Finding { number, input, defect: Defect::Endless });
    }
    let mut report = std::mem::take(&mut *shared.report());
    report.time = start.elapsed();
    report
}

struct Shared {
    decoder: &'static Decoder,
    seeds: Vec<Vec<u8>>,
    effort: Effort,
    start: Instant,
    next: AtomicU64,
    stop: AtomicBool,
    /// The input that each thread has.
    working: Vec<AtomicU64>,
    /// Threads that have not ended.
    left: AtomicU64,
    report: Mutex<Report>,
}

impl Shared {
    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn work(&self, thread: usize) {
        while let Some(numbers) = self.share() {
            let mut report = Report::default();
            for number in numbers {
                self.working[thread].store(number, Ordering::Relaxed);
                let input = input(self.decoder, &self.seeds, self.effort.seed, number);
                report.inputs += 1;
                match judge(self.decoder, &input) {
                    Ok(Outcome::Refused) => {}
                    Ok(Outcome::Accepted) => report.accepted += 1,
                    Ok(Outcome::RoundTripped) => {
                        report.accepted += 1;
                        report.round_trips += 1;
                    }
                    Err(defect) => self.found(Finding { number, input, defect }),
                }
            }
            self.working[thread].store(IDLE, Ordering::Relaxed);
            let mut sum = self.report();
            sum.inputs += report.inputs;
            sum.accepted += report.accepted;
            sum.round_trips += report.round_trips;
        }
        self.left.fetch_sub(1, Ordering::Release);
    }

    /// The next inputs, unless there are none or the campaign is to end.
    fn share(&self) -> Option<std::ops::Range<u64>> {
        let late = self.effort.time.is_some_and(|time| self.start.elapsed() >= time);
        if late || self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let first = self.next.fetch_add(SHARE, Ordering::Relaxed);
        let end = self.effort.inputs.min(first.saturating_add(SHARE));
        (first < end).then_some(first..end)
    }

    fn found(&self, finding: Finding) {
        let mut report = self.report();
        if report.findings.iter().all(|known| !known.defect.is_like(&finding.defect)) {
            report.findings.push(finding);
        }
        if report.findings.len() >= MAX_FINDINGS {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until all threads ended; or returns the number of an input that does not end.
    fn watch(&self) -> Option<u64> {
        let mut seen: Vec<(u64, Instant)> = self.working.iter().map(|_| (IDLE, Instant::now())).collect();
        while self.left.load(Ordering::Acquire) > 0 {
            thread::sleep(Duration::from_millis(2));
            for (working, (number, since)) in self.working.iter().zip(&mut seen) {
                let now = working.load(Ordering::Relaxed);
                if now != *number {
                    (*number, *since) = (now, Instant::now());
                } else if now != IDLE && since.elapsed() > WATCH_DOG_LIMIT {
                    self.stop.store(true, Ordering::Relaxed);
                    return Some(now);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PICKY: Decoder = Decoder {
        name: "picky",
        covers: &[],
        seeds: |_| Vec::new(),
        mend: None,
        check: |input| {
            assert!(input.first() != Some(&0xff), "first byte");
            if input.is_empty() { Outcome::Refused } else { Outcome::Accepted }
        },
    };

    fn effort(threads: usize) -> Effort {
        Effort { inputs: 5_000, seed: 1, time: None, threads }
    }

    #[test]
    fn a_defect_is_found_once_and_threads_make_no_difference() {
        let seeds = vec![vec![1, 2, 3]];
        let (one, two) = (run(&PICKY, seeds.clone(), effort(1)), run(&PICKY, seeds.clone(), effort(3)));
        assert_eq!((one.inputs, one.accepted), (5_000, two.accepted));
        assert_eq!((one.findings.len(), two.findings.len()), (1, 1));
        let found = &one.findings[0];
        assert_eq!(input(&PICKY, &seeds, 1, found.number), found.input);
    }
}
