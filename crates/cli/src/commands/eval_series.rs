//! `langevin eval series`.

use std::path::PathBuf;

use langevin_series::metrics::{Aligned, Evaluation, Options, PathScores, Scores};
use serde::Serialize;

use crate::{output, report::Failure, settings::Settings};

/// Score a filled table where the truth is known: errors, CRPS, bands, whole gaps
///
/// Scored are the cells that are empty in the masked table and known in the truth. Everything is in deviations of each column (of the truth,
/// or of --scale-by). CRPS is twice the mean pinball loss over the columns NAME_q05 .. of the filled table, or, without them, over the levels
/// .05, .10, .. .95 of the samples. Gaps of two and more rows are scored as a whole when there are samples: CRPS of their mean, maximum,
/// minimum and roughness (mean absolute step).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin eval series --truth full.csv --masked holes.csv --imputed filled.csv")]
pub(crate) struct Args {
    /// The table as it is
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// The same table with cells hidden
    #[arg(long, value_name = "FILE")]
    masked: PathBuf,
    /// What an imputation made of the masked table
    #[arg(long, value_name = "FILE")]
    imputed: PathBuf,
    /// Sample paths of the holes: row,column,s0,s1,.. as --samples-out writes them
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// Table whose deviations are the units, such as the training rows [default: the truth]
    #[arg(long, value_name = "FILE")]
    scale_by: Option<PathBuf>,
    /// Column that says which series a row belongs to: gaps do not cross series
    #[arg(long, value_name = "NAME")]
    id_col: Option<String>,
    /// Tokens that mean a hole, beside empty cells
    #[arg(long, value_name = "TOKEN,..", default_value = "NA,NaN,null,-9999", value_delimiter = ',', allow_hyphen_values = true)]
    na: Vec<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// Cells of the masked table that are no holes.
    observed: usize,
    /// Those of them that have another text in the filled table.
    changed: usize,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    // No tensor is made here, but the device bounds the threads.
    settings.open_device()?;
    let options =
        Options { na: args.na.clone(), id_column: args.id_col.clone(), samples: args.samples.clone(), scale_by: args.scale_by.clone() };
    let aligned = Aligned::read(&args.truth, &args.masked, &args.imputed, &options)?;
    let evaluation = aligned.evaluate(&args.masked)?;
    if let Some(first) = &aligned.first_changed {
        settings.talk(&format!("note: {} observed cells were changed, the first is {first}", aligned.changed));
    }
    if evaluation.unfilled > 0 {
        settings.talk(&format!("note: {} hidden cells were left empty; they have no part in the scores", evaluation.unfilled));
    }
    if !aligned.constant.is_empty() {
        settings.talk(&format!("note: {} does not vary; its errors are in its own units", aligned.constant.join(", ")));
    }
    let report = Report { evaluation: &evaluation, observed: aligned.observed, changed: aligned.changed };
    if settings.json {
        return output::json(&report);
    }
    output::data(text(&report).as_bytes())
}

fn text(report: &Report<'_>) -> String {
    let Evaluation { scores, unfilled, paths, bins, columns, .. } = report.evaluation;
    let mut text = String::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{name:<22} {value}\n"));
        }
    };
    let number = |value: Option<f64>| value.map(|v| format!("{v:.4}"));
    let band = |share: Option<f64>, width: Option<f64>| share.zip(width).map(|(share, width)| format!("{share:.4}, width {width:.4}"));
    row("hidden cells", Some(format!("{} scored, {unfilled} left empty", scores.cells)));
    row("observed cells", Some(format!("{}, {} changed", report.observed, report.changed)));
    row("MAE", number(Some(scores.mae)));
    row("RMSE", number(Some(scores.rmse)));
    row("CRPS", number(scores.crps));
    row("CRPS normalised", number(scores.crps_normalised));
    row("CRPS of samples", number(scores.crps_samples));
    row("50 % band covers", band(scores.coverage_50, scores.width_50));
    row("90 % band covers", band(scores.coverage_90, scores.width_90));
    let whole =
        |p: &PathScores| format!("mean {:.4}, max {:.4}, min {:.4}, roughness {:.4} ({} gaps)", p.mean, p.max, p.min, p.roughness, p.gaps);
    row("CRPS of gaps", paths.as_ref().map(whole));
    text.push_str(&format!("\n{:<22} {HEADER}\n", "gap, rows"));
    bins.iter().for_each(|bin| text.push_str(&line(bin.rows, &bin.scores)));
    text.push_str(&format!("\n{:<22} {HEADER}\n", "column"));
    columns.iter().for_each(|column| text.push_str(&line(&column.column, &column.scores)));
    text
}

const HEADER: &str = "   cells     MAE    RMSE    CRPS  in 50 %  in 90 %";

fn line(name: &str, scores: &Scores) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    let Scores { cells, mae, rmse, .. } = scores;
    let (crps, half, most) = (number(scores.crps), number(scores.coverage_50), number(scores.coverage_90));
    format!("{name:<22} {cells:>8} {mae:>7.4} {rmse:>7.4} {crps:>7} {half:>8} {most:>8}\n")
}
