//! What a defence is worth: a suite of attacks, three ways to count, and checks of the numbers themselves.

mod checks;
mod suite;

pub use checks::{Checks, gradient_cosine, losses_by_steps, verdict};
pub use suite::{Budget, Entry, suite};

use crate::{
    Draw, Result,
    attack::{Target, best},
    defence::Nothing,
    detect::shift,
    vote::Vote,
};

/// How decisions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Draws of a vote.
    pub votes: usize,
    /// How often the same input is handed in; one wrong answer counts.
    pub resubmissions: usize,
}

/// One input under one attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether the class of one draw is right.
    pub single: bool,
    /// Whether the classes of all resubmissions are right.
    pub worst: bool,
    /// Whether the class of the vote is right.
    pub vote: bool,
    /// Whether the vote is too close to decide.
    pub abstained: bool,
    /// How far the defence moves the classifier's decision, see [`shift`].
    pub shift: f64,
    /// The perturbed row.
    pub row: Vec<f32>,
}

/// Runs an attack on rows, and counts what the defence makes of the results.
///
/// # Errors
/// As [`Attack::run`](crate::attack::Attack::run).
pub fn measure(
    target: &Target<'_>,
    entry: &Entry,
    counting: Counting,
    rows: &[Vec<f32>],
    classes: &[usize],
    items: &[u32],
) -> Result<Vec<Outcome>> {
    let attacked = match &entry.attack {
        Some(attack) => attack.run(target, rows, classes, items)?,
        None => rows.to_vec(),
    };
    let plain = Target { classifier: target.classifier, defence: &Nothing, device: target.device };
    let judge = |((row, &class), &item): ((&Vec<f32>, &usize), &u32)| {
        let draws = if target.defence.is_random() { counting.votes.max(counting.resubmissions).max(1) } else { 1 };
        let addresses: Vec<Draw> = (0..draws as u32).map(|vote| Draw { item, vote }).collect();
        let logits = target.logits(&vec![row.as_slice(); draws], &addresses)?;
        let classes = target.classifier.classes().max(1);
        let found: Vec<usize> = logits.chunks(classes).map(best).collect();
        let votes = counting.votes.clamp(1, draws);
        let vote = Vote::new(&found[..votes], 0.05);
        Ok(Outcome {
            single: found[0] == class,
            worst: found.iter().take(counting.resubmissions.max(1)).all(|&f| f == class),
            vote: vote.class == class,
            abstained: draws > 1 && vote.abstains(),
            shift: shift(&plain.logits(&[row], &addresses[..1])?, &logits[..votes * classes]),
            row: row.clone(),
        })
    };
    attacked.iter().zip(classes).zip(items).map(judge).collect()
}
