use super::{
    super::{linear::add_bias, precision::Precision},
    *,
};
use langevin_core::noise::{NoiseSource as _, Philox};

fn normals(len: usize, stream: u32) -> Vec<f32> {
    let mut out = vec![0.0; len];
    Philox::new(9).fill(0, 0, stream, &mut out);
    out
}

/// Rows in one piece, columns in one piece, or neither.
fn place(layout: usize, rows: usize, columns: usize) -> Place {
    match layout {
        0 => Place { start: 3, row: columns + 2, column: 1 },
        1 => Place { start: 1, row: 1, column: rows + 1 },
        _ => Place { start: 0, row: 3 * columns, column: 3 },
    }
}

fn packed(side: Side, lanes: usize, terms: usize, (values, at): (&[f32], Place)) -> Packed {
    let mut packed = Packed::empty(side);
    packed.begin(lanes, terms);
    packed.put([0, 0], lanes, terms, values, at);
    packed
}

/// Every way to a product gives the same bits, as exact as sums in f32, and writes nothing else.
#[test]
fn products_of_every_layout_are_the_sums() {
    if !available() {
        eprintln!("skipped: this processor has no such vectors");
        return;
    }
    for [m, n, k] in [[1, 1, 1], [6, 64, 16], [7, 65, 17], [18, 18, 32], [3, 130, 40], [50, 20, 700], [13, 96, 5], [33, 79, 300]] {
        for layout in 0..9 {
            let (a_at, b_at) = (place(layout / 3, m, k), place(layout % 3, k, n));
            let (a, b) = (normals(3 * (m + 2) * (k + 2), 0), normals(3 * (k + 2) * (n + 2), 1));
            let (left, right) = (packed(Side::Left, m, k, (&a, a_at)), packed(Side::Right, n, k, (&b, b_at)));
            let (before, bias) = (normals(m * (n + 5) + 4, 2), normals(n, 3));
            for (add, scale, bias) in [(false, 1.0, None), (true, -0.3, None), (false, 2.0, Some(&bias)), (true, 1.0, Some(&bias))] {
                let what = format!("{m} {n} {k}, layout {layout}, add {add}, scale {scale}");
                let run = |work: &dyn Fn(Target<'_>)| {
                    let mut out = before.clone();
                    let at = Place { start: 4, row: n + 5, column: 1 };
                    work(Target { out: &mut out, at, scale, add, bias: bias.map(|bias| &**bias) });
                    out
                };
                let out = run(&|target| product(&left, &right, target));
                assert_eq!(out, run(&|target| product_of_rows(m, (&a, a_at), &right, target)), "{what}: rows");
                assert_eq!(out, run(&|target| product_of_places([m, n, k], (&a, a_at), (&b, b_at), target)), "{what}: places");
                for (at, (found, old)) in out.iter().zip(&before).enumerate() {
                    let (i, j) = (at.wrapping_sub(4) / (n + 5), at.wrapping_sub(4) % (n + 5));
                    if at < 4 || j >= n {
                        assert_eq!(found, old, "{what}: {at} was written");
                        continue;
                    }
                    let mut exact = if add { f64::from(*old) } else { 0.0 } + bias.map_or(0.0, |bias| f64::from(bias[j]));
                    let mut size = 1.0;
                    for t in 0..k {
                        let (a, b) = (a[a_at.start + i * a_at.row + t * a_at.column], b[b_at.start + t * b_at.row + j * b_at.column]);
                        exact += f64::from(scale) * f64::from(a) * f64::from(b);
                        size += f64::from(scale * a * b).powi(2);
                    }
                    assert!((f64::from(*found) - exact).abs() < 3e-6 * (size.sqrt() + exact.abs()), "{what}: {found} not {exact}");
                }
            }
        }
    }
}

/// Parts of a factor make the same factor.
#[test]
fn factors_are_laid_out_part_by_part() {
    if !available() {
        eprintln!("skipped: this processor has no such vectors");
        return;
    }
    let (m, n, k) = (9, 70, 41);
    let (a, b) = (normals(m * k, 0), normals(k * n, 1));
    for turned in [false, true] {
        let place = |rows: usize, columns: usize| if turned { Place::rows(rows).transposed() } else { Place::rows(columns) };
        let (a_at, b_at) = (place(m, k), place(k, n));
        let (mut left, mut right) = (Packed::empty(Side::Left), Packed::empty(Side::Right));
        left.begin(m, k);
        right.begin(n, k);
        // Later terms first: no part writes where another one did.
        for (from, to) in [(17, k), (0, 17)] {
            left.put([0, from], m, to - from, &a, a_at.at(from * a_at.column));
            for (lane, end) in [(32, n), (0, 32)] {
                right.put([lane, from], end - lane, to - from, &b, b_at.at(from * b_at.row + lane * b_at.column));
            }
        }
        let mut outs = [vec![0.0; m * n], vec![0.0; m * n]];
        let [parts, whole] = &mut outs;
        let target = |out| Target { out, at: Place::rows(n), scale: 1.0, add: false, bias: None };
        product(&left, &right, target(parts));
        product(&packed(Side::Left, m, k, (&a, a_at)), &packed(Side::Right, n, k, (&b, b_at)), target(whole));
        assert_eq!(parts, whole, "turned {turned}");
    }
}

/// A bias at the end of a sum is the bias added afterwards.
#[test]
fn a_bias_is_added_last() {
    if !available() {
        eprintln!("skipped: this processor has no such vectors");
        return;
    }
    let (m, n, k) = (20, 33, 600);
    let (a, b, bias) = (normals(m * k, 0), normals(k * n, 1), normals(n, 2));
    let right = packed(Side::Right, n, k, (&b, Place::rows(n)));
    let run = |bias: Option<&[f32]>| {
        let mut out = vec![0.0; m * n];
        let target = Target { out: &mut out, at: Place::rows(n), scale: 1.0, add: false, bias };
        product_of_rows(m, (&a, Place::rows(k)), &right, target);
        out
    };
    let mut after = run(None);
    add_bias(&bias, &mut after);
    let scale = after.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(run(Some(&bias)).iter().zip(&after).all(|(x, y)| (x - y).abs() <= 1e-6 * scale));
}

/// A product of pairs is that of numbers of 8 bits, as exact as with f32, on every way to it.
#[test]
fn products_of_pairs_are_those_of_rounded_numbers() {
    let _entered = Precision::Bfloat16.enter();
    if !pairs::wanted() {
        eprintln!("skipped: this processor multiplies no pairs");
        return;
    }
    let round = |x: &f32| f32::from_bits(x.to_bits().wrapping_add(0x7FFF + (x.to_bits() >> 16 & 1)) & 0xFFFF_0000);
    for [m, n, k] in [[1, 1, 1], [6, 64, 16], [7, 65, 17], [18, 18, 32], [50, 20, 700], [33, 79, 301], [20, 130, 33]] {
        for layout in 0..9 {
            let (a_at, b_at) = (place(layout / 3, m, k), place(layout % 3, k, n));
            let (a, b) = (normals(3 * (m + 2) * (k + 2), 0), normals(3 * (k + 2) * (n + 2), 1));
            let (left, right) = (packed(Side::Left, m, k, (&a, a_at)), packed(Side::Right, n, k, (&b, b_at)));
            let what = format!("{m} {n} {k}, layout {layout}");
            let run = |work: &dyn Fn(Target<'_>)| {
                let mut out = vec![0.5; m * n];
                work(Target { out: &mut out, at: Place::rows(n), scale: 1.0, add: true, bias: None });
                out
            };
            let out = run(&|target| product(&left, &right, target));
            assert_eq!(out, run(&|target| product_of_rows(m, (&a, a_at), &right, target)), "{what}: rows");
            let of_places = run(&|target| product_of_places([m, n, k], (&a, a_at), (&b, b_at), target));
            assert!(m.min(n).min(k) < PAIRED || out == of_places, "{what}: places");
            // Parts of pairs, later ones first.
            let mut parts = Packed::empty(Side::Right);
            parts.begin(n, k);
            for (from, to) in [(k / 4 * 2, k), (0, k / 4 * 2)] {
                parts.put([0, from], n, to - from, &b, b_at.at(from * b_at.row));
            }
            assert_eq!(out, run(&|target| product(&left, &parts, target)), "{what}: parts");
            for (at, found) in out.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let exact: f64 = (0..k)
                    .map(|t| {
                        let (a, b) = (a[a_at.start + i * a_at.row + t * a_at.column], b[b_at.start + t * b_at.row + j * b_at.column]);
                        f64::from(round(&a)) * f64::from(round(&b))
                    })
                    .sum();
                assert!((f64::from(*found) - 0.5 - exact).abs() < 1e-5 * (k as f64).sqrt(), "{what}: {found} not {exact}");
            }
        }
    }
}
