//! Residuals of holes drawn by the network: which windows it sees, and the noise they start from.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use langevin_core::{NoiseSource as _, Philox, noise::stream, recipe::Run};
use langevin_nn::Sampler;

use crate::{
    Frame, Result,
    anchor::{Anchor, Anchored},
    data::{Relations, Sheet},
    task::ResidualModel,
};

/// Rows on both sides of what a window fills, for what stands around.
const MARGIN: usize = 4;
/// Samples that are drawn together: what fits into a core's memory.
const TOGETHER: usize = 8;

/// One frame whose holes are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn<'a> {
    pub(super) frame: &'a Frame,
    pub(super) anchored: &'a Anchored,
    /// Rows whose holes are wanted.
    pub(super) rows: &'a Range<usize>,
    /// Holes that the network is to fill, `[column][row]`; windows without one are left out.
    pub(super) wanted: &'a [Vec<bool>],
    /// Tells series of a panel apart in the noise's address.
    pub(super) salt: u32,
}

/// A window: rows of a sheet, and those of them that it fills.
#[derive(Clone, Debug)]
struct Job {
    sheet: usize,
    first: usize,
    rows: Range<usize>,
}

/// Some columns of a frame as the network sees them.
#[derive(Debug)]
struct Part {
    frame: usize,
    columns: Vec<usize>,
    sheet: Sheet,
    /// The first word of each column's noise address.
    salts: Vec<u32>,
    positions: Vec<f64>,
}

/// The work of drawing residuals; the engine runs it, one window at a time.
///
/// Noise is addressed by the column's name, the position in time and the sample: windows that overlap start from the same noise, so that
/// paths go on from one window to the next, and neither the order of columns nor the way a table is cut matters.
pub struct WindowJob<'a> {
    model: &'a ResidualModel,
    run: Run,
    noise: Philox,
    samples: usize,
    parts: Vec<Part>,
    jobs: Vec<Job>,
}

impl std::fmt::Debug for WindowJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowJob").field("windows", &self.jobs.len()).field("samples", &self.samples).finish_non_exhaustive()
    }
}

/// What one window drew: for each hole its frame, column, row and the residuals of all samples, in units of the anchor's error.
pub type WindowDraws = Vec<(usize, usize, usize, Vec<f32>)>;

impl<'a> WindowJob<'a> {
    /// The windows of frames that have holes among the wanted rows; at most `most` of them, evenly spread.
    pub(super) fn new(
        model: &'a ResidualModel,
        run: Run,
        anchor: &Anchor,
        frames: &[Drawn<'_>],
        samples: usize,
        seed: u64,
        most: Option<usize>,
    ) -> Result<Self> {
        let window = model.config.window;
        let margin = MARGIN.min(window / 4);
        let stride = window - 2 * margin;
        let mut parts = Vec::new();
        let mut jobs = Vec::new();
        for (n, drawn) in frames.iter().enumerate() {
            let scaled = anchor.scaler().forward(drawn.frame);
            for columns in anchor.groups() {
                let pick = |table: &[Vec<f64>]| columns.iter().map(|&c| table[c].clone()).collect::<Vec<_>>();
                let values = pick(&scaled);
                let holes = |rows: Range<usize>| columns.iter().any(|&c| drawn.wanted[c][rows.clone()].contains(&true));
                // Strips lie on the grid of positions in the frame's own rows: the frame is cut the same way whatever is wanted of it.
                let first = drawn.rows.start / stride;
                let strips = (first..drawn.rows.end.div_ceil(stride))
                    .map(|k| (k * stride).max(drawn.rows.start)..((k + 1) * stride).min(drawn.rows.end));
                let wanted: Vec<Range<usize>> = strips.filter(|rows| !rows.is_empty() && holes(rows.clone())).collect();
                if wanted.is_empty() {
                    continue;
                }
                let part = Anchored { mean: pick(&drawn.anchored.mean), scale: pick(&drawn.anchored.scale) };
                let relations = Arc::new(Relations::fit(&[&values]));
                let period = anchor.period().map(|p| p as f64);
                let sheet = Sheet::new(&values, &drawn.frame.positions, &part, period, relations);
                jobs.extend(wanted.into_iter().map(|rows| Job {
                    sheet: parts.len(),
                    first: (rows.start / stride * stride).saturating_sub(margin),
                    rows,
                }));
                let salts = columns.iter().map(|&c| salt(&drawn.frame.names[c], drawn.salt)).collect();
                parts.push(Part { frame: n, columns: columns.to_vec(), sheet, salts, positions: drawn.frame.positions.clone() });
            }
        }
        if let Some(most) = most.filter(|&most| jobs.len() > most) {
            let count = jobs.len();
            jobs = (0..most).map(|k| jobs[k * count / most].clone()).collect();
        }
        Ok(Self { model, run, noise: Philox::new(seed), samples, parts, jobs })
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Network evaluations of a window.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.run.nfe() * self.samples.div_ceil(TOGETHER)
    }

    fn draw(&self, job: &Job, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), WindowDraws> {
        let part = &self.parts[job.sheet];
        let width = part.columns.len();
        let all: Vec<usize> = (0..width).collect();
        let window = part.sheet.window(job.first, self.model.config.window, &all);
        let context = self.model.encode(&[&window]);
        let wanted = |row: usize, column: usize| window.is_hole(row - job.first, column);
        let mut draws: WindowDraws = Vec::new();
        for row in job.rows.clone() {
            for column in (0..width).filter(|&column| wanted(row, column)) {
                draws.push((part.frame, part.columns[column], row, Vec::with_capacity(self.samples)));
            }
        }
        let mut noise = vec![0f32; self.samples];
        for first in (0..self.samples).step_by(TOGETHER) {
            let count = TOGETHER.min(self.samples - first);
            let mut start = vec![0f32; window.rows * width * count];
            for (token, start) in start.chunks_exact_mut(count).enumerate() {
                let (row, column) = (token / width, token % width);
                if window.is_hole(row, column) {
                    // Positions of a table are far fewer than words; those that wrap around are far apart.
                    let node = part.positions[job.first + row].round() as i64 as u32;
                    self.noise.fill(part.salts[column], node, stream::PRIOR, &mut noise[..first + count]);
                    start.copy_from_slice(&noise[first..first + count]);
                }
            }
            // The run was compiled for this model, which is all that sampling can refuse.
            let drawn = self.model.sample(&context, count, start, &self.run, &self.noise, observe).unwrap_or(ControlFlow::Break(()))?;
            let mut to = draws.iter_mut();
            for row in job.rows.clone() {
                for column in (0..width).filter(|&column| wanted(row, column)) {
                    let at = ((row - job.first) * width + column) * count;
                    if let Some((.., residuals)) = to.next() {
                        residuals.extend_from_slice(&drawn[at..at + count]);
                    }
                }
            }
        }
        ControlFlow::Continue(draws)
    }
}

impl Sampler for WindowJob<'_> {
    type Raw = WindowDraws;
    type Item = WindowDraws;

    fn micro_batch(&self) -> u32 {
        1
    }

    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<WindowDraws>> {
        rows.map(|row| self.draw(&self.jobs[row as usize], observe)).try_fold(Vec::new(), |mut all, draws| {
            all.push(draws?);
            ControlFlow::Continue(all)
        })
    }

    fn finish(&self, _row: u32, raw: WindowDraws) -> WindowDraws {
        raw
    }
}

/// A word that tells columns of series apart: FNV-1a of the name, begun from the series.
pub(super) fn salt(name: &str, series: u32) -> u32 {
    name.bytes().fold(0x811c_9dc5 ^ series.wrapping_mul(0x9e37_79b9), |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Draws by cell of some frames.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    samples: usize,
    /// `[frame][column][row]`: number of the hole, or none.
    index: Vec<Vec<Vec<u32>>>,
    values: Vec<f32>,
}

impl Draws {
    /// Nothing drawn.
    pub(super) fn none() -> Self {
        Self { samples: 0, index: Vec::new(), values: Vec::new() }
    }

    pub(super) fn gather(frames: &[Drawn<'_>], samples: usize, drawn: Vec<WindowDraws>) -> Self {
        let mut index: Vec<Vec<Vec<u32>>> = frames.iter().map(|d| vec![vec![u32::MAX; d.frame.rows()]; d.frame.columns()]).collect();
        let mut values = Vec::new();
        for (frame, column, row, residuals) in drawn.into_iter().flatten() {
            index[frame][column][row] = (values.len() / samples) as u32;
            values.extend(residuals);
        }
        Self { samples, index, values }
    }

    /// Residuals of a hole in the order of samples.
    pub(super) fn of(&self, frame: usize, column: usize, row: usize) -> Option<&[f32]> {
        let at = *self.index.get(frame)?.get(column)?.get(row)?;
        (at != u32::MAX).then(|| &self.values[at as usize * self.samples..(at as usize + 1) * self.samples])
    }
}
