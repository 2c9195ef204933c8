//! Runs of the training text in samples.

use std::collections::HashMap;

/// The bytes of a run, how often samples have it, and whether a text has it.
type Run<'a> = (&'a [u8], usize, bool);

/// The share of the runs of `length` bytes (characters, in ASCII) of the samples that stand so in a text; none when no sample is that long.
pub fn copied(samples: &[String], texts: &[String], length: usize) -> Option<f64> {
    // Runs by their hash; equal hashes are compared in full.
    let mut runs: HashMap<u64, Vec<Run<'_>>> = HashMap::new();
    let mut total = 0;
    for sample in samples {
        for (hash, run) in rolling(sample.as_bytes(), length) {
            total += 1;
            let same = runs.entry(hash).or_default();
            match same.iter_mut().find(|(other, ..)| *other == run) {
                Some((_, count, _)) => *count += 1,
                None => same.push((run, 1, false)),
            }
        }
    }
    for text in texts {
        for (hash, run) in rolling(text.as_bytes(), length) {
            if let Some(same) = runs.get_mut(&hash) {
                same.iter_mut().filter(|(other, ..)| *other == run).for_each(|(.., found)| *found = true);
            }
        }
    }
    let found: usize = runs.values().flatten().filter(|(.., found)| *found).map(|(_, count, _)| count).sum();
    (total > 0).then(|| found as f64 / total as f64)
}

/// Every run of `length` bytes and a polynomial of it modulo `2^64`.
fn rolling(text: &[u8], length: usize) -> impl Iterator<Item = (u64, &[u8])> {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, byte: u8| hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1);
    let leaving = (0..length).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let mut hash = text.iter().take(length).fold(0, |hash, &byte| step(hash, byte));
    let runs = if length == 0 { 0 } else { (text.len() + 1).saturating_sub(length) };
    (0..runs).map(move |start| {
        if start > 0 {
            hash = step(hash, text[start + length - 1]).wrapping_sub((u64::from(text[start - 1]) + 1).wrapping_mul(leaving));
        }
        (hash, &text[start..start + length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_wherever_they_stand() {
        let of = |samples: &[&str], texts: &[&str], length| {
            let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<String>>();
            copied(&own(samples), &own(texts), length)
        };
        // Runs of 4 of `xabcdey`: xabc abcd bcde cdey.
        assert_eq!(of(&["xabcdey"], &["00 abcde 00"], 4), Some(0.5));
        assert_eq!(of(&["abcd", "zzzz"], &["z", "abcd"], 4), Some(0.5));
        assert_eq!(of(&["aaaaaa"], &["aaaa"], 4), Some(1.0));
        assert_eq!(of(&["abc"], &["abc"], 4), None);
        assert_eq!(of(&["abcd"], &["abc", "d"], 4), Some(0.0));
    }

    #[test]
    fn a_hash_that_rolls_is_that_of_its_run() {
        let text: Vec<u8> = (0..500u32).map(|i| (i * i % 251) as u8).collect();
        for (hash, run) in rolling(&text, 48) {
            assert_eq!(rolling(run, 48).next().unwrap().0, hash);
        }
        assert_eq!(rolling(&text, 48).count(), 453);
    }
}
