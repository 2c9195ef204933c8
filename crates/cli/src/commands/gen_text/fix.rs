//! `--fix`: unlikely tokens replaced and listed.

use std::{ops::ControlFlow, path::Path};

use langevin_engine::Cancel;
use langevin_text::{
    model::TextModel,
    task::repair::{Change, RepairRequest, repair},
};
use serde::Serialize;

use super::{Args, writer::rounded};
use crate::{output, report::Failure, settings::Settings};

#[derive(Debug, Serialize)]
struct Document {
    text: String,
    changes: Vec<Told>,
    confidence: Vec<f64>,
    evaluations: usize,
}

/// A change as the user counts.
#[derive(Debug, Serialize)]
struct Told {
    place: usize,
    from: String,
    to: String,
    from_probability: f64,
    to_probability: f64,
}

/// Repairs the text of a file.
///
/// # Errors
/// A file that cannot be read or is empty, characters outside the alphabet, a label that the model does not know.
pub(super) fn run(args: &Args, path: &Path, model: &TextModel, settings: &Settings, cancel: &Cancel) -> Result<(), Failure> {
    let tokenizer = model.tokenizer();
    let (text, has_end) = args.source.text_of(path, tokenizer)?;
    let label = args.method.label.as_deref().map(|name| model.label(name)).transpose()?;
    let request = RepairRequest { threshold: args.source.fix_below, odds: args.source.fix_odds, label };
    if args.write.dry_run {
        let label = &args.method.label;
        return output::json(&serde_json::json!({ "fix_below": request.threshold, "fix_odds": request.odds, "label": label }));
    }
    let tokens = tokenizer.encode(&text)?;
    let mut observe = |tokens: &[u32]| {
        if args.trace {
            settings.talk(&super::writer::one_line(&tokenizer.decode(tokens)));
        }
        cancel.check()
    };
    let ControlFlow::Continue(repaired) = repair(model, &tokens, &request, &mut observe)? else {
        return Err(langevin_engine::Error::Interrupted { saved: None }.into());
    };
    let text = tokenizer.decode(&repaired.tokens);
    let told = |change: &Change| Told {
        place: change.place + 1,
        from: tokenizer.decode(&[change.from]),
        to: tokenizer.decode(&[change.to]),
        from_probability: change.from_probability,
        to_probability: change.to_probability,
    };
    let changes: Vec<Told> = repaired.changes.iter().map(told).collect();
    for change in &changes {
        let Told { place, from, to, from_probability, to_probability } = change;
        settings.talk(&format!(
            "place {place}: '{}' became '{}' ({from_probability:.1e}, now {to_probability:.2})",
            from.escape_default(),
            to.escape_default()
        ));
    }
    settings.talk(&format!("{} of {} tokens changed, {} network evaluations", changes.len(), tokens.len(), repaired.evaluations));
    let is_on_stdout = args.output == Path::new(output::STDOUT);
    if !(settings.json && is_on_stdout) {
        output::put(&args.output, format!("{text}{}", if has_end || is_on_stdout { "\n" } else { "" }).as_bytes())?;
    }
    if settings.json {
        let confidence = repaired.confidence.iter().map(|&p| rounded(p)).collect();
        output::json(&Document { text, changes, confidence, evaluations: repaired.evaluations })?;
    }
    Ok(())
}
