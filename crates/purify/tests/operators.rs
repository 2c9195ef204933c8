//! Every operator beside onnxruntime, its gradient beside finite differences, and files that cannot be used
//! (tests/golden/onnx/operators.json, made by tests/peers/onnx_fixtures.py).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_purify::{Classifier, OnnxClassifier, OnnxOptions, Result};
use serde_json::Value;

/// How far apart numbers of finite differences are; no kink of a fixture is nearer than twice this.
const STEP: f32 = 0.02;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx/operators.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value["model"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|k| u8::from_str_radix(&hex[k..k + 2], 16).unwrap()).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> Result<OnnxClassifier> {
        OnnxClassifier::open(&self.file(bytes), &Device::flex())
    }
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn rows(x: &[f32], count: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(x.to_vec(), [count, x.len() / count]), &Device::flex())
}

/// The largest difference, in units of the largest number (at least one).
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    if found.len() != expected.len() {
        return f32::INFINITY;
    }
    let largest = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    found.iter().zip(expected).map(|(a, b)| if a.is_finite() { (a - b).abs() / largest } else { f32::INFINITY }).fold(0.0, f32::max)
}

/// Weights of logits in the sum whose gradient is checked.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|k| (k as f32 + 0.5).cos()).collect()
}

/// Every how many-th number of an input of `len` has its slope measured.
fn every(len: usize) -> usize {
    len.div_ceil(64)
}

/// The gradient by differences of fourth order.
fn differences(classifier: &OnnxClassifier, x: &[f32], count: usize) -> Vec<f32> {
    let sum = |x: &[f32]| {
        let y = host(classifier.logits(rows(x, count)).unwrap());
        y.iter().zip(weights(y.len())).map(|(y, w)| f64::from(*y) * f64::from(w)).sum::<f64>()
    };
    let moved = |k: usize, by: f32| {
        let mut x = x.to_vec();
        x[k] += by * STEP;
        sum(&x)
    };
    let slope = |k| (8.0 * (moved(k, 1.0) - moved(k, -1.0)) - (moved(k, 2.0) - moved(k, -2.0))) / (12.0 * f64::from(STEP));
    (0..x.len()).step_by(every(x.len())).map(|k| slope(k) as f32).collect()
}

#[test]
fn operators_agree_with_onnxruntime_and_their_gradients_with_differences() {
    let folder = Folder::new();
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (x, y) = (list(&case["x"]), list(&case["y"]));
        let classifier = match folder.open(&bytes(case)) {
            Ok(classifier) => classifier,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let count = x.len() / classifier.input_len();
        assert_eq!(classifier.classes(), y.len() / count, "{name}");
        let found = match classifier.logits(rows(&x, count)) {
            Ok(found) => host(found),
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let apart = distance(&found, &y);
        if apart > 1e-4 {
            wrong.push(format!("{name}: {apart} from onnxruntime\n  {found:?}\n  {y:?}"));
            continue;
        }
        let leaf = rows(&x, count).autodiff().require_grad();
        let tracked = classifier.logits(leaf.clone()).unwrap();
        let apart = distance(&host(tracked.clone().inner()), &y);
        if apart > 1e-4 {
            wrong.push(format!("{name}: {apart} from onnxruntime under autodiff"));
        }
        if case["gradient"].as_bool().unwrap() {
            let scales = Tensor::<2>::from_data(TensorData::new(weights(y.len()), tracked.dims()), &Device::flex());
            let mut gradient = leaf.grad(&(tracked * scales).sum().backward()).map_or_else(|| vec![0.0; x.len()], host);
            gradient = gradient.into_iter().step_by(every(x.len())).collect();
            let apart = distance(&gradient, &differences(&classifier, &x, count));
            if apart > 1e-3 {
                wrong.push(format!(
                    "{name}: gradient {apart} from differences\n  {gradient:?}\n  {:?}",
                    differences(&classifier, &x, count)
                ));
            }
        }
    }
    assert!(cases.len() > 200);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let folder = Folder::new();
    for case in golden()["cases"].as_array().unwrap() {
        let (x, y) = (list(&case["x"]), list(&case["y"]));
        let name = case["name"].as_str().unwrap();
        // The one model that mixes rows on purpose.
        if name == "Gemm of two" {
            continue;
        }
        let classifier = folder.open(&bytes(case)).unwrap();
        let alone = host(classifier.logits(rows(&x[..classifier.input_len()], 1)).unwrap());
        assert!(distance(&alone, &y[..classifier.classes()]) < 1e-4, "{name}: {alone:?}");
    }
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = Folder::new();
    let golden = golden();
    let models = golden["broken"].as_array().unwrap();
    assert!(models.len() > 25);
    for model in models {
        let name = model["name"].as_str().unwrap();
        let message = folder.open(&bytes(model)).expect_err(name).to_string();
        assert!(message.contains("model.onnx: "), "{name}: {message}");
        for word in model["words"].as_array().unwrap() {
            let word = word.as_str().unwrap();
            assert!(message.contains(word), "{name}: `{word}` is not in: {message}");
        }
    }
}

#[test]
fn what_a_file_leaves_open_can_be_given() {
    let folder = Folder::new();
    let golden = golden();
    let model = |name: &str| bytes(golden["broken"].as_array().unwrap().iter().find(|model| model["name"] == name).unwrap());
    let open = |bytes: &[u8], options: OnnxOptions| OnnxClassifier::open_with(&folder.file(bytes), &options, &Device::flex());

    let options = OnnxOptions { output: Some("z".into()), ..OnnxOptions::default() };
    let negated = open(&model("two outputs"), options).unwrap().logits(rows(&[1.0, 2.0, 3.0, 4.0], 1)).unwrap();
    assert_eq!(host(negated), [-1.0, -2.0, -3.0, -4.0]);
    let options = OnnxOptions { output: Some("q".into()), ..OnnxOptions::default() };
    let message = open(&model("two outputs"), options).unwrap_err().to_string();
    assert!(message.contains("no output `q`") && message.contains(r#"["y", "z"]"#), "{message}");

    let given = |shape: &[usize]| OnnxOptions { input_shape: Some(shape.to_vec()), ..OnnxOptions::default() };
    let message = open(&model("open input"), given(&[4, 5])).unwrap_err().to_string();
    assert!(message.contains("[open, 3, open], which one input of [4, 5] does not fit"), "{message}");
    // Its output has the input's shape, which is no row of classes.
    let message = open(&model("open input"), given(&[3, 5])).unwrap_err().to_string();
    assert!(message.contains("[1, 3, 5] for 1 rows, expected [1, classes]"), "{message}");
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    let golden = golden();
    let case = golden["cases"].as_array().unwrap().iter().find(|case| case["name"] == "Gemm").unwrap();
    let classifier = folder.open(&bytes(case)).unwrap();
    let message = classifier.logits(rows(&[0.0; 12], 2)).unwrap_err().to_string();
    assert!(message.contains("input `x` takes 5 numbers a row (shape [5]), found rows of 6"), "{message}");
    let none = Tensor::<2>::zeros([0, 5], &Device::flex());
    assert_eq!(classifier.logits(none).unwrap().dims(), [0, 3]);
}

/// Numbers that are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let folder = Folder::new();
    let mut draws = Draws(1);
    let noise: Vec<u8> = (0..1000).map(|_| draws.below(256) as u8).collect();
    let message = folder.open(&noise).unwrap_err().to_string();
    assert!(message.contains("no ONNX file"), "{message}");
    assert!(folder.open(&[]).is_err());
    let missing = OnnxClassifier::open(Path::new("nowhere.onnx"), &Device::flex()).unwrap_err().to_string();
    assert!(missing.contains("nowhere.onnx"), "{missing}");
    for case in golden()["cases"].as_array().unwrap() {
        let whole = bytes(case);
        for _ in 0..3 {
            // Cut inside the last message, the file cannot be whole.
            assert!(folder.open(&whole[..draws.below(whole.len() - 8)]).is_err(), "{}", case["name"]);
        }
        for _ in 0..8 {
            let mut damaged = whole.clone();
            for _ in 0..=draws.below(3) {
                let at = draws.below(damaged.len());
                damaged[at] = draws.below(256) as u8;
            }
            if let Ok(classifier) = folder.open(&damaged) {
                let _ = classifier.logits(Tensor::zeros([2, classifier.input_len()], &Device::flex()));
            }
        }
    }
}
