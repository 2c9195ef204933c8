//! What an n-gram model makes of the same text.
