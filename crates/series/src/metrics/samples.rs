//! The file of sample paths that `impute series --samples-out` writes: `row,column,s0,s1,..`, a record for each hole.

use std::{collections::HashMap, path::Path};

use super::aligned::{Table, format};
use crate::error::Result;

/// Samples of holes by record of the table (from 0) and name of the column.
pub(super) type Samples = HashMap<(usize, Vec<u8>), Vec<f64>>;

/// Reads the samples of a table of so many records.
///
/// # Errors
/// Another header, a row that the table does not have, a hole twice, a sample that is not a finite number, less than 2 samples.
pub(super) fn read_samples(path: &Path, records: usize) -> Result<Samples> {
    let table = Table::read(path)?;
    let expected = |k: usize| match k {
        0 => "row".to_owned(),
        1 => "column".to_owned(),
        k => format!("s{}", k - 2),
    };
    if table.header.len() < 4 || table.header.iter().enumerate().any(|(k, name)| *name != expected(k)) {
        return Err(format(path, "row 1", "the header should be row,column,s0,s1,.. as `impute series --samples-out` writes it"));
    }
    let mut cells = Samples::with_capacity(table.records.len());
    for (line, record) in table.records.iter().enumerate() {
        let place = |column: &str| format!("row {}, column {column}", line + 2);
        let row = std::str::from_utf8(&record[0]).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let Some(row) = row.filter(|row| (1..=records).contains(row)) else {
            return Err(format(
                path,
                place("row"),
                format!("give the number of a row of the masked table, 1 to {records} without its header"),
            ));
        };
        let values = (2..record.len()).map(|k| table.number(line, k)).collect::<Result<Vec<f64>>>()?;
        if cells.insert((row - 1, record[1].to_vec()), values).is_some() {
            return Err(format(path, place("column"), "the samples of this cell are there twice; delete one of the rows"));
        }
    }
    Ok(cells)
}
