//! Filled gaps beside what stood there.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::by_id;
use crate::{Error, Result};

/// A text with gaps: `_` for a character, `[MASK]`, `[MASK:7]` or `[MASK:5-20]` for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: String,
    /// The group that it is counted in.
    pub kind: String,
    /// The text with gaps.
    pub input: String,
    /// The text without.
    pub gold: String,
}

/// Scores of the tasks of a kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KindScore {
    /// The kind.
    pub kind: String,
    /// Tasks.
    pub tasks: usize,
    /// Tasks without an output.
    pub missing: usize,
    /// Characters hidden by `_`.
    pub hidden: usize,
    /// Share of them that came back; what is missing or of another length is wrong. None where nothing is hidden so.
    pub accuracy: Option<f64>,
    /// Share of the outputs in which everything outside gaps is as it was.
    pub fixed_kept: Option<f64>,
    /// Share of the tasks that came back whole.
    pub exact: f64,
}

/// The tasks of a file of JSON lines with `id`, `input`, `gold` and, if there are several, `kind`.
///
/// # Errors
/// For a file that cannot be read, that has no tasks, or a line without one of them.
pub fn tasks(path: &Path) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for (id, (line, value)) in by_id(path)? {
        let kind = value.get("kind").and_then(|kind| kind.as_str()).unwrap_or("all").to_owned();
        tasks.push((line, Task { id, kind, input: text(path, line, &value, "input")?, gold: text(path, line, &value, "gold")? }));
    }
    if tasks.is_empty() {
        return Err(Error::Format { path: path.to_owned(), reason: "holds no tasks; give lines with id, input and gold".to_owned() });
    }
    tasks.sort_by_key(|(line, _)| *line);
    Ok(tasks.into_iter().map(|(_, task)| task).collect())
}

/// The texts `output` of a file of JSON lines, by `id`.
///
/// # Errors
/// For a file that cannot be read, or a line without them.
pub fn outputs(path: &Path) -> Result<BTreeMap<String, String>> {
    by_id(path)?.into_iter().map(|(id, (line, value))| Ok((id, text(path, line, &value, "output")?))).collect()
}

fn text(path: &Path, line: usize, value: &serde_json::Value, name: &str) -> Result<String> {
    let wrong = || Error::Format { path: path.to_owned(), reason: format!("line {line}: should have a text \"{name}\"") };
    value.get(name).and_then(|text| text.as_str()).map(str::to_owned).ok_or_else(wrong)
}

/// Scores by kind, in the order of the tasks.
pub fn score(tasks: &[Task], outputs: &BTreeMap<String, String>) -> Vec<KindScore> {
    let mut scores: Vec<KindScore> = Vec::new();
    for task in tasks {
        let at = scores.iter().position(|score| score.kind == task.kind).unwrap_or_else(|| {
            scores.push(KindScore { kind: task.kind.clone(), ..KindScore::default() });
            scores.len() - 1
        });
        let score = &mut scores[at];
        score.tasks += 1;
        let output = outputs.get(&task.id);
        let (hidden, right) = compare(task, output.map_or("", String::as_str));
        score.hidden += hidden;
        *score.accuracy.get_or_insert(0.0) += right as f64;
        match output {
            Some(output) => {
                *score.fixed_kept.get_or_insert(0.0) += if keeps(&task.input, output) { 1.0 } else { 0.0 };
                score.exact += if *output == task.gold { 1.0 } else { 0.0 };
            }
            None => score.missing += 1,
        }
    }
    for score in &mut scores {
        score.accuracy = score.accuracy.filter(|_| score.hidden > 0).map(|right| right / score.hidden as f64);
        score.fixed_kept = score.fixed_kept.map(|kept| kept / (score.tasks - score.missing) as f64);
        score.exact /= score.tasks as f64;
    }
    scores
}

/// Characters hidden by `_`, and those that came back; a gap of unknown length has no such characters.
fn compare(task: &Task, output: &str) -> (usize, usize) {
    if pieces(&task.input).len() > 1 {
        return (0, 0);
    }
    let [input, gold, output] = [&task.input, &task.gold, output].map(|text| text.chars().collect::<Vec<char>>());
    let hidden = |&at: &usize| input[at] == '_' && gold.get(at).is_some_and(|&c| c != '_');
    let places: Vec<usize> = (0..input.len()).filter(hidden).collect();
    let is_whole = output.len() == gold.len();
    (places.len(), places.iter().filter(|&&at| is_whole && output[at] == gold[at]).count())
}

/// Whether everything outside gaps stands in the output, in order and at its ends.
fn keeps(input: &str, output: &str) -> bool {
    let pieces: Vec<Vec<char>> = pieces(input).into_iter().map(|piece| piece.chars().collect()).collect();
    let output: Vec<char> = output.chars().collect();
    let fits = |at: usize, piece: &[char]| {
        output.get(at..at + piece.len()).is_some_and(|own| own.iter().zip(piece).all(|(own, c)| own == c || *c == '_'))
    };
    let Some((last, others)) = pieces.split_last() else { return output.is_empty() };
    // The first piece is at the start, those after it wherever they come first, the last at the end.
    let mut from = 0;
    for (k, piece) in others.iter().enumerate() {
        let found = if k == 0 { fits(0, piece).then_some(0) } else { (from..=output.len()).find(|&at| fits(at, piece)) };
        let Some(at) = found else { return false };
        from = at + piece.len();
    }
    output.len().checked_sub(last.len()).is_some_and(|at| at >= from && (!others.is_empty() || at == 0) && fits(at, last))
}

/// What stands between gaps of several characters.
fn pieces(input: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), input);
    let mut from = 0;
    while let Some(start) = rest[from..].find("[MASK").map(|at| at + from) {
        let inner = &rest[start + "[MASK".len()..];
        let length = inner.find(']').filter(|&end| {
            let range = &inner[..end];
            range.is_empty() || (range.starts_with(':') && range[1..].chars().all(|c| c.is_ascii_digit() || c == '-'))
        });
        match length {
            Some(end) => {
                pieces.push(&rest[..start]);
                rest = &inner[end + 1..];
                from = 0;
            }
            None => from = start + "[MASK".len(),
        }
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, input: &str, gold: &str) -> Task {
        Task { id: id.to_owned(), kind: "k".to_owned(), input: input.to_owned(), gold: gold.to_owned() }
    }

    fn scores(tasks: &[Task], outputs: &[(&str, &str)]) -> KindScore {
        let outputs = outputs.iter().map(|(id, output)| ((*id).to_owned(), (*output).to_owned())).collect();
        score(tasks, &outputs).remove(0)
    }

    #[test]
    fn hidden_characters_are_counted() {
        let tasks = [task("1", "t_e c_t", "the cat"), task("2", "_og", "dog"), task("3", "n__", "now")];
        let found = scores(&tasks, &[("1", "the cut"), ("2", "dog"), ("9", "zzz")]);
        assert_eq!((found.tasks, found.missing, found.hidden), (3, 1, 5));
        assert_eq!((found.accuracy, found.fixed_kept), (Some(0.4), Some(1.0)));
        assert!((found.exact - 1.0 / 3.0).abs() < 1e-12);
        // A changed character outside the gaps, and a wrong one inside.
        let found = scores(&tasks[..2], &[("1", "tha cat"), ("2", "bog")]);
        assert_eq!((found.accuracy, found.fixed_kept, found.exact), (Some(2.0 / 3.0), Some(0.5), 0.0));
        // One character too many.
        let found = scores(&tasks[1..2], &[("2", "doge")]);
        assert_eq!((found.accuracy, found.fixed_kept), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn gaps_of_any_length_keep_what_is_around_them() {
        let found = scores(&[task("1", "the [MASK] sat", "the cat sat")], &[("1", "the old dog sat")]);
        assert_eq!((found.accuracy, found.fixed_kept, found.hidden), (None, Some(1.0), 0));
        for (input, output, kept) in [
            ("a [MASK:2-5] b[MASK]", "a xyz b and so", true),
            ("a [MASK] b [MASK:3] c", "a b b b c", true),
            ("a [MASK] b", "a x c", false),
            ("a [MASK] b", "c x b", false),
            ("[MASK]end", "the end", true),
            ("abc[MASK]abc", "abc", false),
            ("a[MASKED] b", "a[MASKED] b", true),
            ("[MASK:x]", "anything", false),
            ("t_e [MASK]", "toe x", true),
        ] {
            assert_eq!(keeps(input, output), kept, "{input} {output}");
        }
    }
}
