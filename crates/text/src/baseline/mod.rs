//! What an n-gram model makes of the same text: the number that a network has to beat.

mod counts;
mod fill;
mod kneser_ney;
mod table;

pub use kneser_ney::KneserNey;
