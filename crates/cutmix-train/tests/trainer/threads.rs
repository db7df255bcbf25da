//! Processes that are threads of a test.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use cutmix_train::{Error, Sum, World, sum_in_pairs};

/// What the threads share.
struct Meeting {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    /// What those have passed who wait for the others.
    passed: Vec<Option<Vec<u8>>>,
    /// What all have passed the last time, and how often they have.
    all: Vec<Vec<u8>>,
    times: usize,
    /// Whether a thread has ended.
    has_ended: bool,
}

/// One of several threads that act as processes.
#[derive(Clone)]
pub struct Thread {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
}

impl Meeting {
    fn new(size: usize) -> Arc<Self> {
        let table = Table {
            passed: vec![None; size],
            ..Table::default()
        };
        Arc::new(Self {
            table: Mutex::new(table),
            changed: Condvar::new(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    fn end(&self) {
        self.table().has_ended = true;
        self.changed.notify_all();
    }
}

impl World for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        let mut table = self.meeting.table();
        let before = table.times;
        table.passed[self.rank] = Some(bytes);
        if table.passed.iter().all(Option::is_some) {
            table.all = table.passed.iter_mut().flat_map(Option::take).collect();
            table.times += 1;
            self.meeting.changed.notify_all();
        }
        let waits = |table: &mut Table| table.times == before && !table.has_ended;
        let table = self.meeting.changed.wait_while(table, waits).unwrap();
        if table.times == before {
            return Err(Error::other("another process has ended"));
        }
        Ok(table.all.clone())
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

/// Runs a process on each of so many threads, and returns what they return. Where one has ended, the
/// others wait for it in vain, which is an error.
pub fn in_threads<T: Send>(size: usize, run: impl Fn(Arc<dyn World>) -> T + Sync) -> Vec<T> {
    let meeting = Meeting::new(size);
    std::thread::scope(|scope| {
        let threads = (0..size).map(|rank| {
            let (run, meeting) = (&run, meeting.clone());
            scope.spawn(move || {
                let result = run(Arc::new(Thread {
                    rank,
                    size,
                    meeting: meeting.clone(),
                }));
                meeting.end();
                result
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
