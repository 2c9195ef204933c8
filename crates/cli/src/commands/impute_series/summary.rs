//! What an imputation says about itself.

use langevin_series::{
    io::{ColumnProfile, Table, Written},
    report::{self, Report, Seconds},
};

use super::{
    Args,
    filler::Filler,
    table::{self, BoundsArg},
};
use crate::{output, report::Failure, settings::Settings};

/// What a report says whatever filled the table.
pub(super) fn plain_report(args: &Args, table: &Table, seed: u64, seconds: Seconds, warnings: Vec<String>, written: &Written) -> Report {
    let profile = table.profile();
    Report {
        schema: report::SCHEMA,
        input: report::Input {
            file: args.input.display().to_string(),
            layout: profile.layout.to_owned(),
            rows: profile.rows as usize,
            series: profile.series as usize,
            columns: profile.columns.len(),
            cells: profile.columns.iter().map(|c| (c.count + c.missing) as usize).sum(),
            missing: profile.missing() as usize,
            frequency: profile.frequency.clone(),
            absent_rows: profile.grid_rows.saturating_sub(profile.rows) as usize,
            period: None,
        },
        filled: written.filled.iter().sum::<u64>() as usize,
        left: written.left.iter().sum::<u64>() as usize,
        forecast_rows: written.added as usize,
        backtest: None,
        columns: Vec::new(),
        samples: 0,
        steps: 0,
        quantiles: args.quantiles.clone(),
        seed,
        checkpoint: None,
        seconds,
        warnings,
    }
}

pub(super) fn columns(
    table: &Table,
    filler: &Filler<'_>,
    written: &Written,
    bounds: &[BoundsArg],
) -> Result<Vec<report::ColumnReport>, Failure> {
    let limits = table::limits(bounds, table)?;
    let of = |(at, column): (usize, &ColumnProfile)| report::ColumnReport {
        name: column.name.clone(),
        missing: column.missing as usize,
        filled: written.filled[at] as usize,
        gaps: column.gaps.iter().sum::<u64>() as usize,
        longest_gap: column.longest_gap as usize,
        mean: column.mean,
        deviation: column.deviation,
        transform: filler.transform(at).to_owned(),
        bounds: limits[at],
        decimals: usize::from(column.decimals),
        mae: filler.error(at),
    };
    // A forecast fills columns that miss nothing else.
    let touched = |at: usize| written.filled[at] + written.left[at] > 0;
    Ok(table.profile().columns.iter().enumerate().filter(|(at, _)| touched(*at)).map(of).collect())
}

/// The report: a paragraph on stderr, JSON where it is wanted.
pub(super) fn tell(args: &Args, settings: &Settings, report: &Report) -> Result<(), Failure> {
    settings.talk(&report.text());
    report.warnings.iter().for_each(|warning| settings.talk(warning));
    if let Some(path) = &args.report {
        let mut json = serde_json::to_vec_pretty(report).map_err(|e| Failure::data("json", "the report cannot be written").because(e))?;
        json.push(b'\n');
        output::put(path, &json)?;
    }
    if settings.json && args.output.as_os_str() != output::STDOUT { output::json(report) } else { Ok(()) }
}
