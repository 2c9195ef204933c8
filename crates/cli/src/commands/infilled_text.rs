//! `langevin eval text --infilled`: filled gaps beside what stood there, and beside a 6-gram's.

use std::{collections::BTreeMap, path::Path};

use langevin_text::metrics::{self, KindScore, Task};
use serde::Serialize;

use super::eval_text::Args;
use crate::{output, report::Failure, settings::Settings, text};

/// What `--json` prints of a kind.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    score: &'a KindScore,
    /// Share of the characters hidden by `_` that a 6-gram finds.
    baseline_accuracy: Option<f64>,
}

pub(super) fn run(outputs: &Path, tasks: &Path, args: &Args, settings: &Settings) -> Result<(), Failure> {
    settings.open_device()?;
    let tasks = metrics::tasks(tasks)?;
    let outputs = metrics::outputs(outputs)?;
    let scores = metrics::score(&tasks, &outputs);
    let unknown = outputs.keys().filter(|id| !tasks.iter().any(|task| task.id == **id)).count();
    if unknown > 0 {
        settings.talk(&format!("note: {unknown} outputs belong to no task and are not looked at"));
    }
    let missing: usize = scores.iter().map(|score| score.missing).sum();
    if missing > 0 {
        settings.talk(&format!("note: {missing} tasks have no output and count as wrong"));
    }
    let baseline = args.baseline.as_deref().map(|train| of_baseline(train, &tasks, settings)).transpose()?;
    let of_kind = |score: &KindScore| baseline.as_ref().and_then(|all| all.iter().find(|own| own.kind == score.kind)?.accuracy);
    let rows: Vec<Row<'_>> = scores.iter().map(|score| Row { baseline_accuracy: of_kind(score), score }).collect();
    if settings.json {
        return output::json(&serde_json::json!({ "kinds": rows }));
    }
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let mut table = format!("{:<12} {:>6} {:>8} {:>9} {:>9} {:>9} {:>9}\n", "kind", "tasks", "hidden", "right", "fixed", "exact", "6-gram");
    for Row { score, baseline_accuracy } in &rows {
        let [right, fixed, gram] = [score.accuracy, score.fixed_kept, *baseline_accuracy].map(number);
        let KindScore { kind, tasks, hidden, exact, .. } = score;
        table.push_str(&format!("{kind:<12} {tasks:>6} {hidden:>8} {right:>9} {fixed:>9} {exact:>9.4} {gram:>9}\n"));
    }
    output::data(table.as_bytes())
}

/// What a 6-gram makes of the tasks whose gaps have a length: a saved one, or one that learns the bytes of a text.
fn of_baseline(path: &Path, tasks: &[Task], settings: &Settings) -> Result<Vec<KindScore>, Failure> {
    let (model, tokenizer) = text::any_baseline(path)?;
    let fill = |task: &Task| -> Result<String, Failure> {
        let mut tokens = Vec::new();
        // Gaps are hidden tokens; what is between them has classes of its own.
        for (k, part) in task.input.split('_').enumerate() {
            tokens.extend((k > 0).then_some(tokenizer.hidden()));
            tokens.extend(tokenizer.encode(part)?);
        }
        Ok(tokenizer.decode(&model.fill(&tokens, tokenizer.hidden())))
    };
    let with_length: Vec<Task> = tasks.iter().filter(|task| !task.input.contains("[MASK")).cloned().collect();
    let workers = settings.workers()?;
    let filled = workers.map(with_length.len(), |k| fill(&with_length[k])).into_iter().collect::<Result<Vec<String>, Failure>>()?;
    let outputs: BTreeMap<String, String> = with_length.iter().map(|task| task.id.clone()).zip(filled).collect();
    Ok(metrics::score(&with_length, &outputs))
}
