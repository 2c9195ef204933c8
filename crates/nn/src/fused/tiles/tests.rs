use super::{
    super::{linear::add_bias, vector},
    *,
};
use langevin_core::noise::{NoiseSource as _, Philox};

fn normals(len: usize, stream: u32) -> Vec<f32> {
    let mut out = vec![0.0; len];
    Philox::new(8).fill(0, 0, stream, &mut out);
    out
}

fn packed(side: Side, lanes: usize, terms: usize, values: &[f32], at: Place) -> Packed {
    let mut packed = Packed::empty(side);
    packed.begin(lanes, terms);
    packed.put([0, 0], lanes, terms, values, at);
    packed
}

/// Largest error over the root of the terms, of tiles and of the plain sum in f32, on odd sizes and every layout.
#[test]
fn products_of_every_layout_are_as_exact_as_sums_in_f32() {
    if !available() {
        eprintln!("skipped: this processor has no tiles");
        return;
    }
    for [m, n, k] in [[1, 1, 1], [16, 32, 32], [17, 33, 65], [50, 20, 700], [33, 64, 15], [64, 70, 48]] {
        for layout in 0..9 {
            // Rows in one piece, columns in one piece, or neither.
            let place = |layout: usize, rows: usize, columns: usize| match layout {
                0 => Place { start: 3, row: columns + 2, column: 1 },
                1 => Place { start: 1, row: 1, column: rows + 1 },
                _ => Place { start: 0, row: 3 * columns, column: 3 },
            };
            let (a_at, b_at) = (place(layout / 3, m, k), place(layout % 3, k, n));
            let (a, b) = (normals(3 * (m + 2) * (k + 2), 0), normals(3 * (k + 2) * (n + 2), 1));
            let left = packed(Side::Left, m, k, &a, a_at);
            let right = packed(Side::Right, n, k, &b, b_at);
            let before = normals(m * (n + 5), 2);
            for (add, scale) in [(false, 1.0), (true, 1.0), (true, -0.3), (false, 2.0)] {
                let mut out = before.clone();
                let at = Place { start: 4, row: n + 5, column: 1 };
                product(&left, &right, scale, &mut out, at, add, None);
                let bias = normals(n, 3);
                let (mut with, mut after) = (before.clone(), out.clone());
                product(&left, &right, scale, &mut with, at, add, Some(&bias));
                (0..m).for_each(|i| add_bias(&bias, &mut after[4 + i * (n + 5)..][..n]));
                assert_eq!(with, after, "{m} {n} {k}: a bias at once or afterwards");
                let (mut worst, mut plain_worst) = (0f64, 0f64);
                for i in 0..m {
                    for (j, found) in out[4 + i * (n + 5)..][..n].iter().enumerate() {
                        let old = if add { before[4 + i * (n + 5) + j] } else { 0.0 };
                        let (mut exact, mut plain, mut size) = (f64::from(old), 0f32, 1e-3);
                        for t in 0..k {
                            let a = a[a_at.start + i * a_at.row + t * a_at.column];
                            let b = b[b_at.start + t * b_at.row + j * b_at.column];
                            exact += f64::from(scale) * f64::from(a) * f64::from(b);
                            plain += a * b;
                            size += (f64::from(a) * f64::from(b)).powi(2);
                        }
                        let error = |x: f64| (x - exact).abs() / size.sqrt();
                        worst = worst.max(error(f64::from(*found)));
                        plain_worst = plain_worst.max(error(f64::from(old + scale * plain)));
                    }
                }
                let what = format!("{m} {n} {k}, layout {layout}, add {add}, scale {scale}: {worst:e}, in f32 {plain_worst:e}");
                assert!(worst < 2.0 * plain_worst + 3e-7, "{what}");
                // Nothing else is written.
                for (at, (x, y)) in out.iter().zip(&before).enumerate() {
                    let is_inside = at >= 4 && (at - 4) % (n + 5) < n && (at - 4) / (n + 5) < m;
                    assert!(is_inside || x == y, "{what}: {at} was written");
                }
            }
        }
    }
}

/// A product of rounded factors is that of numbers of 8 bits, as exact as with f32.
#[test]
fn rounded_products_are_those_of_rounded_numbers() {
    if !available() {
        eprintln!("skipped: this processor has no tiles");
        return;
    }
    let round = |x: &f32| f32::from_bits(x.to_bits().wrapping_add(0x7FFF + (x.to_bits() >> 16 & 1)) & 0xFFFF_0000);
    for [m, n, k] in [[1, 1, 1], [16, 32, 32], [17, 33, 65], [50, 20, 700], [33, 64, 15], [64, 70, 48]] {
        let (a, b) = (normals(m * k, 0), normals(k * n, 1));
        let run = |a: &[f32], b: &[f32], layouts: [bool; 2], precision: Precision| {
            let _entered = precision.enter();
            let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
            };
            let left = if layouts[0] {
                packed(Side::Left, m, k, &turned(a, m, k), Place::rows(m).transposed())
            } else {
                packed(Side::Left, m, k, a, Place::rows(k))
            };
            let right = if layouts[1] {
                packed(Side::Right, n, k, &turned(b, k, n), Place::rows(k).transposed())
            } else {
                packed(Side::Right, n, k, b, Place::rows(n))
            };
            let mut out = vec![0.5; m * n];
            product(&left, &right, 1.0, &mut out, Place::rows(n), true, None);
            out
        };
        let rounded = |values: &[f32]| values.iter().map(round).collect::<Vec<f32>>();
        let exact = run(&rounded(&a), &rounded(&b), [false; 2], Precision::Full);
        for layouts in [[false, false], [true, false], [false, true], [true, true]] {
            let found = run(&a, &b, layouts, Precision::Bfloat16);
            for (x, y) in found.iter().zip(&exact) {
                assert!((x - y).abs() < 1e-5 * (k as f32).sqrt(), "{m} {n} {k} {layouts:?}: {x} not {y}");
            }
        }
    }
}

#[test]
fn parts_hold_every_bit() {
    if !available() {
        eprintln!("skipped: this processor has no tiles");
        return;
    }
    // Times one, every number comes back: three parts of 8 bits are all 24.
    let values: Vec<f32> = normals(32 * 32, 3).iter().map(|x| x * 1e5).chain([f32::MAX, f32::MIN, 1.0, -0.0]).collect();
    let len = values.len();
    let left = packed(Side::Left, len, 1, &values, Place::rows(1));
    let right = packed(Side::Right, 1, 1, &[1.0], Place::rows(1));
    let mut out = vec![0.0; len];
    product(&left, &right, 1.0, &mut out, Place::rows(1), false, None);
    assert_eq!(out, values);
}

/// All tests of fused operations once more on tiles in plain Rust, so that what is built on tiles is tested on processors without them.
#[test]
fn fused_operations_hold_on_emulated_tiles() {
    if available() || !matches!(vector::width(), vector::Width::Avx512) {
        eprintln!("skipped: this processor has tiles, or no vectors to lay factors out for them with");
        return;
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let run = std::process::Command::new(program).args(["fused::", "--skip", emulated::MARK]).output().expect("a test can be run again");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
