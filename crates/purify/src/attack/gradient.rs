//! The gradient that an attack follows: of the classifier alone, past the defence, or through both.

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};

use super::Attack;
use crate::{Classifier, Defence, Draw, Result, tensor};

/// Rows of a graph: graphs of clips are large, and EOT multiplies rows.
const ROWS: usize = 8;

/// What an attack knows of a defence, and does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Nothing: it attacks the classifier, and what it finds is tried on both.
    Blind,
    /// Forward through the defence, backward past it (BPDA; Athalye et al. 2018, arXiv:1802.00420).
    Bpda,
    /// Everything: the true gradient through defence and classifier.
    Full,
}

/// What an attack maximises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Cross-entropy of the class.
    CrossEntropy,
    /// Difference of logits ratio (Croce & Hein 2020, eq. 6), which does not vanish for confident classifiers.
    Dlr,
}

/// A classifier behind a defence.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The classifier.
    pub classifier: &'a dyn Classifier,
    /// The defence.
    pub defence: &'a dyn Defence,
    /// Where rows live.
    pub device: &'a Device,
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({} behind {})", self.classifier.name(), self.defence.name())
    }
}

/// Gradients and losses of rows, means over draws.
#[derive(Clone, Debug)]
pub struct Slopes {
    /// Gradient of each row's loss.
    pub gradients: Vec<Vec<f32>>,
    /// Loss of each row.
    pub losses: Vec<f64>,
}

impl Loss {
    /// Losses of rows, `[B]`.
    fn of(self, logits: Tensor<2>, classes: &[usize]) -> Result<Tensor<1>> {
        let [batch, count] = logits.dims();
        let device = logits.device().without_autodiff();
        let pick = |logits: Tensor<2>, ids: Vec<i64>| -> Tensor<1> {
            let ids: Tensor<2, Int> = Tensor::from_data(TensorData::new(ids, [batch, 1]), &device);
            logits.gather(1, ids).reshape([batch])
        };
        let own: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
        if self == Self::CrossEntropy || count < 2 {
            return Ok(pick(log_softmax(logits, 1), own).neg());
        }
        let values = tensor::host(logits.clone())?;
        let (mut first, mut third, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &class) in values.chunks(count).zip(classes) {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            first.push(order[0] as i64);
            third.push(order[2.min(count - 1)] as i64);
            other.push(order[usize::from(order[0] == class)] as i64);
        }
        let gap = pick(logits.clone(), other) - pick(logits.clone(), own);
        // Of two classes the ratio is a constant: the difference itself is used.
        let spread = if count > 2 { pick(logits.clone(), first) - pick(logits, third) } else { return Ok(gap) };
        Ok(gap / spread.add_scalar(1e-12))
    }
}

impl Target<'_> {
    /// Logits of rows under given draws, row-major.
    ///
    /// # Errors
    /// When the classifier cannot be run.
    pub fn logits(&self, rows: &[&[f32]], draws: &[Draw]) -> Result<Vec<f32>> {
        let mut found = Vec::with_capacity(rows.len() * self.classifier.classes());
        for (rows, draws) in rows.chunks(ROWS).zip(draws.chunks(ROWS)) {
            let x = tensor::rows(rows.concat(), rows.len(), self.device);
            let cleaned = self.defence.apply(x.clone(), draws)?;
            found.extend(tensor::host(self.defence.decide(self.classifier, x, cleaned)?)?);
        }
        Ok(found)
    }

    /// The classes of rows under given draws.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn classes(&self, rows: &[&[f32]], draws: &[Draw]) -> Result<Vec<usize>> {
        Ok(self.logits(rows, draws)?.chunks(self.classifier.classes().max(1)).map(best).collect())
    }

    /// Gradients of rows as an attack sees them, means over its draws from `first_vote` on.
    ///
    /// # Errors
    /// When the classifier cannot be run.
    pub fn slopes(&self, attack: &Attack, rows: &[Vec<f32>], classes: &[usize], items: &[u32], first_vote: u32) -> Result<Slopes> {
        let mut slopes = Slopes { gradients: Vec::with_capacity(rows.len()), losses: Vec::with_capacity(rows.len()) };
        for ((row, &class), &item) in rows.iter().zip(classes).zip(items) {
            let draws = self.draws(attack, item, first_vote);
            let mut gradient = vec![0f32; row.len()];
            let mut total = 0.0;
            for draws in draws.chunks(ROWS) {
                let rows: Vec<f32> = draws.iter().flat_map(|_| row.iter().copied()).collect();
                let leaf = tensor::rows(rows, draws.len(), self.device).autodiff().require_grad();
                let logits = self.forward(attack.path, leaf.clone(), draws)?;
                let losses = attack.loss.of(logits, &vec![class; draws.len()])?;
                total += f64::from(losses.clone().sum().into_scalar::<f32>());
                let sum = losses.sum();
                // A defence that cuts the graph leaves no gradient at all.
                let Some(found) = sum.is_tracked().then(|| leaf.grad_remove(&mut sum.backward())).flatten() else { continue };
                for found in tensor::host(found)?.chunks(row.len()) {
                    gradient.iter_mut().zip(found).for_each(|(sum, g)| *sum += g);
                }
            }
            gradient.iter_mut().for_each(|g| *g /= draws.len() as f32);
            slopes.gradients.push(gradient);
            slopes.losses.push(total / draws.len() as f64);
        }
        Ok(slopes)
    }

    /// Losses of rows, means over the attack's draws from `first_vote` on.
    ///
    /// # Errors
    /// When the classifier cannot be run.
    pub fn losses(&self, attack: &Attack, rows: &[Vec<f32>], classes: &[usize], items: &[u32], first_vote: u32) -> Result<Vec<f64>> {
        let draws: Vec<Draw> = items.iter().flat_map(|&item| self.draws(attack, item, first_vote)).collect();
        let each = draws.len() / items.len().max(1);
        let mut found = Vec::with_capacity(draws.len());
        let all: Vec<(&[f32], usize, Draw)> = (0..draws.len()).map(|k| (rows[k / each].as_slice(), classes[k / each], draws[k])).collect();
        for part in all.chunks(ROWS) {
            let (values, draws): (Vec<&[f32]>, Vec<Draw>) = part.iter().map(|(row, _, draw)| (*row, *draw)).unzip();
            let x = tensor::rows(values.concat(), part.len(), self.device);
            let classes: Vec<usize> = part.iter().map(|(_, class, _)| *class).collect();
            found.extend(attack.loss.of(self.forward(attack.path, x, &draws)?, &classes)?.into_data().iter::<f64>());
        }
        Ok(found.chunks(each.max(1)).map(|losses| losses.iter().sum::<f64>() / each as f64).collect())
    }

    /// The draws that an attack takes the mean over: one where nothing is random, or it does not look.
    fn draws(&self, attack: &Attack, item: u32, first_vote: u32) -> Vec<Draw> {
        let count = if self.defence.is_random() && attack.path != Path::Blind { attack.eot as u32 } else { 1 };
        (0..count).map(|k| Draw { item, vote: first_vote.wrapping_add(k) }).collect()
    }

    /// Logits of rows as an attack that knows `path` sees them; gradients lead back to `x` as far as it knows.
    fn forward(&self, path: Path, x: Tensor<2>, draws: &[Draw]) -> Result<Tensor<2>> {
        let cleaned = match path {
            Path::Blind => return self.classifier.logits(x),
            Path::Bpda => {
                let plain = x.clone().without_autodiff();
                let change = self.defence.apply(plain.clone(), draws)? - plain;
                let change = if x.is_tracked() { change.autodiff() } else { change };
                x.clone() + change
            }
            Path::Full => self.defence.apply(x.clone(), draws)?,
        };
        self.defence.decide(self.classifier, x, cleaned)
    }
}

/// The place of the greatest number.
pub(crate) fn best(row: &[f32]) -> usize {
    row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(k, _)| k)
}
