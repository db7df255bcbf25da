//! The memory that all threads together take to read files or to decode images.

use std::sync::{Condvar, Mutex, PoisonError};

/// A number of bytes that reservations share.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    reserved: Mutex<u64>,
    released: Condvar,
}

/// Bytes of a [`Budget`], which it has again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            reserved: Mutex::new(0),
            released: Condvar::new(),
        }
    }

    /// Waits until `bytes` are free and reserves them; `None` where they never will be.
    ///
    /// A thread that holds a reservation must not ask for another one of the same budget.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation<'_>> {
        if bytes > self.limit {
            return None;
        }
        // The lock is held for an addition, so a panic cannot leave a wrong sum.
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        while *reserved + bytes > self.limit {
            reserved = (self.released.wait(reserved)).unwrap_or_else(PoisonError::into_inner);
        }
        *reserved += bytes;
        Some(Reservation {
            budget: self,
            bytes,
        })
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let budget = self.budget;
        *(budget.reserved.lock()).unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        budget.released.notify_all();
    }
}
