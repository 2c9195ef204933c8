//! Metrics against closed forms and against sets built to have a known answer.

#![allow(clippy::unwrap_used)]

use langevin_audio::metrics::{
    Gaussian, copies, frechet_distance, log_spectral_distance, mel_cepstral_distortion, ndb, nearest_distances, precision_recall,
};
use std::f64::consts::PI;

type Set = Vec<Vec<f32>>;

/// Standard normal numbers that depend on the seed alone (SplitMix64 and Box-Muller).
fn normal(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    move || ((-2.0 * (1.0 - uniform()).ln()).sqrt() * (2.0 * PI * uniform()).cos()) as f32
}

/// `n` points about `mean` with standard deviation `scale`.
fn cloud(n: usize, mean: &[f32], scale: f32, seed: u64) -> Set {
    let mut next = normal(seed);
    (0..n).map(|_| mean.iter().map(|m| m + scale * next()).collect()).collect()
}

/// `n / modes` points about each of `modes` centres on a circle of radius 10 in the plane.
fn ring(n: usize, modes: &[usize], seed: u64) -> Set {
    let mut points = Vec::new();
    for &mode in modes {
        let angle = 2.0 * PI * mode as f64 / 10.0;
        let centre = [10.0 * angle.cos() as f32, 10.0 * angle.sin() as f32];
        points.extend(cloud(n / modes.len(), &centre, 0.3, seed * 100 + mode as u64));
    }
    points
}

/// `2 dim` points with exactly zero mean and unbiased covariance `diag(variance)`, moved to `mean`.
fn exact(mean: &[f64], variance: &[f64]) -> Set {
    let (dim, n) = (mean.len(), 2 * mean.len());
    let mut points = Vec::new();
    for (axis, spread) in variance.iter().enumerate() {
        for sign in [-1.0, 1.0] {
            let reach = (spread * (n - 1) as f64 / 2.0).sqrt();
            points.push((0..dim).map(|i| (mean[i] + if i == axis { sign * reach } else { 0.0 }) as f32).collect());
        }
    }
    points
}

fn rotate(set: &Set, angle: f32) -> Set {
    let (sin, cos) = angle.sin_cos();
    set.iter().map(|p| vec![cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]]).collect()
}

#[test]
fn frechet_distance_has_its_closed_form() {
    // Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    let a = exact(&[0.0, 1.0, -2.0], &[1.0, 4.0, 9.0]);
    let b = exact(&[1.0, 1.0, 0.0], &[4.0, 0.25, 9.0]);
    let want = 1.0 + 4.0 + 1.0 + 1.5 * 1.5;
    assert!((frechet_distance(&a, &b).unwrap() - want).abs() < 1e-4);
    assert!((frechet_distance(&b, &a).unwrap() - want).abs() < 1e-4);
    // Covariances that do not commute, 2 x 2: tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)) with M = C1 C2.
    let a = exact(&[0.0, 0.0], &[4.0, 1.0]);
    let b = rotate(&exact(&[0.0, 0.0], &[9.0, 0.25]), 0.7);
    let (s, c) = 0.7f64.sin_cos();
    let second = [9.0 * c * c + 0.25 * s * s, 9.0 * s * s + 0.25 * c * c]; // diagonal of C2
    let trace = 4.0 * second[0] + second[1];
    let want = 5.0 + 9.25 - 2.0 * (trace + 2.0 * (4.0f64 * 9.0 * 0.25).sqrt()).sqrt();
    assert!((frechet_distance(&a, &b).unwrap() - want).abs() < 1e-4);
}

#[test]
fn frechet_distance_of_a_set_to_itself_is_zero() {
    let full = cloud(300, &[0.0; 20], 2.0, 1);
    assert!(frechet_distance(&full, &full).unwrap() < 1e-9);
    // Rank 9 in 40 dimensions: most eigenvalues are zero up to rounding.
    let thin = cloud(10, &[5.0; 40], 1.0, 2);
    let itself = frechet_distance(&thin, &thin).unwrap();
    assert!((0.0..1e-4).contains(&itself), "{itself}");
    let mut moved = thin.clone();
    moved.iter_mut().for_each(|p| p[3] += 2.0);
    let distance = frechet_distance(&thin, &moved).unwrap();
    assert!((distance - 4.0).abs() < 1e-3, "{distance}");
    // All points equal.
    let point = vec![vec![1.0f32; 4]; 5];
    assert_eq!(frechet_distance(&point, &point).unwrap(), 0.0);
}

#[test]
fn ndb_counts_what_is_missing() {
    let all: Vec<usize> = (0..10).collect();
    let reference = ring(1000, &all, 1);
    // The same set: no difference at all, and one tenth in each bin.
    let same = ndb(&reference, &reference, 10).unwrap();
    assert_eq!(same.different, 0);
    assert!(same.reference.iter().all(|&share| (share - 0.1).abs() < 1e-9), "{:?}", same.reference);
    // Another sample of the same ten modes.
    assert_eq!(ndb(&reference, &ring(1000, &all, 2), 10).unwrap().different, 0);
    // Mode 4 missing: its bin is empty; the others, 0.111 instead of 0.1, are within chance (z = 0.81).
    let missing = ring(999, &[0, 1, 2, 3, 5, 6, 7, 8, 9], 3);
    let result = ndb(&reference, &missing, 10).unwrap();
    assert_eq!((result.different, result.generated.iter().filter(|&&s| s == 0.0).count()), (1, 1));
    // Collapse to one mode: every bin differs.
    assert_eq!(ndb(&reference, &ring(1000, &[4], 4), 10).unwrap().different, 10);
    assert_eq!(ndb(&reference, &missing, 10).unwrap(), result);
    // The threshold of the test itself, one bin against another: 50/100 against 63/100 (z = 1.86) and 64/100 (z = 2.0).
    let two = |right: usize, n: usize| -> Set { (0..n).map(|i| vec![if i < right { 10.0 } else { 0.0 }]).collect() };
    assert_eq!(ndb(&two(50, 100), &two(63, 100), 2).unwrap().different, 0);
    assert_eq!(ndb(&two(50, 100), &two(64, 100), 2).unwrap().different, 2);
}

#[test]
fn precision_and_recall_tell_quality_from_diversity() {
    let all: Vec<usize> = (0..10).collect();
    let real = ring(1000, &all, 1);
    let score = |set: &Set| precision_recall(&real, set, 3).unwrap();
    let itself = score(&real);
    assert_eq!((itself.precision, itself.recall), (1.0, 1.0));
    let good = score(&ring(1000, &all, 2));
    assert!(good.precision > 0.9 && good.recall > 0.9, "{good:?}");
    let half = score(&ring(500, &[0, 1, 2, 3, 4], 3));
    assert!(half.precision > 0.9 && (0.4..=0.5).contains(&half.recall), "{half:?}");
    let far = score(&cloud(100, &[50.0, 50.0], 0.3, 4));
    assert_eq!((far.precision, far.recall), (0.0, 0.0));
    // On a line with k = 1: radii 1, 1, 4 about 0, 1, 5; 9 is on the last border, 9.5 and -1.5 are outside.
    let line = |values: &[f32]| -> Set { values.iter().map(|&v| vec![v]).collect() };
    let score = precision_recall(&line(&[0.0, 1.0, 5.0]), &line(&[9.0, 9.5, -1.5, 0.4]), 1).unwrap();
    assert_eq!(score.precision, 0.5);
}

#[test]
fn planted_copies_are_found() {
    let train = cloud(500, &[0.0; 8], 1.0, 1);
    let held_out = cloud(400, &[0.0; 8], 1.0, 2);
    let mut generated = cloud(90, &[0.0; 8], 1.0, 3);
    let honest = copies(&generated, &train, &held_out, 0.01).unwrap();
    assert!(honest.share <= 0.04, "{}", honest.share);
    for i in 0..10 {
        let mut copy = train[i * 7].clone();
        copy[0] += 0.01;
        generated.push(copy);
    }
    let result = copies(&generated, &train, &held_out, 0.01).unwrap();
    assert!((result.share * 100.0 - honest.share * 90.0 - 10.0).abs() < 1e-9);
    for i in 0..10 {
        let (index, distance) = result.nearest[90 + i];
        assert_eq!(index, i * 7);
        assert!((distance - 0.01).abs() < 1e-5 && distance < result.threshold);
    }
    let distances = nearest_distances(&[vec![3.0, 4.0]], &[vec![9.0, 9.0], vec![0.0, 0.0]]).unwrap();
    assert_eq!(distances, [(1, 5.0)]);
}

#[test]
fn malformed_sets_are_errors() {
    let good = cloud(20, &[0.0; 3], 1.0, 1);
    let wide = cloud(20, &[0.0; 4], 1.0, 1);
    let mut ragged = good.clone();
    ragged[3].pop();
    let mut nan = good.clone();
    nan[3][1] = f32::NAN;
    for bad in [&wide, &ragged, &nan, &vec![], &vec![vec![]; 20]] {
        assert!(frechet_distance(&good, bad).is_err());
        assert!(ndb(&good, bad, 5).is_err() && ndb(bad, &good, 5).is_err());
        assert!(precision_recall(&good, bad, 3).is_err() && precision_recall(bad, &good, 3).is_err());
        assert!(copies(&good, bad, &good, 0.01).is_err() && copies(&good, &good, bad, 0.01).is_err());
    }
    assert!(frechet_distance(&good[..1], &good).is_err());
    assert!(Gaussian::fit(&good).unwrap().distance(&Gaussian::fit(&wide).unwrap()).is_err());
    assert!(ndb(&good, &good, 0).is_err() && ndb(&good, &good, 21).is_err());
    assert!(precision_recall(&good, &good[..3], 3).is_err() && precision_recall(&good, &good, 0).is_err());
    assert!(copies(&good, &good, &good, 1.5).is_err() && copies(&good, &good, &good, f64::NAN).is_err());
    // Fewer distinct points than bins: bins stay empty, nothing breaks.
    assert_eq!(ndb(&vec![vec![1.0, 1.0]; 9], &vec![vec![1.0, 1.0]; 9], 4).unwrap().different, 0);
}

#[test]
fn log_spectral_distance_in_decibels() {
    let a = [1.0f32, 2.0, 0.5, 4.0, 1.0, 3.0];
    let louder: Vec<f32> = a.iter().map(|v| v * 2.0).collect();
    let lsd = |a: &[f32], b: &[f32]| log_spectral_distance(a, b, 3, 1e-6).unwrap();
    assert_eq!(lsd(&a, &a), 0.0);
    assert!((lsd(&a, &louder) - 20.0 * 2f64.log10()).abs() < 1e-5);
    // One bin of three off by 20 dB in the first frame only: sqrt(400 / 3) / 2.
    let mut one = a;
    one[1] *= 10.0;
    assert!((lsd(&a, &one) - (400.0f64 / 3.0).sqrt() / 2.0).abs() < 1e-5);
    assert_eq!(log_spectral_distance(&[0.0; 3], &[1e-7; 3], 3, 1e-6).unwrap(), 0.0);
    assert!(log_spectral_distance(&a, &a[..3], 3, 1e-6).is_err());
    assert!(log_spectral_distance(&a, &a, 4, 1e-6).is_err() && log_spectral_distance(&a, &a, 0, 1e-6).is_err());
    assert!(log_spectral_distance(&a, &a, 3, 0.0).is_err() && log_spectral_distance(&[], &[], 3, 1e-6).is_err());
    assert!(log_spectral_distance(&a, &[f32::NAN; 6], 3, 1e-6).is_err());
}

#[test]
fn mel_cepstral_distortion_of_a_ripple() {
    let (n_mels, frames, height) = (24usize, 3usize, 0.3f64);
    let flat = vec![1.0f32; n_mels * frames];
    let ripple = |order: f64, level: f64| -> Vec<f32> {
        (0..frames * n_mels)
            .map(|i| {
                let phase = PI * order * ((i % n_mels) as f64 + 0.5) / n_mels as f64;
                (1.0 + level + 2.0 * height * phase.cos()) as f32
            })
            .collect()
    };
    let mcd = |b: &[f32]| mel_cepstral_distortion(&flat, b, n_mels, 13).unwrap();
    // A ripple 2 h cos(...) of order 5 is c_5 = h; the level is ignored, and so are orders beyond 13.
    let want = 10.0 / 10f64.ln() * 2f64.sqrt() * height;
    assert!((mcd(&ripple(5.0, 0.0)) - want).abs() < 1e-5);
    assert!((mcd(&ripple(5.0, 3.0)) - want).abs() < 1e-5);
    assert!(mcd(&ripple(14.0, 0.0)) < 1e-5);
    assert!(mel_cepstral_distortion(&flat, &flat, n_mels, 24).is_err());
    assert!(mel_cepstral_distortion(&flat, &flat, n_mels, 0).is_err());
    assert!(mel_cepstral_distortion(&flat, &flat[1..], n_mels, 13).is_err());
}
