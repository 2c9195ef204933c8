//! Delimited files in and out.
//!
//! [`Table::open`] reads a file once and finds out its layout, types, times and gaps ([`Profile`], [`Calendar`]). [`Table::sample`] holds
//! a part of it in memory; [`Table::blocks`] reads it again in blocks of rows with rows around them; [`Writer`] writes the blocks back with
//! holes filled. Every byte that is no filled hole stays as it is in the file. Where rows are not in the order of their series, cells are sorted
//! on disk first and fills back after, so that memory does not grow with the file.

mod blocks;
mod cell;
mod civil;
mod grid;
mod joint;
mod month;
mod options;
mod order;
mod plan;
mod profile;
mod raw;
mod roles;
mod scan;
mod sorted;
mod source;
mod split;
mod table;
mod time;
mod turned;
mod writer;

pub use blocks::{Block, Blocks, RowKind};
pub use options::{Choose, DEFAULT_NA, Decimal, Delimiter, Freq, Layout, ReadOptions};
pub use profile::{Calendar, ColumnProfile, GAP_BINS, GAP_LABELS, Profile, gap_bin};
pub use sorted::{Entries, Sorted, Sorter};
pub use table::Table;
pub use time::Step;
pub use writer::{Fills, WriteOptions, Writer, Written, quantile_name};
