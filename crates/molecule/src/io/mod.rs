//! Files of molecules in and out: training records, SDF, XYZ, and whatever names molecules (SMILES lists, CSV).
//!
//! Every reader streams: it holds one record at a time, whatever the size of the file. A record that cannot be understood is an error
//! with its place, and the next call goes on behind it; after an error of the operating system a reader ends. Files may be gzipped
//! (seen by their first bytes), have Windows line ends, and begin with a byte-order mark.

pub mod entries;
pub mod jsonl;
pub mod lines;
pub mod record;
pub mod sdf;
pub mod sets;
pub mod sink;
pub mod strip;
pub mod xyz;

pub use entries::{Columns, Entries, Entry, Given};
pub use jsonl::JsonlReader;
pub use lines::Lines;
pub use record::Record;
pub use sdf::{SdfReader, SdfRecord, write_sdf};
pub use sets::read_set;
pub use sink::Sink;
pub use strip::without_hydrogens;
pub use xyz::{XyzReader, XyzRecord, write_xyz};
