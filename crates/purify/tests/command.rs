//! Programs as classifiers.
#![cfg(unix)]

use std::time::Duration;

use burn::tensor::{Device, Tensor};
use langevin_purify::{Classifier, CommandClassifier, Error, open_classifier};

fn open(command: &str) -> langevin_purify::Result<CommandClassifier> {
    CommandClassifier::open(command, &[3], Duration::from_secs(20))
}

fn refusal(command: &str) -> String {
    open(command).expect_err(command).to_string()
}

#[test]
fn a_command_scores_rows() {
    let classifier = open("awk -F, '{print $1 + $2 \", \" $1 - $3}'").unwrap();
    assert_eq!((classifier.classes(), classifier.input_len(), classifier.has_gradient()), (2, 3, false));
    let device = Device::flex();
    let rows = Tensor::<2>::from_floats([[1.0, 2.0, 0.5], [-1.5, 0.25, 1e-3]], &device);
    let scores = classifier.logits(rows.clone()).unwrap().into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(scores, [3.0, 0.5, -1.25, -1.501]);
    // On the rows' device, also when it tracks gradients.
    assert!(classifier.logits(rows.autodiff().require_grad()).unwrap().device().is_autodiff());
    assert_eq!(classifier.logits(Tensor::zeros([0, 3], &device)).unwrap().dims(), [0, 2]);
    let message = classifier.logits(Tensor::zeros([2, 4], &device)).unwrap_err().to_string();
    assert!(message.contains("takes 3 numbers a row (shape [3]), found rows of 4"), "{message}");
}

#[test]
fn many_rows_do_not_block_a_program_that_answers_early() {
    let classifier = open("awk -F, '{print $1, $2; fflush()}'").unwrap();
    let rows = Tensor::<2>::ones([20_000, 3], &Device::flex());
    assert_eq!(classifier.logits(rows).unwrap().dims(), [20_000, 2]);
}

#[test]
fn commands_that_fail_say_how() {
    let message = refusal("echo one >&2; echo the model is missing >&2; exit 3");
    assert!(message.contains("failed") && message.contains('3') && message.contains("the model is missing"), "{message}");
    let message = refusal("no-such-program-anywhere");
    assert!(message.contains("cmd:no-such-program-anywhere") && message.contains("failed"), "{message}");
    let message = refusal("cat > /dev/null");
    assert!(message.contains("printed 0 lines of scores for 1 rows"), "{message}");
    let message = refusal("cat > /dev/null; echo 1,2; echo 3,4");
    assert!(message.contains("printed 2 lines of scores for 1 rows"), "{message}");
    let message = refusal("cat > /dev/null; echo 1,two");
    assert!(message.contains("line 1") && message.contains("`two` is no finite number"), "{message}");
    let message = refusal("cat > /dev/null; echo 1 nan");
    assert!(message.contains("`nan` is no finite number"), "{message}");
    let message = refusal("cat > /dev/null; echo 1");
    assert!(message.contains("two classes are the least"), "{message}");
}

#[test]
fn rows_of_different_length_are_refused() {
    let classifier = open("awk 'NR == 1 {print 1, 2} NR > 1 {print 1, 2, 3}'").unwrap();
    let message = classifier.logits(Tensor::zeros([2, 3], &Device::flex())).unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains("has 3 scores, expected 2"), "{message}");
}

#[test]
fn a_command_that_hangs_is_stopped() {
    let started = std::time::Instant::now();
    let error = CommandClassifier::open("exec sleep 30", &[3], Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().contains("took longer than 0.2 s"), "{error}");
    // It closes its output at once but does not end.
    let error = CommandClassifier::open("exec >&-; exec sleep 30", &[3], Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().contains("took longer than 0.2 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_a_user_names_is_opened_or_refused() {
    let device = Device::flex();
    let command = open_classifier("cmd:awk -F, '{print $1, $2}'", Some(&[2]), &device).unwrap();
    assert_eq!(command.classes(), 2);
    let refused = |spec: &str| match open_classifier(spec, None, &device) {
        Err(error) => error,
        Ok(found) => panic!("{spec} is {}", found.name()),
    };
    let shapeless = refused("cmd:cat");
    assert!(matches!(&shapeless, Error::NoShape { classifier, .. } if classifier == "cmd:cat"), "{shapeless}");
    assert!(shapeless.to_string().ends_with("give the shape of one input"), "{shapeless}");
    #[cfg(not(feature = "tch"))]
    assert!(refused("model.pt").to_string().contains("built without libtorch"));
    assert!(refused("model.h5").to_string().contains("neither an ONNX file (.onnx) nor a command"));
    assert!(matches!(refused("nowhere.onnx"), Error::Io { .. }));
    assert!(matches!(refused("nowhere.onnx#logits"), Error::Io { path, .. } if path.ends_with("nowhere.onnx")));
}
