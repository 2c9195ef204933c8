//! Texts to learn from, with labels.
