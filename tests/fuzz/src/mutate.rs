//! Making inputs of seeds.

use fastrand::Rng;

/// Longest input, in bytes, that mutations grow; seeds may be longer.
const MAX_LENGTH: usize = 64 << 10;
/// Most changes of one input.
const MAX_CHANGES: usize = 4;
/// Bytes at which formats of this kind change their mind.
const BYTES: [u8; 12] = [0x00, 0x01, 0x02, 0x04, 0x10, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

/// The input with that number, of seeds that are not empty.
pub fn input(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    // Pure noise finds little, so it is rare.
    if rng.u8(..) < 8 {
        return noise(rng);
    }
    let mut bytes = pick(seeds, rng).to_vec();
    for _ in 0..=rng.usize(..MAX_CHANGES) {
        change(&mut bytes, seeds, rng);
    }
    bytes
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    let length = rng.usize(..200);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

fn pick<'s>(seeds: &'s [Vec<u8>], rng: &mut Rng) -> &'s [u8] {
    seeds.get(rng.usize(..seeds.len().max(1))).map_or(&[], Vec::as_slice)
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.extend(noise(rng));
        return;
    }
    match rng.u8(..20) {
        0..=3 => flip_bit(bytes, rng),
        4..=6 => set_byte(bytes, rng),
        7..=11 => set_integer(bytes, rng),
        12 | 13 => bytes.truncate(rng.usize(..bytes.len())),
        14 => insert_noise(bytes, rng),
        15 => remove_range(bytes, rng),
        16 | 17 => repeat_range(bytes, rng),
        18 => swap_ranges(bytes, rng),
        _ => splice(bytes, pick(seeds, rng), rng),
    }
}

fn flip_bit(bytes: &mut [u8], rng: &mut Rng) {
    let position = position(bytes, rng);
    bytes[position] ^= 1 << rng.u8(..8);
}

fn set_byte(bytes: &mut [u8], rng: &mut Rng) {
    let position = position(bytes, rng);
    bytes[position] = if rng.bool() { BYTES[rng.usize(..BYTES.len())] } else { rng.u8(..) };
}

/// Positions near the beginning, where headers are, come more often than by chance.
fn position(bytes: &[u8], rng: &mut Rng) -> usize {
    let end = if rng.u8(..4) == 0 { bytes.len().min(64) } else { bytes.len() };
    rng.usize(..end)
}

/// Sets a big-endian number of 1 to 8 bytes to one at an edge, or to one that is nearly right.
fn set_integer(bytes: &mut [u8], rng: &mut Rng) {
    let width = [1, 2, 4, 4, 8, 8][rng.usize(..6)].min(bytes.len());
    let start = position(bytes, rng).min(bytes.len() - width);
    let length = bytes.len() as u64;
    let Some(field) = bytes.get_mut(start..start + width) else { return };
    let old = field.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let top = 1u64 << (8 * width - 1);
    let new = match rng.u8(..12) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => top,
        4 => top - 1,
        5 | 6 => old.wrapping_add(1),
        7 | 8 => old.wrapping_sub(1),
        9 => length,
        10 => length.wrapping_sub((start + width) as u64),
        _ => rng.u64(..) >> rng.u32(..64),
    };
    field.copy_from_slice(&new.to_be_bytes()[8 - width..]);
}

fn range(length: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(..=length);
    let longest = if rng.bool() { 32 } else { length };
    start..start + rng.usize(..=(length - start).min(longest))
}

fn insert_noise(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..=bytes.len());
    let length = rng.usize(1..17);
    let added: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
    bytes.splice(at..at, added);
}

fn remove_range(bytes: &mut Vec<u8>, rng: &mut Rng) {
    bytes.drain(range(bytes.len(), rng));
}

/// Copies a range to another place, once or several times.
fn repeat_range(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let copied = bytes[range(bytes.len(), rng)].to_vec();
    let at = rng.usize(..=bytes.len());
    let room = MAX_LENGTH.saturating_sub(bytes.len()).checked_div(copied.len()).unwrap_or(0);
    let most = if rng.u8(..64) == 0 { 2048 } else { 4 };
    let times = rng.usize(1..=most).min(room);
    bytes.splice(at..at, copied.repeat(times));
}

fn swap_ranges(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let middle = rng.usize(..=bytes.len());
    let first = range(middle, rng);
    let second = range(bytes.len() - middle, rng);
    let second = second.start + middle..second.end + middle;
    let swapped = [
        &bytes[..first.start],
        &bytes[second.clone()],
        &bytes[first.end..second.start],
        &bytes[first.clone()],
        &bytes[second.end..],
    ]
    .concat();
    *bytes = swapped;
}

/// The beginning of this input, then the end of another seed.
fn splice(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let kept = rng.usize(..=bytes.len());
    let from = if rng.bool() { kept.min(other.len()) } else { rng.usize(..=other.len()) };
    bytes.truncate(kept);
    bytes.extend_from_slice(&other[from..]);
}
