//! Texts in files: one a line, or one object a line.

use std::{io::Write as _, path::Path};

use langevin_text::{Tokenizer, task::sample::Written};
use serde::Serialize;

use super::Effective;
use crate::{
    output::{self, Stream},
    report::Failure,
};

/// A text as `--json` tells it.
#[derive(Debug, Serialize)]
struct Sample {
    sample: u32,
    seed: u64,
    text: String,
    /// Of each token, when it was drawn; 1 of those given.
    confidence: Vec<f64>,
    evaluations: usize,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    settings: &'a Effective,
    samples: &'a [Sample],
}

/// Writes texts as they come.
#[derive(Debug)]
pub(super) struct Writer {
    /// None where `--json` has stdout for itself.
    stream: Option<Stream>,
    form: Form,
    samples: Option<Vec<Sample>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The text as it is.
    Alone,
    /// One text a line, its line ends as `\n`.
    Lines,
    /// One object a line.
    Objects,
}

impl Writer {
    /// Starts a claimed output.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start(path: &Path, json: bool, alone: bool) -> Result<Self, Failure> {
        let has_stdout = json && path == Path::new(output::STDOUT);
        let form = match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("jsonl") => Form::Objects,
            _ if alone => Form::Alone,
            _ => Form::Lines,
        };
        let stream = if has_stdout { None } else { Some(Stream::start(path)?) };
        Ok(Self { stream, form, samples: json.then(Vec::new) })
    }

    /// Writes a text.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn text(&mut self, written: &Written, tokenizer: &Tokenizer, seed: u64) -> Result<(), Failure> {
        let text = tokenizer.decode(&written.tokens);
        let sample = (self.samples.is_some() || self.form == Form::Objects).then(|| Sample {
            sample: written.row,
            seed,
            text: text.clone(),
            confidence: written.confidence.iter().map(|&p| rounded(p)).collect(),
            evaluations: written.evaluations,
        });
        let line = match (self.form, &sample) {
            (Form::Objects, Some(sample)) => {
                serde_json::to_string(sample).map_err(|e| Failure::data("json", "a text cannot be written as JSON").because(e))?
            }
            (Form::Alone, _) => text,
            _ => one_line(&text),
        };
        if let (Some(samples), Some(sample)) = (&mut self.samples, sample) {
            samples.push(sample);
        }
        self.line(&line)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        stream.write_all(line.as_bytes()).and_then(|()| stream.write_all(b"\n")).map_err(|e| stream.failure(e))
    }

    /// Puts the output where it belongs, and prints the report of `--json`.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn finish(self, settings: &Effective) -> Result<(), Failure> {
        if let Some(stream) = self.stream {
            stream.finish()?;
        }
        self.samples.map_or(Ok(()), |samples| output::json(&Document { settings, samples: &samples }))
    }
}

/// Four digits: what a reader can use.
pub(super) fn rounded(p: f32) -> f64 {
    (f64::from(p) * 1e4).round() / 1e4
}

/// A text on one line.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}
