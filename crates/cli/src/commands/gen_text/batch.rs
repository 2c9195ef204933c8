//! `--infill-jsonl`: many templates, each filled once.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
};

use langevin_engine::{Shard, sample};
use langevin_text::task::sample::{Pattern, Piece, Writing};
use serde::{Deserialize, Serialize};

use super::{AT_ONCE, Run, mark, source};
use crate::{
    output::{self, Stream},
    report::{Failure, printable},
};

/// A line of the input; other keys are left alone.
#[derive(Debug, Deserialize)]
struct Task {
    id: serde_json::Value,
    input: String,
}

#[derive(Debug, Serialize)]
struct Filled<'a> {
    id: &'a serde_json::Value,
    output: String,
}

/// A line that could not be filled.
#[derive(Debug, Serialize)]
struct Problem {
    line: usize,
    reason: String,
}

/// What has been done.
#[derive(Debug, Default, Serialize)]
struct Tally {
    filled: usize,
    evaluations: usize,
    failed: Vec<Problem>,
}

/// Fills the templates of a file. Template `i` is sample `i`, whatever stands beside it.
///
/// # Errors
/// The file cannot be read or holds nothing; at the end, when lines failed.
pub(super) fn run(run: &Run<'_>, path: &Path) -> Result<(), Failure> {
    let shard = run.args.shard.part();
    let total = if shard == Shard::WHOLE { u32::MAX } else { lines(path)?.count() as u32 };
    let rows = shard.rows(total);
    // Settings that the model does not know are refused before anything else is done.
    Writing::new(run.model, &[stand_in()?], 0, run.request)?;
    let mut waiting = lines(path)?.skip(rows.start as usize).take(rows.len()).peekable();
    if shard == Shard::WHOLE && waiting.peek().is_none() {
        return Err(Failure::data("input", format!("{} holds no template", path.display())).help("give one {\"id\", \"input\"} a line"));
    }
    if run.args.write.dry_run {
        return output::json(&run.effective);
    }
    let part = run.part(total, rows.clone())?;
    if run.is_done(&part, shard)? {
        return Ok(());
    }
    let mut stream = Stream::start(&run.args.output)?;
    let (workers, started) = (run.settings.workers()?, std::time::Instant::now());
    let mut tally = Tally::default();
    let mut first = rows.start;
    while waiting.peek().is_some() {
        let chunk = waiting.by_ref().take(AT_ONCE as usize).collect::<Result<Vec<_>, _>>()?;
        let tasks: Vec<Result<(Task, Pattern), Problem>> = chunk.into_iter().map(|(line, text)| ready(run, line, &text)).collect();
        // A line that failed keeps its number.
        let patterns = tasks.iter().map(|task| task.as_ref().map_or_else(|_| stand_in(), |(_, pattern)| Ok(pattern.clone())));
        let mut patterns = patterns.collect::<Result<Vec<Pattern>, Failure>>()?;
        // One pattern alone would serve every sample.
        patterns.push(stand_in()?);
        let writing = Writing::new(run.model, &patterns, first, run.request)?;
        let end = first + tasks.len() as u32;
        let written = sample(&writing, first..end, &workers, &run.cancel, &|| {})?;
        for (task, written) in tasks.into_iter().zip(written) {
            match task {
                Ok((task, _)) => {
                    tally.filled += 1;
                    tally.evaluations += written.evaluations;
                    let filled = Filled { id: &task.id, output: run.model.tokenizer().decode(&written.tokens) };
                    let line =
                        serde_json::to_string(&filled).map_err(|e| Failure::data("json", "a text cannot be written as JSON").because(e))?;
                    stream.write_all(line.as_bytes()).and_then(|()| stream.write_all(b"\n")).map_err(|e| stream.failure(e))?;
                }
                Err(problem) => {
                    run.settings.talk(&printable(&format!("line {}: {}", problem.line, problem.reason)));
                    tally.failed.push(problem);
                }
            }
        }
        first = end;
    }
    if tally.filled == 0 && !tally.failed.is_empty() {
        return Err(Failure::data("input", format!("{}: no template could be filled; each is named above", path.display())));
    }
    stream.finish()?;
    if shard != Shard::WHOLE {
        part.write(&mark(&run.args.output))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    run.settings.talk(&format!("{} templates filled, {} network evaluations, {seconds:.1} s", tally.filled, tally.evaluations));
    if run.settings.json && run.args.output != Path::new(output::STDOUT) {
        output::json(&tally)?;
    }
    match tally.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::partial("input", format!("{failed} of {} templates failed, named above", failed + tally.filled))),
    }
}

/// A pattern with nothing to write.
fn stand_in() -> Result<Pattern, Failure> {
    Ok(Pattern::new(vec![Piece::Given(vec![0])])?)
}

/// Lines that are not empty, with their numbers from 1.
fn lines(path: &Path) -> Result<impl Iterator<Item = Result<(usize, String), Failure>> + use<>, Failure> {
    let own = path.to_owned();
    let file = File::open(path).map_err(|e| Failure::io(path, e))?;
    let read = move |(k, line): (usize, std::io::Result<String>)| line.map(|line| (k + 1, line)).map_err(|e| Failure::io(&own, e));
    let is_some = |line: &Result<(usize, String), Failure>| line.as_ref().map_or(true, |(_, text)| !text.trim().is_empty());
    Ok(BufReader::new(file).lines().enumerate().map(read).filter(is_some))
}

fn ready(run: &Run<'_>, line: usize, text: &str) -> Result<(Task, Pattern), Problem> {
    let problem = |reason: String| Problem { line, reason };
    let task: Task = serde_json::from_str(text).map_err(|e| problem(format!("{e}; a line is {{\"id\": .., \"input\": \"..\"}}")))?;
    let pattern = source::template_of(&task.input, run.args.source.normalise, run.model).map_err(|e| problem(e.to_string()))?;
    Ok((task, pattern))
}
