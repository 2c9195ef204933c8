//! How long an ONNX classifier takes: one worker of tests/peers/onnx_speed.py.
//!
//! `onnx_time MODEL THREADS`, then lines of `BATCH REPEATS forward|gradient` on standard input; each answers with the median in microseconds.
#![allow(clippy::print_stdout, reason = "a worker answers on standard output")]

use std::{error::Error, io::BufRead as _, path::Path, time::Instant};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_purify::{Classifier as _, OnnxClassifier};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, model, threads] = &args[..] else { return Err("usage: onnx_time MODEL THREADS".into()) };
    let device = Device::flex();
    let classifier = OnnxClassifier::open(Path::new(model), &device)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [batch, repeats, step] = words[..] else { return Err(format!("`{line}` is not BATCH REPEATS STEP").into()) };
        let (batch, repeats) = (batch.parse::<usize>()?, repeats.parse::<usize>()?);
        let len = classifier.input_len();
        let x: Vec<f32> = (0..batch * len).map(|k| (k as f32 * 0.37).sin()).collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [batch, len]), &device);
        let once = || -> langevin_purify::Result<f64> {
            let started = Instant::now();
            if step == "gradient" {
                let leaf = x.clone().autodiff().require_grad();
                let gradients = classifier.logits(leaf.clone())?.sum().backward();
                std::hint::black_box(leaf.grad(&gradients));
            } else {
                std::hint::black_box(classifier.logits(x.clone())?);
            }
            Ok(started.elapsed().as_secs_f64() * 1e6)
        };
        let mut times = pool.install(|| (0..repeats.max(1)).map(|_| once()).collect::<langevin_purify::Result<Vec<_>>>())?;
        times.sort_by(f64::total_cmp);
        println!("{:.1}", times[times.len() / 2]);
    }
    Ok(())
}
