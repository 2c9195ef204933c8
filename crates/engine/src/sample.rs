//! The sampling loop: whole micro-batches over workers, results in sample order.

use std::{
    ops::{ControlFlow, Range},
    sync::Mutex,
};

use langevin_nn::Sampler;

use crate::{Cancel, Error, Result, Workers, parallel::whole_micro_batches};

/// Samples `rows` of a sampler. The same row is the same bytes whatever rows, threads or shards are asked for.
///
/// `on_evaluation` is told of each network evaluation of each micro-batch (progress bars).
///
/// # Errors
/// [`Error::Interrupted`] when cancelled; nothing is returned then.
pub fn sample<S: Sampler>(
    sampler: &S,
    rows: Range<u32>,
    workers: &Workers,
    cancel: &Cancel,
    on_evaluation: &(dyn Fn() + Sync),
) -> Result<Vec<S::Item>> {
    let batches = whole_micro_batches(rows.clone(), sampler.micro_batch());
    let observe = || {
        on_evaluation();
        cancel.check()
    };
    let done = workers.map(batches.len(), |k| {
        cancel.check()?;
        let raw = sampler.sample(batches[k].clone(), &observe)?;
        ControlFlow::Continue(batches[k].clone().zip(raw).filter(|(row, _)| rows.contains(row)).collect::<Vec<_>>())
    });
    let mut wanted = Vec::with_capacity(rows.len());
    for part in done {
        match part {
            // Each raw sample is taken by the one worker that decodes it.
            ControlFlow::Continue(part) => wanted.extend(part.into_iter().map(|(row, raw)| (row, Mutex::new(Some(raw))))),
            ControlFlow::Break(()) => return Err(Error::Interrupted { saved: None }),
        }
    }
    let items = workers.map(wanted.len(), |k| {
        let (row, raw) = &wanted[k];
        let raw = raw.lock().ok()?.take()?;
        if cancel.is_set() { None } else { Some(sampler.finish(*row, raw)) }
    });
    items.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Interrupted { saved: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows;

    impl Sampler for Rows {
        type Raw = u32;
        type Item = u64;

        fn micro_batch(&self) -> u32 {
            4
        }

        fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<u32>> {
            assert_eq!((rows.start % 4, rows.len()), (0, 4), "micro-batches are whole and aligned");
            observe()?;
            ControlFlow::Continue(rows.collect())
        }

        fn finish(&self, row: u32, raw: u32) -> u64 {
            assert_eq!(row, raw);
            u64::from(raw) * 10
        }
    }

    #[test]
    fn returns_just_the_rows_asked_for() {
        let workers = Workers::new(3).expect("threads start");
        assert_eq!(
            sample(&Rows, 3..11, &workers, &Cancel::new(), &|| {}).expect("runs"),
            (3..11).map(|row| row * 10).collect::<Vec<u64>>()
        );
    }

    #[test]
    fn a_cancelled_run_returns_nothing() {
        let workers = Workers::new(2).expect("threads start");
        let cancel = Cancel::new();
        let stop = cancel.clone();
        assert!(matches!(sample(&Rows, 0..40, &workers, &cancel, &move || stop.set()), Err(Error::Interrupted { saved: None })));
    }
}
