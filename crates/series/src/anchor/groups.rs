//! Which columns are estimated from one another.

/// Most columns of a group: covariances of all lags grow with its square.
const MOST: usize = 32;

/// Columns ordered by name, which makes results independent of their order in the file; columns of the same name keep theirs.
pub(super) fn by_name(names: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| names[a].cmp(&names[b]));
    order
}

/// All columns in one group when they are few; else groups of the most correlated, each begun by the first column that has none.
pub(super) fn split(order: &[usize], tables: &[Vec<Vec<f64>>]) -> Vec<Vec<usize>> {
    let mut left = order.to_vec();
    let mut groups = Vec::new();
    while left.len() > MOST {
        let first = left[0];
        let mut near: Vec<(f64, usize)> = left.iter().enumerate().map(|(at, &column)| (correlation(tables, first, column), at)).collect();
        near[0].0 = f64::INFINITY;
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut taken: Vec<usize> = near[..MOST].iter().map(|&(_, at)| at).collect();
        taken.sort_unstable();
        groups.push(taken.iter().map(|&at| left[at]).collect());
        taken.iter().rev().for_each(|&at| {
            left.remove(at);
        });
    }
    if !left.is_empty() {
        groups.push(left);
    }
    groups
}

/// Size of the correlation of two columns over rows where both were observed.
fn correlation(tables: &[Vec<Vec<f64>>], a: usize, b: usize) -> f64 {
    let pairs = tables.iter().flat_map(|table| table[a].iter().zip(&table[b])).filter(|(x, y)| !(*x * *y).is_nan());
    let (mut count, mut products, mut squares) = (0.0, 0.0, [0.0; 2]);
    for (x, y) in pairs {
        count += 1.0;
        products += x * y;
        squares[0] += x * x;
        squares[1] += y * y;
    }
    // Few pairs prove little.
    products.abs() / (squares[0] * squares[1]).sqrt().max(1e-12) * count / (count + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_columns_stay_together() {
        let wave = |k: usize| (0..200).map(|t| ((t * (1 + k % 2)) as f64 * 0.2).sin() + 0.01 * ((t * k) % 7) as f64).collect::<Vec<_>>();
        let table: Vec<Vec<f64>> = (0..70).map(wave).collect();
        let order: Vec<usize> = (0..70).collect();
        let groups = split(&order, &[table]);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 6]);
        assert!(groups[0].iter().all(|c| c % 2 == 0) && groups[1].iter().all(|c| c % 2 == 1));
        assert_eq!(by_name(&["b".into(), "a".into(), "c".into()]), [1, 0, 2]);
    }
}
