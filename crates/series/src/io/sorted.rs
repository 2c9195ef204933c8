//! Numbers sorted by a key, on disk where they are many: an external merge sort.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result};

/// Words that are held before they go to disk: 16 MiB.
const HELD: usize = 1 << 21;
/// Words that all runs together are read ahead by: 8 MiB, but some of each.
const AHEAD: usize = 1 << 20;
const LEAST_AHEAD: usize = 512;

/// Takes in entries of a few words each, in any order. The first two words are the key.
#[derive(Debug)]
pub struct Sorter {
    width: usize,
    most: usize,
    words: Vec<u64>,
    file: Option<File>,
    /// Where each sorted run ends in the file, in words.
    ends: Vec<u64>,
}

/// Entries in the order of their keys; those of one key in the order in which they came.
#[derive(Debug)]
pub struct Sorted {
    width: usize,
    file: Option<Mutex<File>>,
    ends: Vec<u64>,
    /// The last run, which is not on disk.
    words: Vec<u64>,
}

/// Reads entries in their order.
#[derive(Debug)]
pub struct Entries<'s> {
    sorted: &'s Sorted,
    runs: Vec<Run<'s>>,
    /// The key of the next entry of every run that has one.
    heap: BinaryHeap<Reverse<([u64; 2], usize)>>,
    entry: Vec<u64>,
}

#[derive(Debug)]
struct Run<'s> {
    /// What of the file is not read yet, in words.
    left: Range<u64>,
    words: Cow<'s, [u64]>,
    at: usize,
}

impl Sorter {
    /// For entries of `width` words.
    ///
    /// # Panics
    /// When they have no room for a key, which is two words.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self::holding(width, HELD)
    }

    fn holding(width: usize, most: usize) -> Self {
        assert!(width >= 2, "an entry of {width} words has no key");
        Self { width, most, words: Vec::new(), file: None, ends: Vec::new() }
    }

    /// Takes in an entry.
    ///
    /// # Errors
    /// There is no room for temporary files.
    ///
    /// # Panics
    /// When it has another width.
    pub fn push(&mut self, entry: &[u64]) -> Result<()> {
        assert!(entry.len() == self.width, "an entry of {} words is not one of {}", entry.len(), self.width);
        self.words.extend_from_slice(entry);
        if self.words.len() >= self.most { self.spill().map_err(of_disk) } else { Ok(()) }
    }

    /// Sorts what was taken in.
    #[must_use]
    pub fn sorted(self) -> Sorted {
        let words = in_order(&self.words, self.width);
        Sorted { width: self.width, file: self.file.map(Mutex::new), ends: self.ends, words }
    }

    fn spill(&mut self) -> io::Result<()> {
        let bytes: Vec<u8> = in_order(&self.words, self.width).into_iter().flat_map(u64::to_le_bytes).collect();
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&bytes)?;
        }
        self.ends.push(self.ends.last().unwrap_or(&0) + self.words.len() as u64);
        self.words.clear();
        Ok(())
    }
}

/// The entries in the order of their keys.
fn in_order(words: &[u64], width: usize) -> Vec<u64> {
    let mut order: Vec<u32> = (0..(words.len() / width) as u32).collect();
    order.sort_by_key(|&at| [words[at as usize * width], words[at as usize * width + 1]]);
    let mut sorted = Vec::with_capacity(words.len());
    order.into_iter().for_each(|at| sorted.extend_from_slice(&words[at as usize * width..][..width]));
    sorted
}

/// The folder of temporary files may be a small one.
fn of_disk(source: io::Error) -> Error {
    Error::Io { path: std::env::temp_dir().join("(a temporary file; TMPDIR chooses another folder)"), source }
}

impl Sorted {
    /// All entries from the first on.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn entries(&self) -> Result<Entries<'_>> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let on_disk = starts.zip(&self.ends).map(|(start, &end)| Run { left: start..end, words: Cow::Owned(Vec::new()), at: 0 });
        // What came last stays behind what came before and has the same key.
        let runs: Vec<_> = on_disk.chain([Run { left: 0..0, words: Cow::Borrowed(&self.words), at: 0 }]).collect();
        let mut entries = Entries { sorted: self, heap: BinaryHeap::with_capacity(runs.len()), runs, entry: vec![0; self.width] };
        (0..entries.runs.len()).try_for_each(|run| entries.offer(run))?;
        Ok(entries)
    }

    /// Up to `most` whole entries from the start of a range of words, which moves on.
    fn words(&self, left: &mut Range<u64>, most: usize) -> io::Result<Vec<u64>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let count = (left.end - left.start).min((most / self.width).max(1) as u64 * self.width as u64);
        let mut bytes = vec![0; count as usize * size_of::<u64>()];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(left.start * size_of::<u64>() as u64))?;
        file.read_exact(&mut bytes)?;
        left.start += count;
        Ok(bytes.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect())
    }
}

impl Entries<'_> {
    /// The next entry; `None` behind the last one.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn read(&mut self) -> Result<Option<&[u64]>> {
        let Some(Reverse((_, number))) = self.heap.pop() else { return Ok(None) };
        let run = &mut self.runs[number];
        self.entry.copy_from_slice(&run.words[run.at..][..self.sorted.width]);
        run.at += self.sorted.width;
        self.offer(number)?;
        Ok(Some(&self.entry))
    }

    /// Puts the key of a run's next entry where it is compared.
    fn offer(&mut self, number: usize) -> Result<()> {
        let most = (AHEAD / self.runs.len()).max(LEAST_AHEAD);
        let run = &mut self.runs[number];
        if run.at == run.words.len() && !run.left.is_empty() {
            run.words = Cow::Owned(self.sorted.words(&mut run.left, most).map_err(of_disk)?);
            run.at = 0;
        }
        if let Some(&[first, second]) = run.words[run.at..].first_chunk() {
            self.heap.push(Reverse(([first, second], number)));
        }
        Ok(())
    }
}

/// A time as a word that compares as the time does.
pub(crate) const fn word_of(ticks: i64) -> u64 {
    (ticks as u64) ^ (1 << 63)
}

/// The time of a word.
pub(crate) const fn ticks_of(word: u64) -> i64 {
    (word ^ (1 << 63)) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(sorted: &Sorted) -> Vec<Vec<u64>> {
        let (mut entries, mut found) = (sorted.entries().unwrap(), Vec::new());
        while let Some(entry) = entries.read().unwrap() {
            found.push(entry.to_vec());
        }
        found
    }

    proptest! {
        /// The stable sort of the standard library is the reference, whatever goes to disk.
        #[test]
        fn entries_are_sorted_and_stay_in_order(keys in prop::collection::vec((0_u64..4, 0_u64..4), 0..60), most in 1_usize..120) {
            let mut wanted: Vec<Vec<u64>> = keys.iter().enumerate().map(|(n, &(a, b))| vec![a, b, n as u64]).collect();
            let mut sorter = Sorter::holding(3, most);
            wanted.iter().for_each(|entry| sorter.push(entry).unwrap());
            let sorted = sorter.sorted();
            prop_assert_eq!(sorted.file.is_some(), keys.len() * 3 >= most);
            wanted.sort_by_key(|entry| [entry[0], entry[1]]);
            prop_assert_eq!(&all(&sorted), &wanted);
            // It can be read again, and by two at a time.
            let (mut one, mut other) = (sorted.entries().unwrap(), sorted.entries().unwrap());
            for entry in &wanted {
                prop_assert_eq!(one.read().unwrap(), Some(&entry[..]));
                prop_assert_eq!(other.read().unwrap(), Some(&entry[..]));
            }
        }

        #[test]
        fn words_compare_as_times(a: i64, b: i64) {
            prop_assert_eq!(word_of(a).cmp(&word_of(b)), a.cmp(&b));
            prop_assert_eq!(ticks_of(word_of(a)), a);
        }
    }
}
