//! The shared training data, for tests that learn.
#![allow(clippy::unwrap_used, dead_code)]

use langevin_molecule::io::{JsonlReader, Record};

/// Up to `most` molecules of a file of the shared data; `None`, with a word why, where it is not there.
pub(crate) fn shared(file: &str, most: usize) -> Option<Vec<Record>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var("LANGEVIN_SHARED").unwrap_or_else(|_| beside.to_owned());
    let path = std::path::Path::new(&root).join("data/molecule").join(file);
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return None;
    }
    Some(JsonlReader::open(&path).unwrap().take(most).map(Result::unwrap).collect())
}
