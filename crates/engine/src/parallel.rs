//! Work over samples: a batch is cut into micro-batches of fixed size, each run by a worker with one thread.
//!
//! On a CPU, threads are best spent across samples, not inside operations (`BENCHMARKS.md`). The cut depends on the job only,
//! never on the number of threads, and results come back in index order, so any number of threads gives the same bytes.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{Error, Result};

/// A fixed set of workers. Tensor operations inside a worker run on that worker's own single thread.
#[derive(Debug)]
pub struct Workers {
    pools: Vec<rayon::ThreadPool>,
}

impl Workers {
    /// `threads` workers, at least one.
    ///
    /// # Errors
    /// [`Error::Setting`] when the system refuses to start that many threads.
    pub fn new(threads: usize) -> Result<Self> {
        Self::teams(threads, 1)
    }

    /// `workers` workers of `threads` threads each, at least one of both: for jobs of fewer micro-batches than threads.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn teams(workers: usize, threads: usize) -> Result<Self> {
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pools = (0..workers.max(1)).map(pool).collect::<std::result::Result<Vec<_>, _>>();
        let pools = pools.map_err(|e| Error::Setting {
            name: "threads",
            value: format!("{} ({e})", workers.max(1) * threads.max(1)),
            range: "a number the system can start",
        })?;
        Ok(Self { pools })
    }

    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.pools.len()
    }

    /// `work(0), work(1), .. work(count - 1)`, in index order, run by whichever worker is free.
    pub fn map<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        const POISON: &str = "a worker that panics ends the scope before the lock is used again";
        let next = AtomicUsize::new(0);
        let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let run = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = slots.get(index) else { break };
                let value = work(index);
                *slot.lock().expect(POISON) = Some(value);
            }
        };
        on_all(&self.pools[..self.pools.len().min(count)], &run);
        slots.into_iter().map(|slot| slot.into_inner().expect(POISON).expect("every index was taken once")).collect()
    }
}

/// Runs `work` on every pool at once, and waits for all. No thread is started: small jobs would notice.
fn on_all(pools: &[rayon::ThreadPool], work: &(impl Fn() + Sync)) {
    match pools {
        [] => {}
        [last] => last.install(work),
        [first, rest @ ..] => first.in_place_scope(|scope| {
            scope.spawn(|_| work());
            on_all(rest, work);
        }),
    }
}

/// Cuts `rows` into micro-batches whose bounds are multiples of `size`, each a whole micro-batch (it may reach past the rows).
pub fn whole_micro_batches(rows: Range<u32>, size: u32) -> Vec<Range<u32>> {
    let size = size.max(1);
    (rows.start / size..rows.end.div_ceil(size)).map(|k| k * size..(k + 1) * size).collect()
}

/// Cuts `0..rows` into micro-batches of `size`, the last one shorter.
pub fn micro_batches(rows: u32, size: u32) -> Vec<Range<u32>> {
    let size = size.max(1);
    (0..rows.div_ceil(size)).map(|k| k * size..((k + 1) * size).min(rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for threads in [1, 2, 7] {
            let workers = Workers::new(threads).expect("threads start");
            assert_eq!(workers.map(23, |i| i * i), (0..23).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(workers.map(0, |i| i), Vec::<usize>::new());
        }
    }

    #[test]
    fn workers_have_one_thread_each() {
        let workers = Workers::new(3).expect("threads start");
        assert!(workers.map(9, |_| rayon::current_num_threads()).iter().all(|&n| n == 1));
    }

    #[test]
    fn teams_have_their_threads() {
        let workers = Workers::teams(2, 3).expect("threads start");
        assert_eq!(workers.threads(), 2);
        assert!(workers.map(5, |_| rayon::current_num_threads()).iter().all(|&n| n == 3));
    }

    #[test]
    fn cuts_are_aligned_and_cover() {
        assert_eq!(whole_micro_batches(3..17, 8), [0..8, 8..16, 16..24]);
        assert_eq!(whole_micro_batches(0..0, 8), []);
        assert_eq!(micro_batches(10, 4), [0..4, 4..8, 8..10]);
        assert_eq!(micro_batches(0, 4), []);
    }
}
