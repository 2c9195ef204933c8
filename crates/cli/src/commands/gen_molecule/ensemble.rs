//! From entries to written conformers: read, sample, choose, write, chunk after chunk.

use std::path::Path;

use langevin_engine::sample;
use langevin_molecule::{
    Molecule,
    geometry::{BoundsTable, SymmetricRmsd},
    io::{Entry, without_hydrogens, write_xyz},
    task::{Aim, Conformer, Draw, Generation, Job, Relax, Request, Trajectory, denovo::DenovoReport, spread, usual_level},
};
use langevin_nn::Sampler as _;
use serde::Serialize;

use super::{
    Args, Effective, beside,
    source::{self, Item, Problem, Source},
    writer::{Fields, Writer},
};
use crate::{output, report::Failure, settings::Settings};

/// Conformers that are worked on at once: enough for all threads, few enough for memory.
const AT_ONCE: u32 = 512;

/// Everything that stays the same from molecule to molecule.
pub(super) struct Run<'a> {
    pub(super) args: &'a Args,
    pub(super) settings: &'a Settings,
    pub(super) model: &'a dyn Draw,
    pub(super) bounds: &'a BoundsTable,
    pub(super) request: &'a Request,
    pub(super) effective: &'a Effective,
    pub(super) levels: &'a [String],
    pub(super) workers: langevin_engine::Workers,
    pub(super) cancel: langevin_engine::Cancel,
    pub(super) trajectory: Trajectory,
}

/// What has been done.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) molecules: usize,
    pub(super) conformers: usize,
    pub(super) valid: usize,
    pub(super) stereo_ok: usize,
    pub(super) duplicates: usize,
    pub(super) redrawn: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) de_novo: Option<DenovoReport>,
    pub(super) failed: Vec<Problem>,
}

impl Run<'_> {
    /// Reads, samples and writes chunk after chunk.
    pub(super) fn stream(
        &self,
        source: &Source,
        rows: std::ops::Range<u32>,
        writer: &mut Writer,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let chunk = (AT_ONCE / self.request.n).max(1) as usize;
        let mut waiting: Vec<Item> = Vec::new();
        let entries = source.entries()?.skip(rows.start as usize).take(rows.len());
        for entry in entries {
            match self.ready(entry)? {
                Ok(items) => waiting.extend(items),
                Err(problem) => self.failed(problem, tally),
            }
            if waiting.len() >= chunk {
                self.chunk(std::mem::take(&mut waiting), writer, tally)?;
            }
        }
        self.chunk(waiting, writer, tally)
    }

    /// An entry made ready; an unreadable file ends the command, an unreadable entry does not.
    fn ready(&self, entry: langevin_molecule::Result<Entry>) -> Result<Result<Vec<Item>, Problem>, Failure> {
        match entry {
            Ok(entry) => Ok(source::items(entry, self.args.stereo, self.request.seed)),
            Err(error @ langevin_molecule::Error::Io { .. }) => Err(error.into()),
            Err(error) => Ok(Err(Problem { line: 0, smiles: String::new(), name: String::new(), reason: error.to_string() })),
        }
    }

    fn failed(&self, problem: Problem, tally: &mut Tally) {
        let place = if problem.line == 0 { String::new() } else { format!("line {}: ", problem.line) };
        let what = if problem.smiles.is_empty() { String::new() } else { format!("'{}': ", problem.smiles) };
        output::talk(langevin_engine::Verbosity::Normal, &crate::report::printable(&format!("{place}{what}{}", problem.reason)));
        tally.failed.push(problem);
    }

    fn chunk(&self, items: Vec<Item>, writer: &mut Writer, tally: &mut Tally) -> Result<(), Failure> {
        let (mut jobs, mut told) = (Vec::new(), Vec::new());
        for item in items {
            let held = match &self.effective.held {
                None => Ok(None),
                Some((atoms, positions)) => source::held_of(&item.molecule, atoms, positions).map(Some),
            };
            let aim = self.aim(&item.molecule);
            let job = held
                .and_then(|held| Job::new(&item.text, item.molecule.clone(), self.bounds, held.as_ref(), aim).map_err(|e| e.to_string()));
            match job {
                Ok(job) => {
                    jobs.push(job);
                    told.push(item);
                }
                Err(reason) => self.failed(Problem { line: 0, smiles: item.text, name: item.name, reason }, tally),
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let first = tally.molecules == 0 && self.args.trajectory.is_some();
        let generation = Generation::new(self.model, self.request, &jobs, first.then_some(&self.trajectory));
        let rows = generation.rows();
        let evaluations = u64::from(rows.end / generation.micro_batch()) * self.model.evaluations() as u64;
        let progress = self.settings.progress(evaluations, "evaluations");
        let conformers = sample(&generation, rows, &self.workers, &self.cancel, &|| progress.advance());
        progress.finish();
        let mut of_jobs: Vec<Vec<Conformer>> = jobs.iter().map(|_| Vec::new()).collect();
        for conformer in conformers?.into_iter().flatten() {
            let conformer = conformer?;
            of_jobs[conformer.job].push(conformer);
        }
        // Each job's conformers are taken by the one worker that compares them.
        let of_jobs: Vec<_> = of_jobs.into_iter().map(|conformers| std::sync::Mutex::new(Some(conformers))).collect();
        let kept = self.workers.map(jobs.len(), |k| {
            let conformers = of_jobs[k].lock().ok()?.take()?;
            Some(spread(&jobs[k], self.request.candidates(&jobs[k]) as usize, conformers))
        });
        for ((item, job), conformers) in told.iter().zip(&jobs).zip(kept) {
            self.write(item, job.has_field(), conformers.unwrap_or_default(), writer, tally)?;
        }
        Ok(())
    }

    /// The geometries that are wanted of a molecule. A minimum of MMFF94s is what the level of that name means.
    fn aim(&self, molecule: &Molecule) -> Aim {
        let wanted = self.effective.level.as_deref().unwrap_or_else(|| usual_level(molecule));
        let level = self.levels.iter().position(|level| level == wanted).unwrap_or(0);
        let usual = if self.levels.get(level).is_some_and(|level| level == "mmff") { Relax::Mmff94s } else { Relax::Bounds };
        Aim { level, relax: self.effective.relax.unwrap_or(usual) }
    }

    fn write(
        &self,
        item: &Item,
        has_field: bool,
        conformers: Vec<Conformer>,
        writer: &mut Writer,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if tally.molecules == 0
            && let Some(path) = &self.args.trajectory
        {
            let mut bytes = Vec::new();
            for (k, frame) in self.trajectory.frames().iter().enumerate() {
                write_xyz(&mut bytes, &format!("estimate {k} of {}", item.text), &item.molecule, frame)?;
            }
            output::put(path, &bytes)?;
        }
        tally.molecules += 1;
        let kept = match self.args.max_rmsd_dup {
            Some(least) => apart(&item.molecule, conformers, least, tally),
            None => conformers,
        };
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by(|&a, &b| kept[a].energy.total_cmp(&kept[b].energy));
        let mut rank = vec![0; kept.len()];
        order.iter().enumerate().for_each(|(place, &k)| rank[k] = place + 1);
        let weight = 1.0 / kept.len().max(1) as f64;
        let aim = self.aim(&item.molecule);
        for (conformer, rank) in kept.iter().zip(rank) {
            tally.conformers += 1;
            tally.valid += usize::from(conformer.validity.valid());
            tally.stereo_ok += usize::from(conformer.validity.stereo);
            tally.redrawn += usize::from(conformer.draws > 1);
            let fields = Fields {
                smiles: item.text.clone(),
                name: item.name.clone(),
                isomer: item.isomer.clone(),
                conf: conformer.index,
                rank,
                energy: conformer.energy,
                energy_unit: if has_field { "kcal/mol" } else { "arbitrary" },
                level: self.levels.get(aim.level).cloned().unwrap_or_default(),
                relax: conformer.relax,
                weight,
                seed: self.request.seed,
                model: self.effective.checkpoint.clone(),
                valid: conformer.validity.valid(),
                stereo_ok: conformer.validity.stereo,
                problem: conformer.validity.problem.clone(),
                draws: conformer.draws,
            };
            if self.args.no_h {
                let (molecule, positions) = without_hydrogens(&item.molecule, &conformer.positions);
                writer.conformer(&molecule, &positions, &fields)?;
            } else {
                writer.conformer(&item.molecule, &conformer.positions, &fields)?;
            }
        }
        Ok(())
    }

    /// Says what was done. Rows that failed are listed in a file beside the output, and make the exit code 3.
    pub(super) fn end(&self, tally: &Tally, seconds: f64) -> Result<(), Failure> {
        let each = 1e3 * seconds / tally.conformers.max(1) as f64;
        self.settings.talk(&format!(
            "{} conformers of {} molecules, {:.1} % valid, {:.1} % with their stereochemistry, {each:.0} ms each",
            tally.conformers,
            tally.molecules,
            1e2 * tally.valid as f64 / tally.conformers.max(1) as f64,
            1e2 * tally.stereo_ok as f64 / tally.conformers.max(1) as f64,
        ));
        if self.settings.json && self.args.output != Path::new(output::STDOUT) {
            output::json(tally)?;
        }
        if tally.failed.is_empty() {
            return Ok(());
        }
        let mut said = format!("{} of {} molecules failed", tally.failed.len(), tally.failed.len() + tally.molecules);
        if self.args.output != Path::new(output::STDOUT) {
            let mut lines = Vec::new();
            for problem in &tally.failed {
                let line = serde_json::to_string(problem).map_err(|e| Failure::data("json", "a problem cannot be written").because(e))?;
                lines.extend_from_slice(line.as_bytes());
                lines.push(b'\n');
            }
            let path = beside(&self.args.output, "errors.jsonl");
            output::put(&path, &lines)?;
            said = format!("{said}; they are listed in {}", path.display());
        }
        Err(Failure::partial("smiles", said))
    }
}

/// Conformers that are no duplicates of earlier ones.
fn apart(molecule: &Molecule, conformers: Vec<Conformer>, least: f64, tally: &mut Tally) -> Vec<Conformer> {
    let rmsd = SymmetricRmsd::new(molecule, false);
    let mut kept: Vec<Conformer> = Vec::new();
    for conformer in conformers {
        if kept.iter().any(|earlier| rmsd.rmsd(&conformer.positions, &earlier.positions) < least) {
            tally.duplicates += 1;
        } else {
            kept.push(conformer);
        }
    }
    kept
}
