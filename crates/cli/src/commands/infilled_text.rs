//! `langevin eval text --infilled`: filled gaps beside what stood there, and beside a 6-gram's.

use std::{collections::BTreeMap, path::Path};

use langevin_text::{
    Tokenizer, TokenizerSpec,
    baseline::KneserNey,
    corpus::Corpus,
    metrics::{self, KindScore, Task},
};
use serde::Serialize;

use super::eval_text::Args;
use crate::{output, report::Failure, settings::Settings};

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
    let mut text = format!("{:<12} {:>6} {:>8} {:>9} {:>9} {:>9} {:>9}\n", "kind", "tasks", "hidden", "right", "fixed", "exact", "6-gram");
    for Row { score, baseline_accuracy } in &rows {
        let [right, fixed, gram] = [score.accuracy, score.fixed_kept, *baseline_accuracy].map(number);
        let KindScore { kind, tasks, hidden, exact, .. } = score;
        text.push_str(&format!("{kind:<12} {tasks:>6} {hidden:>8} {right:>9} {fixed:>9} {exact:>9.4} {gram:>9}\n"));
    }
    output::data(text.as_bytes())
}

/// What a 6-gram of bytes makes of the tasks whose gaps have a length.
fn of_baseline(train: &Path, tasks: &[Task], settings: &Settings) -> Result<Vec<KindScore>, Failure> {
    let bytes = Tokenizer::new(&TokenizerSpec::Byte {})?;
    let model = KneserNey::learn(&Corpus::read(train, &bytes, false, None)?, bytes.classes(), KneserNey::ORDER)?;
    let fill = |task: &Task| -> Result<String, Failure> {
        let tokens: Vec<u32> =
            bytes.encode(&task.input)?.into_iter().map(|b| if b == u32::from(b'_') { bytes.hidden() } else { b }).collect();
        Ok(bytes.decode(&model.fill(&tokens, bytes.hidden())))
    };
    let workers = settings.workers()?;
    let filled = workers.map(tasks.len(), |k| fill(&tasks[k])).into_iter().collect::<Result<Vec<String>, Failure>>()?;
    let outputs: BTreeMap<String, String> = tasks.iter().map(|task| task.id.clone()).zip(filled).collect();
    Ok(metrics::score(tasks, &outputs))
}
