//! Corpora from files and folders.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

use std::{fs, io::Write as _, path::Path};

use langevin_text::{Corpus, Tokenizer, TokenizerSpec};

fn char27() -> Tokenizer {
    Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap()
}

fn zip(path: &Path, text: &str) {
    let mut writer = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap();
}

/// The text of a segment.
fn text(corpus: &Corpus, segment: usize) -> String {
    let tokens: Vec<u32> = corpus.tokens()[corpus.segments()[segment].range.clone()].iter().map(|&t| u32::from(t)).collect();
    char27().decode(&tokens)
}

#[test]
fn folders_give_labels_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("woolf")).unwrap();
    fs::create_dir_all(at("hardy")).unwrap();
    zip(&at("woolf/a.txt.gz"), "the waves");
    fs::write(at("hardy/b.txt"), "tess\n").unwrap();
    fs::write(at("z.txt"), "no label").unwrap();
    fs::write(at("notes.md"), "NOT A TEXT").unwrap();
    let corpus = Corpus::read(folder.path(), &char27(), false, None).unwrap();
    assert_eq!(corpus.labels(), ["hardy", "woolf"]);
    let found: Vec<(String, Option<usize>)> = (0..3).map(|i| (text(&corpus, i), corpus.segments()[i].label)).collect();
    assert_eq!(found, [("tess".to_owned(), Some(0)), ("the waves".to_owned(), Some(1)), ("no label".to_owned(), None)]);
    assert_eq!((corpus.characters(), corpus.tokens().len()), (21, 21));
    let known = ["woolf", "eliot", "hardy"].map(str::to_owned);
    let renumbered = corpus.clone().with_labels(&known).unwrap();
    assert_eq!(renumbered.segments()[0].label, Some(2));
    let error = corpus.with_labels(&known[..1]).unwrap_err().to_string();
    assert!(error.contains("'hardy'") && error.contains("woolf"), "{error}");
}

#[test]
fn a_table_cuts_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("all.txt"), folder.path().join("labels.csv"));
    fs::write(&file, "one two three\n").unwrap();
    fs::write(&table, "label,characters\nb,4\na,4\nb,5\n").unwrap();
    let corpus = Corpus::read(&file, &char27(), false, Some(&table)).unwrap();
    let found: Vec<(String, Option<usize>)> = (0..3).map(|i| (text(&corpus, i), corpus.segments()[i].label)).collect();
    assert_eq!(found, [("one ".to_owned(), Some(1)), ("two ".to_owned(), Some(0)), ("three".to_owned(), Some(1))]);
    for (rows, said) in [("b,4\n", "counts 4"), ("b,x\n", "line 2"), ("", "counts 0"), (",13\n", "line 2")] {
        fs::write(&table, format!("label,characters\n{rows}")).unwrap();
        let error = Corpus::read(&file, &char27(), false, Some(&table)).unwrap_err().to_string();
        assert!(error.contains(said), "{rows}: {error}");
    }
    fs::write(&table, "author,n\n").unwrap();
    assert!(Corpus::read(&file, &char27(), false, Some(&table)).unwrap_err().to_string().contains("label,characters"));
    assert!(Corpus::read(folder.path(), &char27(), false, Some(&table)).unwrap_err().to_string().contains("sub-folders"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    let read = |normalise: bool| Corpus::read(&file, &char27(), normalise, None);
    // A stranger behind the first part of a long line, and after a line end.
    for (content, said) in [
        (format!("{}\nthe Cat", "word ".repeat(400_000)), "line 1, character 2000001 ('\\n')"),
        ("\u{feff}a cat\u{e9}".to_owned(), "line 1, character 6 ('\\u{e9}')"),
    ] {
        fs::write(&file, content).unwrap();
        let error = read(false).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("--normalise") && error.contains("a.txt"), "{error}");
        assert!(read(true).is_ok());
    }
    fs::write(&file, [b'a', 0xff]).unwrap();
    assert!(read(true).unwrap_err().to_string().contains("byte 2 is no UTF-8"));
    fs::write(&file, "\n").unwrap();
    assert!(read(false).unwrap_err().to_string().contains("holds no text"));
    assert!(Corpus::read(&folder.path().join("none"), &char27(), false, None).unwrap_err().to_string().contains("none"));
    fs::remove_file(&file).unwrap();
    assert!(Corpus::read(folder.path(), &char27(), false, None).unwrap_err().to_string().contains("holds no text"));
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    assert!(Corpus::read(folder.path(), &char27(), false, None).unwrap_err().to_string().contains("DIR/LABEL/FILE.txt"));
}

#[test]
fn windows_stay_in_their_text() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("all.txt"), folder.path().join("labels.csv"));
    fs::write(&file, "aaaaaaaaaabbbbbccccccccccd").unwrap();
    fs::write(&table, "label,characters\na,10\nb,5\nc,10\nd,1\n").unwrap();
    let corpus = Corpus::read(&file, &char27(), false, Some(&table)).unwrap();
    for offset in 0..40 {
        let (window, label) = corpus.window(offset, 8);
        assert_eq!(window.len(), 8);
        match (offset, label) {
            (0..10, label) => assert_eq!((label, window), (Some(0), [1; 8].as_slice())),
            // The text of `b` is shorter than the window and shares it, as does that of `d` at the end.
            (10..15, label) => assert_eq!((label, window[0]), (None, 2)),
            (15.., label) => assert_eq!((label, window), (Some(2), [3; 8].as_slice())),
        }
    }
    assert_eq!(corpus.window(3, 100), (corpus.tokens(), None));
    assert_eq!(corpus.evenly(3, 8), [3, 9, 15]);
    assert_eq!(corpus.evenly(1, 26), [0]);
    let cover = corpus.cover(8);
    assert_eq!(cover.iter().map(|s| s.range.clone()).collect::<Vec<_>>(), [0..8, 8..10, 10..15, 15..23, 23..25, 25..26]);
    assert_eq!(cover[1].label, Some(0));
}

#[test]
fn pairs_of_bytes_are_learned_from_a_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    fs::write(&file, "the cat sat on the mat and the dog sat on the cat\n".repeat(30)).unwrap();
    let bytes = Corpus::read(&file, &Tokenizer::new(&TokenizerSpec::Byte {}).unwrap(), false, None).unwrap();
    let spec: TokenizerSpec = "bpe:300".parse().unwrap();
    assert!(spec.unlearned());
    let learned = spec.learned(&bytes);
    assert!(!learned.unlearned());
    let tokenizer = Tokenizer::new(&learned).unwrap();
    let corpus = Corpus::read(&file, &tokenizer, false, None).unwrap();
    assert_eq!(corpus.characters(), bytes.characters());
    assert!(corpus.tokens().len() * 2 < bytes.tokens().len());
    let text: serde_json::Value = serde_json::to_value(&learned).unwrap();
    assert_eq!(serde_json::from_value::<TokenizerSpec>(text).unwrap(), learned);
}
