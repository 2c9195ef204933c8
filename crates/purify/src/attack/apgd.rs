//! PGD with momentum, and a step that halves when it no longer helps (Croce & Hein 2020, algorithm 1).

use super::{
    Job,
    pgd::{add, shape, start},
};
use crate::Result;

/// Share of a step that is new.
const MOMENTUM: f64 = 0.75;
/// Share of steps between checks that should raise the loss.
const RISING: f64 = 0.75;

/// The steps at which progress is checked: closer and closer together.
fn checks(steps: usize) -> Vec<usize> {
    let (mut places, mut last, mut share) = (Vec::new(), 0.0, 0.22f64);
    while share < 1.0 {
        places.push((share * steps as f64 - 1e-9).ceil() as usize);
        let gap: f64 = share - last;
        last = share;
        share += (gap - 0.03).max(0.06);
    }
    places
}

/// What is remembered of a row between steps.
struct Memory {
    delta: Vec<f32>,
    before: Vec<f32>,
    best: (f64, Vec<f32>, Vec<f32>),
    pace: f64,
    rises: usize,
    last_loss: f64,
    at_check: (f64, f64),
}

pub(super) fn run(job: &Job<'_>) -> Result<Vec<Vec<f32>>> {
    let attack = job.attack;
    let checks = checks(attack.steps);
    let begin = |(row, &item): (&Vec<f32>, &u32)| {
        let delta = start(job, row, item);
        Memory {
            before: delta.clone(),
            best: (f64::NEG_INFINITY, delta.clone(), vec![0.0; row.len()]),
            delta,
            pace: 2.0 * attack.eps,
            rises: 0,
            last_loss: f64::NEG_INFINITY,
            at_check: (f64::INFINITY, f64::NEG_INFINITY),
        }
    };
    let mut memories: Vec<Memory> = job.rows.iter().zip(job.items).map(begin).collect();
    let mut last_check = 0;
    for step in 0..=attack.steps {
        let deltas: Vec<Vec<f32>> = memories.iter().map(|m| m.delta.clone()).collect();
        let slopes = job.slopes(&add(job.rows, &deltas), step)?;
        let check = checks.contains(&step);
        for ((memory, mut gradient), &loss) in memories.iter_mut().zip(slopes.gradients).zip(&slopes.losses) {
            memory.rises += usize::from(loss > memory.last_loss);
            memory.last_loss = loss;
            if loss > memory.best.0 {
                memory.best = (loss, memory.delta.clone(), gradient.clone());
            }
            if check {
                let few = (memory.rises as f64) < RISING * (step - last_check) as f64;
                let stuck = memory.at_check == (memory.pace, memory.best.0);
                memory.at_check = (memory.pace, memory.best.0);
                memory.rises = 0;
                if few || stuck {
                    memory.pace /= 2.0;
                    memory.delta.clone_from(&memory.best.1);
                    memory.before.clone_from(&memory.best.1);
                    gradient.clone_from(&memory.best.2);
                }
            }
            advance(job, memory, &gradient, step == 0);
        }
        if check {
            last_check = step;
        }
    }
    let best: Vec<Vec<f32>> = memories.into_iter().map(|m| m.best.1).collect();
    Ok(add(job.rows, &best))
}

fn advance(job: &Job<'_>, memory: &mut Memory, gradient: &[f32], first: bool) {
    let attack = job.attack;
    let mut ahead: Vec<f32> = memory.delta.iter().zip(attack.norm.step(gradient, memory.pace)).map(|(d, s)| d + s).collect();
    shape(job, &mut ahead);
    let share = if first { 1.0 } else { MOMENTUM } as f32;
    let moved = memory
        .delta
        .iter()
        .zip(&memory.before)
        .zip(&ahead)
        .map(|((now, before), ahead)| now + share * (ahead - now) + (1.0 - share) * (now - before));
    let mut next: Vec<f32> = moved.collect();
    shape(job, &mut next);
    memory.before = std::mem::replace(&mut memory.delta, next);
}

#[cfg(test)]
mod tests {
    #[test]
    fn checks_are_those_of_the_paper() {
        // Section 3: p_1 = 0.22, gaps shrink by 0.03 down to 0.06.
        assert_eq!(super::checks(100), [22, 41, 57, 70, 80, 87, 93, 99]);
    }
}
