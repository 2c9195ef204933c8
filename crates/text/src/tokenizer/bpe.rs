//! Pairs of bytes that became classes of their own (Sennrich et al. 2016, arXiv:1508.07909).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Error, Result};

/// Classes before any merge.
pub(super) const BYTES: usize = 256;
/// Most classes: tokens of a corpus have 16 bits, and one class is left for the hidden token.
pub(super) const MOST: usize = 1 << 15;
/// Longest piece of text that merges see as a whole; bounds the work where a text has no spaces.
const LONGEST: usize = 64;

/// Two classes side by side.
type Pair = (u16, u16);

/// Learned merges, ready to encode and decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pairs {
    /// The class that a pair becomes; earlier merges have lower classes and come first.
    classes: HashMap<Pair, u16>,
    /// Bytes of each class.
    bytes: Vec<Vec<u8>>,
}

impl Pairs {
    /// Refuses a merge of classes that do not exist before it, and one that was made already.
    pub(super) fn new(merges: &[[u16; 2]]) -> Result<Self> {
        let mut bytes: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        let mut classes = HashMap::new();
        for &[first, second] in merges {
            let class = bytes.len();
            let known = usize::from(first) < class && usize::from(second) < class;
            if !known || classes.insert((first, second), class as u16).is_some() {
                let reason = format!("should join classes that are there, each pair once, but class {class} joins {first} and {second}");
                return Err(Error::Setting { name: "merges", reason });
            }
            bytes.push([bytes[usize::from(first)].as_slice(), &bytes[usize::from(second)]].concat());
            // A table written by hand could double its longest class with every merge.
            if bytes[class].len() > LONGEST {
                return Err(Error::Setting { name: "merges", reason: format!("make class {class} longer than {LONGEST} bytes") });
            }
        }
        Ok(Self { classes, bytes })
    }

    /// Bytes of a class.
    pub(super) fn bytes(&self, class: u32) -> &[u8] {
        self.bytes.get(class as usize).map_or(&[], Vec::as_slice)
    }

    /// Classes of a text, piece by piece.
    pub(super) fn encode(&self, text: &[u8]) -> Vec<u32> {
        let mut known: HashMap<&[u8], Vec<u16>> = HashMap::new();
        let mut encoded = Vec::with_capacity(text.len() / 2);
        for piece in pieces(text) {
            let classes = known.entry(piece).or_insert_with(|| self.merge(piece));
            encoded.extend(classes.iter().map(|&class| u32::from(class)));
        }
        encoded
    }

    /// The classes of a piece: the earliest learned pair is joined first, from the left.
    fn merge(&self, piece: &[u8]) -> Vec<u16> {
        let mut classes: Vec<u16> = piece.iter().map(|&byte| u16::from(byte)).collect();
        while let Some((pair, class)) = classes
            .windows(2)
            .filter_map(|pair| Some(((pair[0], pair[1]), *self.classes.get(&(pair[0], pair[1]))?)))
            .min_by_key(|&(_, class)| class)
        {
            classes = join(&classes, pair, class);
        }
        classes
    }
}

/// The merges that make `vocabulary` classes, or fewer where no pair occurs twice. The most frequent pair is next; of several, that of
/// the lowest classes.
pub(super) fn learn(text: &[u8], vocabulary: usize) -> Vec<[u16; 2]> {
    let mut counted: BTreeMap<&[u8], u64> = BTreeMap::new();
    pieces(text).for_each(|piece| *counted.entry(piece).or_default() += 1);
    let mut words: Vec<(Vec<u16>, u64)> =
        counted.into_iter().map(|(piece, count)| (piece.iter().map(|&byte| u16::from(byte)).collect(), count)).collect();
    let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
    let mut places: HashMap<Pair, BTreeSet<usize>> = HashMap::new();
    for (at, (word, count)) in words.iter().enumerate() {
        for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
            *counts.entry(pair).or_default() += count;
            places.entry(pair).or_default().insert(at);
        }
    }
    let mut merges = Vec::new();
    while merges.len() + BYTES < vocabulary {
        // The first of the greatest: keys are in order, and only a greater count replaces.
        let best = counts.iter().fold(None, |best: Option<(Pair, u64)>, (&pair, &count)| match best {
            Some((_, most)) if most >= count => best,
            _ => Some((pair, count)),
        });
        let Some((pair, _)) = best.filter(|&(_, count)| count >= 2) else { break };
        let class = (merges.len() + BYTES) as u16;
        merges.push([pair.0, pair.1]);
        for at in places.remove(&pair).unwrap_or_default() {
            let (word, count) = &mut words[at];
            for old in word.windows(2).map(|pair| (pair[0], pair[1])) {
                let left = counts.get_mut(&old).map_or(0, |total| {
                    *total -= *count;
                    *total
                });
                if left == 0 {
                    counts.remove(&old);
                }
            }
            *word = join(word, pair, class);
            for new in word.windows(2).map(|pair| (pair[0], pair[1])) {
                *counts.entry(new).or_default() += *count;
                places.entry(new).or_default().insert(at);
            }
        }
    }
    merges
}

/// Every occurrence of a pair as one class, from the left.
fn join(classes: &[u16], pair: Pair, class: u16) -> Vec<u16> {
    let mut joined = Vec::with_capacity(classes.len());
    let mut at = 0;
    while at < classes.len() {
        if classes[at] == pair.0 && classes.get(at + 1) == Some(&pair.1) {
            joined.push(class);
            at += 2;
        } else {
            joined.push(classes[at]);
            at += 1;
        }
    }
    joined
}

/// A text cut before spaces, line ends, and where letters and digits end: words with the space before them.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let mut end = 1;
        let letters = word(first) || (first == b' ' && rest.get(1).is_some_and(|&next| word(next)));
        while end < rest.len().min(LONGEST) && !rest[end].is_ascii_whitespace() && word(rest[end]) == letters {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_example_is_merged_in_its_order() {
        // low 5, lower 2, newest 6, widest 3 (section 3.2): es 9, then est 9, lo 7, low 7.
        let text = ["low ".repeat(5), "lower ".repeat(2), "newest ".repeat(6), "widest ".repeat(3)].concat();
        let merges = learn(text.as_bytes(), BYTES + 4);
        let of = |first: u16, second: u8| [first, u16::from(second)];
        let names: Vec<Vec<u8>> = (256..260).map(|class| Pairs::new(&merges).unwrap().bytes(class).to_vec()).collect();
        assert_eq!(merges[0], of(u16::from(b'e'), b's'), "{merges:?}");
        assert_eq!(merges[1], of(256, b't'), "{merges:?}");
        assert!(names.contains(&b"est".to_vec()), "{names:?}");
    }

    #[test]
    fn learned_pairs_shorten_and_come_back() {
        let text = "it was the best of times, it was the worst of times\n".repeat(20);
        let merges = learn(text.as_bytes(), 320);
        assert_eq!(merges, learn(text.as_bytes(), 320));
        let pairs = Pairs::new(&merges).unwrap();
        let encoded = pairs.encode(text.as_bytes());
        assert!(encoded.len() * 3 < text.len(), "{} of {}", encoded.len(), text.len());
        assert_eq!(encoded.iter().flat_map(|&class| pairs.bytes(class)).copied().collect::<Vec<u8>>(), text.as_bytes());
        // Counts that are kept up while merging are those of the final text.
        let last = merges[merges.len() - 1];
        let earlier = Pairs::new(&merges[..merges.len() - 1]).unwrap().encode(text.as_bytes());
        let count = |pair: [u16; 2]| earlier.windows(2).filter(|w| w == &pair.map(u32::from)).count();
        assert!(count(last) >= 2);
    }

    #[test]
    fn pieces_are_words_and_nothing_is_lost() {
        let text = "He said: \"no, 42!\"\n\nand  left...";
        let cut: Vec<&[u8]> = pieces(text.as_bytes()).collect();
        assert_eq!(cut.concat(), text.as_bytes());
        let names: Vec<&str> = cut.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        assert_eq!(names[..6], ["He", " said", ":", " \"", "no", ","]);
        assert!(pieces(&[b'x'; 1000]).all(|piece| piece.len() <= LONGEST));
    }
}
