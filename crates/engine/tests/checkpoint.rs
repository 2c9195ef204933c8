//! Checkpoint files from outside: what is written comes back, and whatever else is read is an error of the right kind.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use burn::{module::Module, nn::Linear, tensor::Device};
use langevin_engine::{
    Card, Checkpoint, Error, RunConfig,
    checkpoint::{FORMAT, Header, HostTensor, Precision, write_whole},
};
use langevin_nn::{Constant, Init, weights};
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

fn net(seed: u64, width: usize) -> Net {
    let device = Device::flex();
    let mut init = Init::new(seed, &device);
    Net { first: init.linear(3, width, 1.0), second: init.linear(width, 2, 1.0) }
}

fn config() -> RunConfig {
    RunConfig::parse(Path::new("t.toml"), "name = 'tiny'\ndomain = 'test'\nseed = 7\n[model]\nkind = 'net'\nwidth = 4\nx = 0.1\n").unwrap()
}

fn checkpoint() -> Checkpoint {
    let constants = vec![Constant { name: "mean".to_owned(), shape: vec![2, 2], values: vec![0.5, -1.0, 3.0, 1e-3] }];
    let card = Card { about: "umlauts äöü, \"quotes\"\nand lines".to_owned(), steps: 4, validation: Some(0.1), ..Card::default() };
    Checkpoint::of(&net(1, 4), constants, config(), card).unwrap()
}

fn read(bytes: &[u8]) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes(Path::new("somewhere"), bytes)
}

/// A safetensors file with one tensor and this metadata.
fn file(metadata: Option<(&str, &str)>, dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
    safetensors::serialize([("model.w", TensorView::new(dtype, shape.to_vec(), data).unwrap())], metadata).unwrap()
}

fn header(format: u32) -> String {
    serde_json::to_string(&Header { format, config: config(), card: Card::default() }).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_not_a_checkpoint(bytes: &[u8]) -> String {
    match read(bytes) {
        Err(Error::NotACheckpoint { path, reason }) => {
            assert_eq!(path, Path::new("somewhere"));
            reason
        }
        other => panic!("{} bytes: {other:?}", bytes.len()),
    }
}

#[test]
fn single_precision_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let mut written = checkpoint();
    written.write(&path, Precision::F32).unwrap();
    let mut found = Checkpoint::read(&path).unwrap();
    assert_eq!((&found.header, &found.tensors, &found.hash), (&written.header, &written.tensors, &written.hash));
    assert_eq!(found.hash.len(), 16);
    assert_eq!(found.source, path);
    assert_eq!(found.parameters(), 3 * 4 + 4 + 4 * 2 + 2);
    assert_eq!(found.constants(), vec![Constant { name: "mean".to_owned(), shape: vec![2, 2], values: vec![0.5, -1.0, 3.0, 1e-3] }]);
    let loaded = found.load(net(2, 4)).unwrap();
    assert_eq!(weights::export(&loaded).unwrap(), weights::export(&net(1, 4)).unwrap());
    assert_ne!(weights::export(&loaded).unwrap(), weights::export(&net(2, 4)).unwrap());
}

#[test]
fn half_precision_comes_back_rounded_once() {
    let mut original = checkpoint();
    let values: Vec<f32> = (0..2000).map(|k| (k as f32 * 0.37).sin() * 3.0).collect();
    original.tensors.insert("model.large".to_owned(), HostTensor { shape: vec![40, 50], values });
    let bytes = original.to_bytes(Precision::F16).unwrap();
    assert!(bytes.len() < original.to_bytes(Precision::F32).unwrap().len());
    let found = read(&bytes).unwrap();
    assert_eq!(found.header, original.header);
    for (name, tensor) in &original.tensors {
        let back = &found.tensors[name];
        assert_eq!(back.shape, tensor.shape);
        // Small tensors are not rounded at all.
        assert_eq!(name == "model.large", back.values != tensor.values, "{name}");
        for (a, b) in tensor.values.iter().zip(&back.values) {
            // Eleven significant bits.
            assert!((a - b).abs() <= a.abs() / 2048.0 + 1e-7, "{a} {b}");
        }
    }
    assert_eq!(found.to_bytes(Precision::F16).unwrap(), bytes, "rounding again changes nothing");
    let mut large = original;
    large.tensors.get_mut("model.large").unwrap().values[0] = 70_000.0;
    assert!(matches!(large.to_bytes(Precision::F16), Err(Error::Tensor { name, .. }) if name == "model.large"));
    assert_eq!(read(&large.to_bytes(Precision::F32).unwrap()).unwrap().tensors, large.tensors);
}

#[test]
fn equal_checkpoints_give_equal_bytes() {
    for precision in [Precision::F16, Precision::F32] {
        let bytes = checkpoint().to_bytes(precision).unwrap();
        for _ in 0..5 {
            assert_eq!(checkpoint().to_bytes(precision).unwrap(), bytes);
        }
        assert_eq!(read(&checkpoint().to_bytes(precision).unwrap()).unwrap().to_bytes(precision).unwrap(), bytes);
    }
    let mut other = checkpoint();
    other.header.card.steps = 5;
    assert_ne!(other.to_bytes(Precision::F32).unwrap(), checkpoint().to_bytes(Precision::F32).unwrap());
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let bytes = checkpoint().to_bytes(Precision::F32).unwrap();
    for length in 0..bytes.len() {
        is_not_a_checkpoint(&bytes[..length]);
    }
    assert!(is_not_a_checkpoint(b"").contains("empty"));
    is_not_a_checkpoint(&[&bytes[..], b"more"].concat());
}

#[test]
fn headers_that_promise_too_much_are_refused_without_being_believed() {
    for length in [1u64 << 63, u64::MAX, 1 << 40, 1 << 32, 100_000_001, 3] {
        is_not_a_checkpoint(&[&length.to_le_bytes()[..], b"{}"].concat());
    }
    // A tensor of 2^60 numbers in a file of a few hundred bytes.
    let metadata = serde_json::json!({"langevin": header(FORMAT)});
    let promise = |shape: serde_json::Value, end: u64| {
        let json = serde_json::json!({"__metadata__": metadata, "model.w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}});
        let json = json.to_string();
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 16]].concat()
    };
    assert!(read(&promise(serde_json::json!([4]), 16)).is_ok());
    is_not_a_checkpoint(&promise(serde_json::json!([1u64 << 60]), 1 << 62));
    is_not_a_checkpoint(&promise(serde_json::json!([u64::MAX, u64::MAX]), 16));
    is_not_a_checkpoint(&promise(serde_json::json!([5]), 16));
    is_not_a_checkpoint(&promise(serde_json::json!([3]), 12));
}

#[test]
fn strangers_and_later_formats_are_told_apart() {
    fn of(metadata: Option<(&str, &str)>) -> Vec<u8> {
        file(metadata, Dtype::F32, &[2], &[0; 8])
    }
    assert!(is_not_a_checkpoint(&of(None)).contains("langevin"));
    assert!(is_not_a_checkpoint(&of(Some(("format", "pt")))).contains("langevin"));
    for json in
        ["", "3", "{}", "{\"format\": \"one\"}", "{\"format\": -1}", "{\"format\": 1}", "{\"format\": 1, \"config\": {}, \"card\": {}}"]
    {
        is_not_a_checkpoint(&of(Some(("langevin", json))));
    }
    // A later format is named even if the rest of its header has changed.
    for json in [header(FORMAT + 1), format!("{{\"format\": {}, \"settings\": 3}}", FORMAT + 1)] {
        match read(&of(Some(("langevin", &json)))) {
            Err(Error::FormatVersion { found, known, .. }) => assert_eq!((found, known), (FORMAT + 1, FORMAT)),
            other => panic!("{other:?}"),
        }
    }
    assert!(read(&of(Some(("langevin", &header(FORMAT))))).is_ok());
}

#[test]
fn tensors_of_other_types_and_values_are_refused_by_name() {
    let json = header(FORMAT);
    let refused = |dtype, shape: &[usize], data: &[u8]| match read(&file(Some(("langevin", &json)), dtype, shape, data)) {
        Err(Error::Tensor { name, problem, .. }) => {
            assert_eq!(name, "model.w");
            problem
        }
        other => panic!("{other:?}"),
    };
    for (dtype, bytes) in [(Dtype::F64, 8), (Dtype::BF16, 2), (Dtype::I64, 8), (Dtype::U8, 1), (Dtype::BOOL, 1)] {
        assert!(refused(dtype, &[2], &vec![0; 2 * bytes]).contains(&format!("{dtype:?}")));
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(refused(Dtype::F32, &[2], &[0f32.to_le_bytes(), bad.to_le_bytes()].concat()).contains("NaN or infinity"));
        assert!(refused(Dtype::F16, &[1], &half::f16::from_f32(bad).to_le_bytes()).contains("NaN or infinity"));
    }
}

#[test]
fn weights_that_do_not_fit_the_network_are_refused_by_name() {
    let mut found = checkpoint();
    match found.load(net(1, 5)) {
        Err(Error::Tensor { name, problem, .. }) => {
            assert_eq!(name, "model.first.weight");
            assert!(problem.contains("[3, 4]") && problem.contains("[3, 5]"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    let mut missing = checkpoint();
    missing.tensors.remove("model.second.bias");
    assert!(
        matches!(missing.load(net(1, 4)), Err(Error::Tensor { name, problem, .. }) if name == "model.second.bias" && problem.contains("missing"))
    );
    // The same number of values in another shape is another tensor.
    let mut turned = checkpoint();
    turned.tensors.get_mut("model.first.weight").unwrap().shape = vec![4, 3];
    assert!(matches!(turned.load(net(1, 4)), Err(Error::Tensor { name, .. }) if name == "model.first.weight"));
    // What no part of the network asks for does no harm.
    let mut more = checkpoint();
    more.tensors.insert("extra".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] });
    assert!(more.load(net(1, 4)).is_ok());
    assert!(found.tensor("codec.mean", &[2, 2]).is_ok() && found.tensor("codec.mean", &[4]).is_err());
}

#[test]
fn folders_and_missing_files_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoint::read(folder.path()), Err(Error::NotACheckpoint { path, .. }) if path == folder.path()));
    let missing = folder.path().join("missing");
    match Checkpoint::read(&missing) {
        Err(Error::Io { path, source }) => assert_eq!((path, source.kind()), (missing, std::io::ErrorKind::NotFound)),
        other => panic!("{other:?}"),
    }
    // Longer than any checkpoint, and not read to find that out: the file has no blocks.
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(Checkpoint::read(&huge), Err(Error::NotACheckpoint { reason, .. }) if reason.contains("more than")));
    #[cfg(unix)]
    assert!(matches!(Checkpoint::read(Path::new("/dev/zero")), Err(Error::NotACheckpoint { .. })));
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    write_whole(&path, b"old").unwrap();
    write_whole(&path, b"new").unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["f".to_owned()]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "a result is an ordinary file");
    }

    // A folder stands where the file should go: refused at the last moment, when the neighbour is there already.
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("inside"), "x").unwrap();
    assert!(matches!(write_whole(&taken, b"new"), Err(Error::Io { path, .. }) if path == taken));
    assert_eq!((names(folder.path()), names(&taken)), (vec!["f".to_owned(), "taken".to_owned()], vec!["inside".to_owned()]));

    let nowhere = folder.path().join("no/where");
    assert!(matches!(write_whole(&nowhere, b"new"), Err(Error::Io { path, .. }) if path == nowhere));
    assert!(matches!(write_whole(&path.join("below"), b"new"), Err(Error::Io { .. })));
    assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"new".to_vec(), 2));
}

/// An administrator may write anywhere; then there is nothing to see here.
#[cfg(unix)]
#[test]
fn an_unwritable_folder_keeps_its_old_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    checkpoint().write(&path, Precision::F32).unwrap();
    let old = fs::read(&path).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let may_write = fs::write(folder.path().join("probe"), "").is_ok();
    let refused = checkpoint().write(&path, Precision::F16);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if !may_write {
        assert!(matches!(refused, Err(Error::Io { path: p, .. }) if p == path));
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (old, vec!["m".to_owned()]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        is_not_a_checkpoint(&bytes);
    }

    /// Behind a header length that fits, so that the parser is reached.
    #[test]
    fn random_text_in_a_header_is_no_checkpoint(text in "[\\[\\]{}\":,0-9a-zA-Z_ .-]{0,200}") {
        is_not_a_checkpoint(&[&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat());
    }

    /// One changed byte: refused with one of the errors of a damaged file, or read as a checkpoint of finite numbers.
    #[test]
    fn a_changed_byte_is_refused_or_harmless(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = checkpoint().to_bytes(Precision::F32).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        match read(&bytes) {
            Ok(mut found) => {
                prop_assert!(found.tensors.values().flat_map(|t| &t.values).all(|v| v.is_finite()));
                // Loading checks what is left.
                match found.load(net(1, 4)) {
                    Ok(_) | Err(Error::Tensor { .. }) => {}
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            Err(Error::NotACheckpoint { .. } | Error::FormatVersion { .. } | Error::Tensor { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_finite_tensors_come_back(
        tensors in prop::collection::btree_map("[a-z.]{1,12}", prop::collection::vec(-6e4f32..6e4, 0..9), 0..6)
    ) {
        let tensors: BTreeMap<_, _> = tensors.into_iter().map(|(k, values)| (k, HostTensor { shape: vec![values.len()], values })).collect();
        let header = Header { format: FORMAT, config: config(), card: Card::default() };
        let written = Checkpoint { source: PathBuf::from("x"), hash: String::new(), header, tensors };
        prop_assert_eq!(read(&written.to_bytes(Precision::F32).unwrap()).unwrap().tensors, written.tensors);
    }
}
