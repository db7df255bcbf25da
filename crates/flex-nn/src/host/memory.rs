//! Memory of results that nobody needs any more, for the next results.
//!
//! A step of training makes hundreds of large results, of the same sizes in each step. New memory for
//! each would be cleared, by the system or by us, before the kernel writes it; that takes as long as
//! the normalisations.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// The length from which on memory is kept.
const LARGE: usize = 1 << 10;
/// Sizes that were not taken while so many new pieces were made are freed. It is about as many as a
/// step of a deep network needs.
const KEPT: u64 = 512;

static MEMORY: Mutex<Memory> = Mutex::new(Memory {
    new: 0,
    sizes: BTreeMap::new(),
});

struct Memory {
    /// The number of new pieces so far.
    new: u64,
    /// What is known of the pieces of each length.
    sizes: BTreeMap<usize, Size>,
}

#[derive(Default)]
struct Size {
    unused: Vec<Vec<f32>>,
    /// The pieces that were taken and not given back.
    in_use: usize,
    /// The number of new pieces of all sizes when one of this size was last taken.
    taken: u64,
}

/// Memory for `len` numbers, which have any values.
pub(super) fn take(len: usize) -> Vec<f32> {
    if len < LARGE {
        return vec![0.0; len];
    }
    let mut memory = MEMORY.lock().unwrap_or_else(|error| error.into_inner());
    let new = memory.new;
    let size = memory.sizes.entry(len).or_default();
    size.taken = new;
    size.in_use += 1;
    if let Some(piece) = size.unused.pop() {
        return piece;
    }
    memory.new += 1;
    memory.sizes.retain(|_, size| new - size.taken < KEPT);
    drop(memory);
    vec![0.0; len]
}

/// Gives memory back for the next results. No more is kept of a size than was taken and not given back,
/// so that memory of other origin does not pile up.
pub fn give_back(piece: Vec<f32>) {
    let mut memory = MEMORY.lock().unwrap_or_else(|error| error.into_inner());
    if let Some(size) = memory.sizes.get_mut(&piece.len())
        && size.in_use > 0
    {
        size.in_use -= 1;
        size.unused.push(piece);
    }
}
