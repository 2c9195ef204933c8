//! What is to be written: a fresh text, gaps of a template, or parts of a text that is there.

use std::{
    io::Read as _,
    ops::Range,
    path::{Path, PathBuf},
};

use langevin_text::{
    Tokenizer,
    model::TextModel,
    task::{infill, repair, sample::Pattern},
};

use crate::{output, report::Failure, values};

/// Longest text of one command, in tokens.
const LONGEST: u32 = 10_000_000;
/// Length of a text when nothing says another.
const LENGTH: u32 = 256;

/// Flags that say what to write.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What to write")]
pub(super) struct SourceArgs {
    /// Tokens of a text (characters, unless the model's tokenizer is bpe), the prompt counted [default: 256]
    #[arg(long, value_name = "N", value_parser = values::whole(1..=LONGEST))]
    length: Option<u32>,
    /// How the text begins
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// File with how the text begins, or - for stdin
    #[arg(long, value_name = "FILE|-")]
    prompt_file: Option<PathBuf>,
    /// Template with gaps to fill
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["length", "prompt", "prompt_file", "edit", "fix", "infill_jsonl"])]
    infill: Option<String>,
    /// File of templates, one {"id", "input"} a line, each filled once; the output has one {"id", "output"} a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["n", "length", "prompt", "prompt_file", "edit", "fix", "constraint"])]
    pub(super) infill_jsonl: Option<PathBuf>,
    /// File with a text of which a share is written anew, or - for stdin
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["length", "prompt", "prompt_file", "fix"])]
    edit: Option<PathBuf>,
    /// Share of the text that --edit writes anew
    #[arg(long, value_name = "S", default_value = "0.3", value_parser = values::number(1e-6..=1.0))]
    strength: f64,
    /// File with a text whose unlikely tokens are replaced and listed, or - for stdin
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["n", "length", "prompt", "prompt_file", "constraint", "shard"])]
    pub(super) fix: Option<PathBuf>,
    /// How unlikely a token has to be for --fix, given the others
    #[arg(long, value_name = "P", default_value = "0.01", requires = "fix", value_parser = values::number(1e-12..=0.99))]
    pub(super) fix_below: f64,
    /// How many times likelier another one has to be
    #[arg(long, value_name = "R", default_value = "100", requires = "fix", value_parser = values::number(1.0..=1e12))]
    pub(super) fix_odds: f64,
    /// Characters allowed at a place of the text: 3:[aeiou], 5-8:[a-z], 1:[^ ]; may be given several times
    #[arg(long, value_name = "PLACE:[SET]")]
    constraint: Vec<String>,
    /// Map characters outside the model's alphabet to ones inside
    #[arg(long)]
    pub(super) normalise: bool,
}

/// What is to be written, read and checked.
#[derive(Debug)]
pub(super) enum Source {
    /// A text from its beginning.
    Fresh(Pattern),
    /// Gaps of a template.
    Template(Pattern),
    /// Templates of a file.
    Jsonl(PathBuf),
    /// Part of a text, with the constraints on it.
    Edit { tokens: Vec<u32>, strength: f64, constraints: Vec<String> },
}

impl SourceArgs {
    /// The file that this reads, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        [&self.prompt_file, &self.infill_jsonl, &self.edit, &self.fix]
            .into_iter()
            .find_map(|path| path.as_deref())
            .filter(|path| *path != Path::new(output::STDOUT))
    }

    /// Reads what is to be written.
    ///
    /// # Errors
    /// Files that cannot be read or are empty, characters outside the alphabet, templates and constraints that cannot be understood, a length that leaves nothing to write.
    pub(super) fn read(&self, model: &TextModel) -> Result<Source, Failure> {
        let tokenizer = model.tokenizer();
        if let Some(path) = &self.infill_jsonl {
            return Ok(Source::Jsonl(path.clone()));
        }
        if let Some(path) = &self.edit {
            let tokens = tokenizer.encode(&self.text_of(path, tokenizer)?.0)?;
            return Ok(Source::Edit { tokens, strength: self.strength, constraints: self.constraint.clone() });
        }
        let source = if let Some(template) = &self.infill {
            Source::Template(template_of(template, self.normalise, model)?)
        } else {
            let prompt = match (&self.prompt, &self.prompt_file) {
                (Some(prompt), _) if self.normalise => tokenizer.normalise(prompt),
                (Some(prompt), _) => prompt.clone(),
                (None, Some(path)) => self.text_of(path, tokenizer)?.0,
                (None, None) => String::new(),
            };
            let length = self.length.unwrap_or(LENGTH) as usize;
            Source::Fresh(Pattern::beginning(tokenizer.encode(&prompt)?, length)?)
        };
        let constrained = |mut pattern: Pattern| {
            self.constraint.iter().try_for_each(|constraint| infill::constrain(&mut pattern, constraint, tokenizer))?;
            Ok::<Pattern, Failure>(pattern)
        };
        Ok(match source {
            Source::Fresh(pattern) => Source::Fresh(constrained(pattern)?),
            Source::Template(pattern) => Source::Template(constrained(pattern)?),
            other => other,
        })
    }

    /// The text of a file or of stdin without a last line end, and whether there was one.
    pub(super) fn text_of(&self, path: &Path, tokenizer: &Tokenizer) -> Result<(String, bool), Failure> {
        let mut bytes = Vec::new();
        let read = if path == Path::new(output::STDOUT) {
            std::io::stdin().lock().read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
        };
        read.map_err(|e| Failure::io(path, e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Failure::data("text", format!("{} is no UTF-8: byte {} begins no character", path.display(), at + 1))
                .help("convert it to UTF-8")
        })?;
        let body = text.strip_suffix('\n').map(|body| body.strip_suffix('\r').unwrap_or(body));
        let (body, has_end) = (body.unwrap_or(&text), body.is_some());
        let body = if self.normalise { tokenizer.normalise(body) } else { body.to_owned() };
        if body.is_empty() {
            return Err(Failure::data("text", format!("{} is empty", path.display())).help("give a file with text"));
        }
        Ok((body, has_end))
    }
}

/// A template as the model can fill it.
///
/// # Errors
/// As [`infill::parse`] and [`infill::check_holes`].
pub(super) fn template_of(template: &str, normalise: bool, model: &TextModel) -> Result<Pattern, Failure> {
    let pattern = infill::parse(template, normalise, model.tokenizer())?;
    infill::check_holes(&pattern, model.config().context)?;
    Ok(pattern)
}

impl Source {
    /// Patterns of some texts; one for all where they are the same.
    ///
    /// # Errors
    /// Constraints that an edited text cannot meet.
    pub(super) fn patterns(&self, rows: Range<u32>, seed: u64, model: &TextModel) -> Result<Vec<Pattern>, Failure> {
        match self {
            Self::Fresh(pattern) | Self::Template(pattern) => Ok(vec![pattern.clone()]),
            Self::Jsonl(_) => Ok(Vec::new()),
            Self::Edit { tokens, strength, constraints } => rows
                .map(|row| {
                    let mut pattern = repair::edited(tokens, model.tokenizer().hidden(), *strength, seed, row)?;
                    constraints.iter().try_for_each(|constraint| infill::constrain(&mut pattern, constraint, model.tokenizer()))?;
                    Ok(pattern)
                })
                .collect(),
        }
    }

    /// What decides the text, for manifests and reports.
    pub(super) fn told(&self, args: &SourceArgs) -> Result<serde_json::Value, Failure> {
        let constraints = &args.constraint;
        Ok(match self {
            Self::Fresh(pattern) => {
                serde_json::json!({ "length": pattern.longest(), "prompt": args.prompt, "prompt_file": args.prompt_file, "constraints": constraints })
            }
            Self::Template(_) => serde_json::json!({ "infill": args.infill, "constraints": constraints }),
            Self::Jsonl(_) => serde_json::json!({ "infill_jsonl": true }),
            Self::Edit { tokens, strength, .. } => {
                serde_json::json!({ "edit": tokens.len(), "strength": strength, "constraints": constraints })
            }
        })
    }
}
