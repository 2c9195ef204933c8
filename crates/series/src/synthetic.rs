//! Multivariate processes from a seed: what a network learns before it sees anybody's data.
//!
//! A table is a few latent signals, mixed by a random matrix of low rank, plus what each column has to itself; then some columns are bent,
//! cut, counted or held. Table `k` of a seed is the same whatever is made beside it.

mod latent;
mod marks;

use langevin_core::{Philox, noise::stream};

use crate::{Frame, draws::Draws};

/// Stream of processes.
const PROCESS: u32 = stream::DOMAIN + 16;
/// Most columns of a table.
const COLUMNS: usize = 16;

/// Table `number` of a seed: complete, of 1 to 16 columns, in arbitrary units.
#[must_use]
pub fn table(rows: usize, seed: u64, number: u32) -> Frame {
    let draws = &mut Draws::new(Philox::new(seed), number, 0, PROCESS);
    // Few columns are commoner: the logarithm is even.
    let columns = (draws.log_between(1.0, COLUMNS as f64 + 1.0) as usize).clamp(1, COLUMNS);
    let season = latent::Season::draw(draws, rows);
    let rank = 1 + draws.below(columns.min(4));
    let signals: Vec<Vec<f64>> = (0..rank).map(|_| latent::signal(rows, &season, draws)).collect();
    let own = draws.log_between(0.05, 1.5);
    let noise = draws.log_between(0.003, 0.6);
    let first = draws.below(100_000) as f64;
    let values = (0..columns)
        .map(|_| {
            let mut values = vec![0.0; rows];
            for signal in &signals {
                let weight = if draws.chance(0.3) { 0.0 } else { draws.normal() };
                // Some columns follow others some rows later.
                let lag = if draws.chance(0.2) { draws.below(rows.min(12)) } else { 0 };
                values.iter_mut().enumerate().for_each(|(row, v)| *v += weight * signal[row.saturating_sub(lag)]);
            }
            let share = own * draws.log_between(0.3, 3.0);
            let alone = latent::signal(rows, &season, draws);
            let grain = noise * draws.log_between(0.3, 3.0);
            values.iter_mut().zip(&alone).for_each(|(v, a)| *v += share * a + grain * draws.normal());
            latent::standardise(&mut values);
            marks::apply(&mut values, draws);
            values
        })
        .collect();
    let names = (0..columns).map(|column| format!("c{column:02}")).collect();
    Frame { names, positions: (0..rows).map(|row| first + row as f64).collect(), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_finite_reproducible_and_different() {
        let mut widths = [0; COLUMNS + 1];
        for number in 0..200 {
            let table = table(300, 5, number);
            widths[table.columns()] += 1;
            assert_eq!((table.rows(), table.positions.len(), table.names.len()), (300, 300, table.columns()));
            assert!(table.values.iter().flatten().all(|v| v.is_finite() && v.abs() < 1e9), "table {number}");
            let varies = |values: &Vec<f64>| values.iter().any(|v| v != &values[0]);
            assert!(table.values.iter().any(varies), "table {number} is constant");
        }
        assert!(widths[0] == 0 && widths[1..].iter().filter(|&&n| n > 0).count() >= 14, "{widths:?}");
        assert_eq!(table(300, 5, 7).values, table(300, 5, 7).values);
        assert_ne!(table(300, 5, 7).values, table(300, 6, 7).values);
        for rows in [1, 2, 9] {
            assert!(table(rows, 1, 0).values.iter().all(|column| column.len() == rows));
        }
    }
}
