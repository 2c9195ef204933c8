//! The sharding contract: `--shard i/n` runs every n-th part of a job's rows; a manifest beside each part says what made it.
//!
//! Rows are addressed, so parts are the same bytes as the rows of one run. A part that is already there and was made by the same job
//! is skipped; one made by another job is refused.

use std::{ops::Range, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, checkpoint::write_whole};

/// Part `index` of `count`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Shard {
    /// The whole job.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The contiguous rows of this part; parts differ in size by one row at most and together are all rows.
    pub fn rows(self, total: u32) -> Range<u32> {
        let bound = |k: u32| (u64::from(total) * u64::from(k) / u64::from(self.count)) as u32;
        bound(self.index)..bound(self.index + 1)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err(Error::Shard(format!("'{text}' is not i/n with i from 0 to n - 1, for instance 0/4"))),
        }
    }
}

/// What made a part: equal manifests make equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this layout.
    pub schema_version: u32,
    /// BLAKE3 of the input, empty where there is none.
    pub input: String,
    /// The effective settings, as JSON.
    pub config: String,
    /// Hash of the checkpoint.
    pub checkpoint: String,
    /// Seed.
    pub seed: u64,
    /// Rows of the whole job.
    pub total: u32,
    /// First row of this part.
    pub first: u32,
    /// One past its last row.
    pub end: u32,
}

impl Manifest {
    /// Whether the part described by the manifest at `path` is already done by the same job.
    ///
    /// # Errors
    /// [`Error::Shard`] when another job made it, or the manifest cannot be understood.
    pub fn is_done(&self, path: &Path) -> Result<bool> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        let found: Self = serde_json::from_str(&text).map_err(|e| Error::Shard(format!("{}: {e}", path.display())))?;
        if found == *self {
            return Ok(true);
        }
        Err(Error::Shard(format!(
            "{} was made by another job (input, settings, checkpoint, seed or rows differ); choose another output",
            path.display()
        )))
    }

    /// Writes the manifest; do it last, since its presence means that the part is complete.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::Shard(e.to_string()))?;
        write_whole(path, &json)
    }

    /// Checks that parts are of one job and cover its rows once, and returns the order in which to join them.
    ///
    /// # Errors
    /// [`Error::Shard`] names the first gap, overlap or stranger.
    pub fn join_order(parts: &[Self]) -> Result<Vec<usize>> {
        let first = parts.first().ok_or_else(|| Error::Shard("there are no parts to join".to_owned()))?;
        let mut order: Vec<usize> = (0..parts.len()).collect();
        // Parts of a short job may be empty.
        order.sort_by_key(|&k| (parts[k].first, parts[k].end));
        let mut next = 0;
        for &k in &order {
            let part = &parts[k];
            if (Self { first: 0, end: 0, ..part.clone() }) != (Self { first: 0, end: 0, ..first.clone() }) {
                return Err(Error::Shard(format!("the part of rows {}..{} is of another job", part.first, part.end)));
            }
            if part.first != next {
                return Err(Error::Shard(format!(
                    "rows {}..{} are {}",
                    next.min(part.first),
                    next.max(part.first),
                    if part.first > next { "missing" } else { "there twice" }
                )));
            }
            next = part.end;
        }
        if next == first.total { Ok(order) } else { Err(Error::Shard(format!("rows {next}..{} are missing", first.total))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(first: u32, end: u32) -> Manifest {
        Manifest { schema_version: 1, input: String::new(), config: "c".into(), checkpoint: "k".into(), seed: 1, total: 10, first, end }
    }

    #[test]
    fn shards_partition_any_job() {
        for (total, count) in [(10, 3), (2, 5), (0, 2), (u32::MAX, 7)] {
            let mut next = 0;
            for index in 0..count {
                let rows = Shard { index, count }.rows(total);
                assert_eq!(rows.start, next);
                next = rows.end;
            }
            assert_eq!(next, total);
        }
    }

    #[test]
    fn parses_and_refuses() {
        assert_eq!("1/4".parse::<Shard>().expect("valid"), Shard { index: 1, count: 4 });
        for bad in ["4/4", "1", "-1/4", "a/b", "1/0", ""] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn done_parts_are_skipped_and_strangers_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("part.json");
        assert!(!manifest(0, 5).is_done(&path).expect("absent"));
        manifest(0, 5).write(&path).expect("writable");
        assert!(manifest(0, 5).is_done(&path).expect("same"));
        assert!(Manifest { seed: 2, ..manifest(0, 5) }.is_done(&path).is_err());
    }

    #[test]
    fn joins_in_row_order_and_names_gaps() {
        assert_eq!(Manifest::join_order(&[manifest(5, 10), manifest(0, 5)]).expect("complete"), [1, 0]);
        // Parts without rows stand before the one that begins where they do.
        assert_eq!(Manifest::join_order(&[manifest(0, 10), manifest(0, 0), manifest(10, 10)]).expect("complete"), [1, 0, 2]);
        assert!(Manifest::join_order(&[manifest(0, 5)]).expect_err("gap").to_string().contains("5..10"));
        assert!(Manifest::join_order(&[manifest(0, 6), manifest(5, 10)]).is_err());
        assert!(Manifest::join_order(&[manifest(0, 5), Manifest { seed: 9, ..manifest(5, 10) }]).is_err());
        assert!(Manifest::join_order(&[]).is_err());
    }
}
