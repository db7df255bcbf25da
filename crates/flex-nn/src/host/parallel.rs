//! Work on all threads of the pool.
//!
//! Where the pool has one thread, the work is done by the caller: to hand it over would only cost time.

use rayon::prelude::*;

/// Calls `work` with each item, on all threads.
pub fn each<T: Send>(items: impl Iterator<Item = T>, work: impl Fn(T) + Sync + Send) {
    if rayon::current_num_threads() == 1 {
        items.for_each(work);
    } else {
        let items: Vec<_> = items.collect();
        items.into_par_iter().for_each(work);
    }
}

/// The results of `work` for each item, in the order of the items.
pub fn map<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        items.map(work).collect()
    } else {
        let items: Vec<_> = items.collect();
        items.into_par_iter().map(work).collect()
    }
}
