//! Training CSDI: denoising of cells that were observed and are hidden (algorithm 1 of the paper).

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    Level, NoiseSource as _, Philox,
    noise::stream,
    schedule::{Schedule as _, Table},
};
use langevin_nn::{Constant, Init, Trainable};

use crate::{
    Error, Frame, Result,
    draws::Draws,
    model::csdi::{CsdiConfig, CsdiNet, Strategy},
};

/// Diffusion steps at which each validation window is scored.
const VALIDATION_LEVELS: u32 = 4;
/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Stream that picks windows and what is hidden in them.
const PICK: u32 = stream::DOMAIN + 8;
/// Stream of diffusion steps.
const STEP: u32 = stream::DOMAIN + 9;
/// Names of a checkpoint's constants: what columns are shifted and divided by.
pub(super) const SCALES: [&str; 2] = ["mean", "deviation"];

/// CSDI's data and loss.
pub struct CsdiTask {
    config: CsdiConfig,
    schedule: Table,
    noise: Philox,
    scales: [Vec<f32>; 2],
    train: Tables,
    valid: Tables,
    windows: u32,
}

impl std::fmt::Debug for CsdiTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsdiTask").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Standardised tables, `[table][column][row]` with NaN at holes.
struct Tables(Vec<Vec<Vec<f32>>>);

/// A window as the network is trained on it, `[column][row]`.
struct Example {
    /// 0 where nothing was observed.
    values: Vec<f32>,
    /// 1 where the network is given the value.
    given: Vec<f32>,
    /// 1 where it is asked for it.
    wanted: Vec<f32>,
}

/// Mean and deviation of every column's observed cells; a deviation of 1 for constants.
fn scales(frames: &[Frame], columns: usize) -> [Vec<f32>; 2] {
    let mut scales = [vec![0f32; columns], vec![1f32; columns]];
    let [means, deviations] = &mut scales;
    for (column, (shift, divisor)) in means.iter_mut().zip(deviations).enumerate() {
        let seen = || frames.iter().flat_map(|frame| &frame.values[column]).filter(|value| !value.is_nan());
        let n = seen().count().max(1) as f64;
        let mean = seen().sum::<f64>() / n;
        let deviation = (seen().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        *shift = mean as f32;
        if deviation > 0.0 {
            *divisor = deviation as f32;
        }
    }
    scales
}

impl Tables {
    fn new(frames: &[Frame], [mean, deviation]: &[Vec<f32>; 2]) -> Self {
        let column =
            |(k, values): (usize, &Vec<f64>)| values.iter().map(|v| ((v - f64::from(mean[k])) / f64::from(deviation[k])) as f32).collect();
        Self(frames.iter().map(|frame| frame.values.iter().enumerate().map(column).collect()).collect())
    }

    /// A window of `rows` rows with something observed where that can be found, `[column][row]`; NaN behind the end of a short table.
    fn window(&self, rows: usize, draws: &mut Draws) -> Vec<f32> {
        let mut window = Vec::new();
        // Tables by their number of rows; windows without a value are drawn again.
        let total: usize = self.0.iter().map(|table| table[0].len()).sum();
        for _ in 0..20 {
            let mut place = draws.below(total);
            let table = self.0.iter().find(|table| {
                let inside = place < table[0].len();
                place -= if inside { 0 } else { table[0].len() };
                inside
            });
            let table = table.expect("the place is inside of all tables together");
            let first = draws.below(table[0].len().saturating_sub(rows) + 1);
            let cell = |values: &Vec<f32>, row: usize| values.get(first + row).copied().unwrap_or(f32::NAN);
            window = table.iter().flat_map(|values| (0..rows).map(move |row| cell(values, row))).collect();
            if window.iter().any(|value| !value.is_nan()) {
                break;
            }
        }
        window
    }

    fn example(&self, config: &CsdiConfig, draws: &mut Draws) -> Example {
        let values = self.window(config.window, draws);
        let observed: Vec<bool> = values.iter().map(|value| !value.is_nan()).collect();
        let historical = match config.strategy {
            Strategy::Random => false,
            Strategy::Historical => true,
            Strategy::Mix => draws.chance(0.5),
        };
        let given: Vec<bool> = if config.unconditional {
            // A model of whole windows learns from all that was observed.
            vec![false; values.len()]
        } else if historical {
            let other = self.window(config.window, draws);
            observed.iter().zip(other).map(|(seen, other)| *seen && !other.is_nan()).collect()
        } else {
            let seen: Vec<usize> = (0..values.len()).filter(|&cell| observed[cell]).collect();
            let hidden = (draws.uniform() * seen.len() as f64).round() as usize;
            let mut given = observed.clone();
            draws.some_of(seen.len(), hidden).into_iter().for_each(|k| given[seen[k]] = false);
            given
        };
        let flag = |flag: bool| f32::from(u8::from(flag));
        Example {
            wanted: observed.iter().zip(&given).map(|(seen, given)| flag(*seen && !given)).collect(),
            given: given.into_iter().map(flag).collect(),
            values: values.into_iter().map(|value| if value.is_nan() { 0.0 } else { value }).collect(),
        }
    }
}

impl CsdiTask {
    /// A task for a checked config whose columns are those of all tables, in their order; `windows` are drawn from `valid` to score. Columns are
    /// scaled by `constants` of a checkpoint, or else by the training tables.
    ///
    /// # Errors
    /// Tables of other columns or without rows, constants that do not fit.
    pub fn new(
        config: &CsdiConfig,
        seed: u64,
        constants: Option<&[Constant]>,
        train: &[Frame],
        valid: &[Frame],
        windows: u32,
    ) -> Result<Self> {
        let setting = |name, reason: String| Err(Error::Setting { name, reason });
        for (name, frames) in [("data", train), ("valid", valid)] {
            if let Some(frame) = frames.iter().find(|frame| frame.names[..] != config.columns[..]) {
                let (theirs, ours) = (frame.names.join(", "), config.columns.join(", "));
                return setting(
                    name,
                    format!("has columns {theirs}, but CSDI embeds {ours}: every table should have these, in this order"),
                );
            }
            if frames.iter().flat_map(|frame| &frame.values).flatten().all(|value| value.is_nan()) {
                return setting(name, "should have an observed value".to_owned());
            }
        }
        let scales = match constants {
            Some(constants) => scales_of(constants, config.columns.len())?,
            None => scales(train, config.columns.len()),
        };
        let (train, valid) = (Tables::new(train, &scales), Tables::new(valid, &scales));
        let (noise, schedule) = (Philox::new(seed), config.schedule()?);
        Ok(Self { config: config.clone(), schedule, noise, scales, train, valid, windows })
    }

    /// Sum of squared errors of the noise over wanted cells, and the number of these.
    fn errors(&self, model: &CsdiNet, examples: &[Example], steps: &[usize], eps: Vec<f32>, device: &Device) -> (Tensor<1>, f64) {
        let (columns, rows) = (self.config.columns.len(), self.config.window);
        let cells = columns * rows;
        let dims = [examples.len(), columns, rows];
        let tensor = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, dims), device);
        let levels: Vec<Level> = steps.iter().map(|&step| self.schedule.level(step as f64)).collect();
        let mut noised = vec![0f32; eps.len()];
        for (((noised, eps), example), at) in noised.chunks_mut(cells).zip(eps.chunks(cells)).zip(examples).zip(&levels) {
            for (k, noised) in noised.iter_mut().enumerate() {
                // The network does not see noised values where it is given the true ones.
                let shown = f64::from(1.0 - example.given[k]);
                *noised = (shown * (at.alpha * f64::from(example.values[k]) + at.sigma * f64::from(eps[k]))) as f32;
            }
        }
        let of = |part: fn(&Example) -> &Vec<f32>| examples.iter().flat_map(|e| part(e).iter().copied()).collect::<Vec<f32>>();
        let (given, wanted) = (of(|e| &e.given), of(|e| &e.wanted));
        let shown: Vec<f32> = of(|e| &e.values).into_iter().zip(&given).map(|(value, given)| value * given).collect();
        let count: f64 = wanted.iter().copied().map(f64::from).sum();
        let as_channel = |values: Vec<f32>| tensor(values).unsqueeze_dim::<4>(3);
        let (x, given) = if self.config.unconditional {
            (as_channel(noised), None)
        } else {
            (Tensor::cat(vec![as_channel(shown), as_channel(noised)], 3), Some(as_channel(given)))
        };
        let times: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        let side = model.side(&self.config, &times, given, device);
        let steps: Vec<f32> = steps.iter().map(|&step| step as f32).collect();
        let said = model.forward(x, &steps, &side);
        (((said - tensor(eps)).square() * tensor(wanted)).sum(), count)
    }

    fn eps(&self, rows: Range<u32>, step: u32, noise: Philox) -> Vec<f32> {
        let cells = self.config.columns.len() * self.config.window;
        let mut eps = vec![0f32; rows.len() * cells];
        eps.chunks_mut(cells.max(1)).zip(rows).for_each(|(eps, row)| noise.fill(row, step, stream::TRAIN, eps));
        eps
    }
}

/// The scales among a checkpoint's constants.
pub(super) fn scales_of(constants: &[Constant], columns: usize) -> Result<[Vec<f32>; 2]> {
    let mut scales = [Vec::new(), Vec::new()];
    for (name, scale) in SCALES.into_iter().zip(&mut scales) {
        let found = constants.iter().find(|constant| constant.name == name);
        let found = found.ok_or_else(|| Error::Constant { name, problem: "is missing".to_owned() })?;
        if found.values.len() != columns || found.values.iter().any(|v| !v.is_finite() || (name == SCALES[1] && *v <= 0.0)) {
            return Err(Error::Constant { name, problem: format!("is not {columns} usable numbers") });
        }
        scale.clone_from(&found.values);
    }
    Ok(scales)
}

impl Trainable for CsdiTask {
    type Model = CsdiNet;

    fn init(&self, seed: u64, device: &Device) -> CsdiNet {
        CsdiNet::new(&self.config, &mut Init::new(seed, device))
    }

    /// The mean squared error of the noise over all cells that the rows ask for.
    fn loss(&self, model: &CsdiNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let example = |row: u32| self.train.example(&self.config, &mut Draws::new(self.noise, row, step, PICK));
        let examples: Vec<Example> = rows.clone().map(example).collect();
        let steps: Vec<usize> = rows.clone().map(|row| self.noise.below(self.config.steps, row, step, STEP)).collect();
        let (sum, count) = self.errors(model, &examples, &steps, self.eps(rows, step, self.noise), device);
        sum / count.max(1.0)
    }

    fn validation_rows(&self) -> u32 {
        self.windows * VALIDATION_LEVELS
    }

    /// The training loss at fixed steps, windows, masks and noise.
    fn validate(&self, model: &CsdiNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let noise = Philox::new(VALIDATION_SEED);
        let example = |row: u32| self.valid.example(&self.config, &mut Draws::new(noise, row / VALIDATION_LEVELS, 0, PICK));
        let examples: Vec<Example> = rows.clone().map(example).collect();
        let spread = |row: u32| (2 * (row % VALIDATION_LEVELS) as usize + 1) * self.config.steps / (2 * VALIDATION_LEVELS as usize);
        let steps: Vec<usize> = rows.clone().map(spread).collect();
        let share = rows.len() as f64;
        let (sum, count) = self.errors(model, &examples, &steps, self.eps(rows, 0, noise), device);
        vec![share * f64::from(sum.into_scalar::<f32>()) / count.max(1.0)]
    }

    /// What columns are shifted and divided by.
    fn constants(&self) -> Vec<Constant> {
        let constant =
            |(name, values): (&str, &Vec<f32>)| Constant { name: name.to_owned(), shape: vec![values.len()], values: values.clone() };
        SCALES.into_iter().zip(&self.scales).map(constant).collect()
    }
}
