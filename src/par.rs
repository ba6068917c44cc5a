//! Parallel evaluation with results in input order; the one door to rayon.

use rayon::prelude::*;

/// A pool of a fixed number of threads.
#[derive(Debug)]
pub struct Pool(rayon::ThreadPool);

impl Pool {
    /// A pool of `jobs` threads; 0 takes one per core.
    ///
    /// # Errors
    /// The system refuses the threads.
    pub fn new(jobs: usize) -> Result<Self, String> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
        pool.map(Self).map_err(|e| e.to_string())
    }

    /// Number of threads.
    pub fn jobs(&self) -> usize {
        self.0.current_num_threads()
    }

    /// `f` of every item, in the items' order whatever the number of threads.
    pub fn map<T: Sync, R: Send>(&self, items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
        self.0.install(|| items.par_iter().map(&f).collect())
    }
}

/// `f` of every item on all threads, in the items' order.
pub fn map<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    items.par_iter().map(&f).collect()
}
