//! A picture of the filled gaps, as SVG.
