//! Processes that are threads of a test.

use std::sync::{Arc, Barrier, Mutex};

use cutmix_train::{Error, Sum, World, sum_in_pairs};

/// What the threads share.
struct Meeting {
    barrier: Barrier,
    table: Mutex<Vec<Vec<u8>>>,
}

/// One of several threads that act as processes.
#[derive(Clone)]
pub struct Thread {
    rank: usize,
    meeting: Arc<Meeting>,
}

impl Thread {
    /// So many of them.
    pub fn worlds(size: usize) -> Vec<Self> {
        let meeting = Arc::new(Meeting {
            barrier: Barrier::new(size),
            table: Mutex::new(vec![Vec::new(); size]),
        });
        let meeting = || meeting.clone();
        (0..size)
            .map(|rank| Self {
                rank,
                meeting: meeting(),
            })
            .collect()
    }
}

impl World for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.table.lock().unwrap().len()
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        self.meeting.table.lock().unwrap()[self.rank] = bytes;
        self.meeting.barrier.wait();
        let all = self.meeting.table.lock().unwrap().clone();
        self.meeting.barrier.wait();
        Ok(all)
    }

    fn sum(&self, numbers: Vec<f32>) -> Sum {
        let world = self.clone();
        Box::new(move || {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
            let all = world.gather(bytes.collect())?.into_iter();
            let numbers = |bytes: Vec<u8>| {
                let numbers = bytes.chunks_exact(4);
                numbers
                    .map(|one| f32::from_le_bytes(one.try_into().unwrap()))
                    .collect()
            };
            Ok(sum_in_pairs(all.map(numbers)))
        })
    }
}

/// Runs a process on each of so many threads, and returns what they return.
pub fn in_threads<T: Send>(size: usize, run: impl Fn(Arc<dyn World>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads = Thread::worlds(size).into_iter().map(|thread| {
            let run = &run;
            scope.spawn(move || run(Arc::new(thread)))
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
