//! What everything between reading and writing works on.

use std::sync::Arc;

/// Rows in time order of numeric columns, in the units of the file.
///
/// Rows that a regular table lacks are there, as rows of holes: a lag of one row is a lag of one step. A table without a frequency has
/// its rows as they are, at their own positions.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Names of the columns.
    pub names: Arc<[String]>,
    /// Where the rows lie on the time axis, in steps, strictly increasing: consecutive integers for a regular table, counted from the
    /// table's origin, so that seasons keep their phase.
    pub positions: Vec<f64>,
    /// `values[column][row]`; NaN where nothing was observed.
    pub values: Vec<Vec<f64>>,
}

impl Frame {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.values.len()
    }
}
