//! What fills a table: the anchored imputer, or CSDI as published.

use langevin_core::drive::RePaint;
use langevin_engine::{Cancel, Workers, sample};
use langevin_nn::Sampler;
use langevin_series::{
    Frame,
    io::{Block, Table},
    report::Backtest,
    task::{
        Filled, ImputeSettings, Imputer, ResidualModel, WindowDraws, WindowJob,
        csdi::{CsdiDraws, CsdiImputer, CsdiJob, CsdiModel, Method},
    },
};

use crate::{report::Failure, sampling::SamplingArgs, settings::Settings};

/// Runs the network over workers, with a progress bar.
pub(super) struct Drawing<'a> {
    pub(super) settings: &'a Settings,
    pub(super) workers: Workers,
    pub(super) cancel: Cancel,
}

impl Drawing<'_> {
    /// All windows of a job, each of which calls the network `evaluations` times; `None` when interrupted.
    fn all<S: Sampler>(&self, job: &S, windows: usize, evaluations: usize) -> Option<Vec<S::Item>> {
        let progress = self.settings.progress(windows as u64 * evaluations as u64, "evaluations");
        let drawn = sample(job, 0..windows as u32, &self.workers, &self.cancel, &|| progress.advance());
        progress.finish();
        drawn.ok()
    }

    fn anchored(&self, job: &WindowJob<'_>) -> Option<Vec<WindowDraws>> {
        self.all(job, job.len(), job.evaluations())
    }

    fn csdi(&self, job: &CsdiJob<'_>) -> Option<Vec<CsdiDraws>> {
        self.all(job, job.len(), job.evaluations())
    }
}

/// What fills the blocks of a table.
pub(super) enum Filler<'m> {
    /// Anchor, backtest, and a residual model where that helps.
    Anchored(Imputer<'m>),
    /// CSDI, or its network without conditions by RePaint.
    Csdi(CsdiImputer<'m>),
}

impl<'m> Filler<'m> {
    /// Fits the anchored imputer to frames of the table, and tries it on known cells.
    pub(super) fn fit(
        frames: &[Frame],
        model: Option<&'m ResidualModel>,
        settings: ImputeSettings,
        drawing: &Drawing<'_>,
    ) -> Result<(Self, Option<Backtest>), Failure> {
        let fitted = Imputer::fit(frames, model, settings, &|job| drawing.anchored(job))?;
        let (imputer, backtest) = fitted.ok_or_else(interrupted)?;
        Ok((Self::Anchored(imputer), backtest))
    }

    /// What fills the wanted rows of a block.
    pub(super) fn fill(&self, block: &Block, paths: bool, drawing: &Drawing<'_>) -> Result<Filled, Failure> {
        let (frame, rows, series) = (&block.frame, block.core.clone(), block.series);
        let filled = match self {
            Self::Anchored(imputer) => imputer.fill(frame, rows, series, paths, &|job| drawing.anchored(job))?,
            Self::Csdi(imputer) => imputer.fill(frame, rows, series, paths, &|job| drawing.csdi(job)),
        };
        filled.ok_or_else(interrupted)
    }

    /// Whether a network fills any gap.
    pub(super) fn uses_network(&self) -> bool {
        match self {
            Self::Anchored(imputer) => imputer.uses_network(),
            Self::Csdi(_) => true,
        }
    }

    /// Denoising steps of a sample.
    pub(super) fn steps(&self) -> usize {
        match self {
            Self::Anchored(imputer) => imputer.steps(),
            Self::Csdi(imputer) => imputer.evaluations(),
        }
    }

    /// The season, in rows.
    pub(super) fn period(&self) -> Option<usize> {
        match self {
            Self::Anchored(imputer) => imputer.anchor().period(),
            Self::Csdi(_) => None,
        }
    }

    /// How a column is straightened.
    pub(super) fn transform(&self, column: usize) -> &'static str {
        match self {
            Self::Anchored(imputer) => imputer.anchor().scaler().column(column).warp.name(),
            Self::Csdi(_) => "none",
        }
    }

    /// Mean absolute error on a column's hidden cells, in deviations.
    pub(super) fn error(&self, column: usize) -> Option<f64> {
        match self {
            Self::Anchored(imputer) => imputer.error(column),
            Self::Csdi(_) => None,
        }
    }
}

/// CSDI for a table, and what a user should know of it. `repaint` is the number of times that each stretch is walked.
pub(super) fn csdi<'m>(
    model: &'m CsdiModel,
    repaint: Option<u32>,
    sampling: &SamplingArgs,
    table: &Table,
    settings: ImputeSettings,
) -> Result<(CsdiImputer<'m>, Vec<String>), Failure> {
    let method = match repaint {
        Some(times) => Method::Repaint(RePaint { jump_samples: times as usize, ..RePaint::default() }),
        None => Method::Solver(sampling.chosen(&model.published())?),
    };
    let imputer = CsdiImputer::new(model, method, table.names(), settings)?;
    let mut warnings = vec!["CSDI fills as published: no anchor, no backtest, bands are not calibrated.".to_owned()];
    let lacking = imputer.lacking();
    if !lacking.is_empty() {
        warnings
            .push(format!("The table lacks {} of the columns that CSDI was trained on: they count as never observed.", lacking.join(", ")));
    }
    let unknown = |(at, column): &(usize, &langevin_series::io::ColumnProfile)| column.missing > 0 && !imputer.knows(*at);
    let columns = table.profile().columns.iter().enumerate().filter(unknown);
    let names: Vec<&str> = columns.map(|(_, column)| column.name.as_str()).collect();
    if !names.is_empty() {
        warnings.push(format!("CSDI was not trained on {}: holes there stay empty.", names.join(", ")));
    }
    Ok((imputer, warnings))
}

fn interrupted() -> Failure {
    langevin_engine::Error::Interrupted { saved: None }.into()
}
