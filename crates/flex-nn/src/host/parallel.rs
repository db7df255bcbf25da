//! Work on all threads of the pool.
//!
//! Work that reads only some ten thousand numbers is done by the caller: to hand it over and to wait
//! for it would take as long.

use rayon::prelude::*;

/// The numbers of f32 above which work is shared.
const SHARED: usize = 1 << 17;
/// The numbers of work that is always shared, because it does much with each number.
pub const MUCH: usize = usize::MAX;

/// Whether work on so many numbers is done by the caller.
fn is_little(numbers: usize) -> bool {
    numbers <= SHARED || rayon::current_num_threads() == 1
}

/// Calls `work` with each item, on all threads. `numbers` is the size of the work: the numbers of f32
/// that it reads.
pub fn each<T: Send>(
    numbers: usize,
    items: impl Iterator<Item = T>,
    work: impl Fn(T) + Sync + Send,
) {
    if is_little(numbers) {
        items.for_each(work);
    } else {
        let items: Vec<_> = items.collect();
        items.into_par_iter().for_each(work);
    }
}

/// The results of `work` for each item, in the order of the items. `numbers` is as in [`each`].
pub fn map<T: Send, R: Send>(
    numbers: usize,
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    if is_little(numbers) {
        items.map(work).collect()
    } else {
        let items: Vec<_> = items.collect();
        items.into_par_iter().map(work).collect()
    }
}
