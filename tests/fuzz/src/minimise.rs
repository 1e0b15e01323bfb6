//! Making the input of a finding small.

use crate::decoder::Decoder;
use crate::judge::{Defect, judge};

/// Inputs that are tried at most.
const MAX_TRIES: usize = 20_000;

/// A smaller input with a like defect: ranges are left out, then bytes are set to zero, as long as that helps.
pub fn minimise(decoder: &Decoder, input: Vec<u8>, defect: &Defect) -> Vec<u8> {
    let mut tries = 0;
    let mut still_fails = |candidate: &[u8]| {
        tries += 1;
        tries <= MAX_TRIES && judge(decoder, candidate).is_err_and(|found| found.is_like(defect))
    };
    let mut smallest = input;
    let mut width = smallest.len().div_ceil(2);
    while width > 0 {
        let mut start = 0;
        while start < smallest.len() {
            let end = smallest.len().min(start + width);
            let candidate = [&smallest[..start], &smallest[end..]].concat();
            if still_fails(&candidate) {
                smallest = candidate;
            } else {
                start = end;
            }
        }
        width = if width == 1 { 0 } else { width.div_ceil(2) };
    }
    for position in 0..smallest.len() {
        let mut candidate = smallest.clone();
        candidate[position] = 0;
        if candidate != smallest && still_fails(&candidate) {
            smallest = candidate;
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Outcome;
    use crate::judge::catch_quietly;

    #[test]
    fn what_does_not_matter_is_left_out() {
        catch_quietly();
        fn check(input: &[u8]) -> Outcome {
            assert!(!(input.contains(&7) && input.contains(&9)));
            Outcome::Refused
        }
        let decoder = Decoder { name: "test", covers: &[], seeds: |_| Vec::new(), mend: None, check };
        let input = [vec![1; 100], vec![7], vec![2; 50], vec![9], vec![3; 20]].concat();
        let defect = judge(&decoder, &input).unwrap_err();
        assert_eq!(minimise(&decoder, input, &defect), [7, 9]);
    }
}
