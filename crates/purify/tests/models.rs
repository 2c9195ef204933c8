//! The shared classifiers: logits and input gradients beside those of their TorchScript files (tests/golden/onnx/models.json, made by
//! tests/peers/onnx_models.py).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use langevin_purify::{Classifier, OnnxClassifier};

fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("LANGEVIN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
        .join("data/purify");
    if !root.is_dir() {
        eprintln!("skipped: there is no {}; set LANGEVIN_SHARED to the folder that holds data/purify", root.display());
    }
    Some(root).filter(|root| root.is_dir())
}

/// The formula of onnx_models.py.
fn rows(count: usize, length: usize, scale: f32) -> Vec<f32> {
    let number = |r: f64, i: f64| 0.2 * (0.05 * (r + 1.0) * (i + 1.0)).sin() + 0.05 * (0.9 * i * (r + 2.0)).cos();
    (0..count).flat_map(|r| (0..length).map(move |i| scale * number(r as f64, i as f64) as f32)).collect()
}

fn list(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-4 * largest, "{what}, number {k}: {found} beside {expected} (largest {largest})");
    }
}

#[test]
fn shared_classifiers_agree_with_their_torchscript_files() {
    let Some(root) = shared() else { return };
    let golden = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx/models.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    let device = Device::flex();
    for model in golden["models"].as_array().unwrap() {
        let shape: Vec<usize> = model["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
        for file in model["files"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let classifier = OnnxClassifier::open(&root.join(file), &device).unwrap();
            assert_eq!((classifier.name(), classifier.input_shape()), (file, shape.as_slice()));
            agrees(&classifier, model, &device);
        }
        #[cfg(feature = "tch")]
        {
            let stem = model["files"][0].as_str().unwrap().split('.').next().unwrap();
            let file = root.join(format!("{stem}.torchscript.pt"));
            agrees(&langevin_purify::TorchScriptClassifier::open(&file, &shape).unwrap(), model, &device);
        }
    }
}

/// Logits without and with a graph, and the gradient of one row, are those of the golden file.
fn agrees(classifier: &dyn Classifier, model: &serde_json::Value, device: &Device) {
    let (count, scale) = (model["rows"].as_u64().unwrap() as usize, model["scale"].as_f64().unwrap() as f32);
    let logits: Vec<f32> = model["logits"].as_array().unwrap().iter().flat_map(list).collect();
    let (name, len) = (classifier.name(), classifier.input_len());
    assert_eq!(classifier.classes(), logits.len() / count, "{name}");
    let data = || TensorData::new(rows(count, len, scale), [count, len]);
    let plain = classifier.logits(Tensor::from_data(data(), device)).unwrap();
    assert_close(&plain.into_data().try_to_vec::<f32>().unwrap(), &logits, name);

    let x = Tensor::<2>::from_data(data(), device).autodiff().require_grad();
    let y = classifier.logits(x.clone()).unwrap();
    assert_close(&y.clone().inner().into_data().try_to_vec::<f32>().unwrap(), &logits, name);
    let weights: Vec<f32> = (0..classifier.classes()).map(|k| (k as f32).cos()).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [1, classifier.classes()]), device);
    let gradient = x.grad(&(y * weights).sum().backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
    assert_close(&gradient[(count - 1) * len..], &list(&model["gradient"]), &format!("{name}, gradient"));
}

#[test]
fn threads_do_not_change_logits() {
    let Some(root) = shared() else { return };
    let device = Device::flex();
    for file in ["fsdd_raw_cnn.onnx", "fsdd_raw_cnn.dynamo18.onnx", "BreastCancer.onnx"] {
        let classifier = OnnxClassifier::open(&root.join(file), &device).unwrap();
        let (count, len) = if file.starts_with("Breast") { (700, 30) } else { (5, 8000) };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let data = TensorData::new(rows(count, len, 1.0), [count, len]);
            pool.install(|| classifier.logits(Tensor::from_data(data, &device))).unwrap().into_data()
        };
        assert_eq!(run(1), run(3), "{file}");
    }
}
