//! Processes that an MPI launcher has started.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::{Sum, World, sum_in_pairs};
use crate::Error;

/// The processes that `mpirun` or `srun` has started.
///
/// All calls of MPI are made by a thread of their own, so that a sum is on its way while the caller reads
/// the next numbers from its device. The last of several handles on the process ends MPI.
///
/// A process that ends without that, by [`std::process::exit`], a panic or a signal, makes the launcher end
/// the others. To drop the handle is to wait for them, so an error of one process has to end it by `exit`.
#[derive(Debug)]
pub struct Mpi {
    place: Place,
    is_fast: AtomicBool,
    requests: Mutex<Option<Sender<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a process is.
#[derive(Clone, Debug)]
struct Place {
    rank: usize,
    size: usize,
    local_rank: usize,
    local_size: usize,
    host: String,
}

/// How numbers are added up over the processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In the order of [`World::sum`]: each process adds up a slice of the numbers of all.
    #[default]
    Exact,
    /// As MPI does it, which can be faster. The result depends on the number of processes and on the MPI.
    Fast,
}

/// What the thread of MPI is asked for.
#[derive(Debug)]
enum Request {
    Gather(Vec<u8>, SyncSender<Vec<Vec<u8>>>),
    Sum(Vec<f32>, Order, SyncSender<Vec<f32>>),
}

impl Mpi {
    /// Joins the other processes, all of which call this.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] where the process has joined before, or the system gives no thread.
    pub fn join() -> Result<Self, Error> {
        let (requests, received) = channel();
        let (placed, place) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("MPI".into())
            .spawn(move || serve(&placed, &received))
            .map_err(Error::other)?;
        let place = place.recv().map_err(|_| ended())?;
        Ok(Self {
            place: place.ok_or_else(|| Error::other("this process has joined MPI already"))?,
            is_fast: AtomicBool::new(false),
            requests: Mutex::new(Some(requests)),
            thread: Some(thread),
        })
    }

    /// Sets how numbers are added up from now on, in all processes alike.
    pub fn set_order(&self, order: Order) {
        let is_fast = order == Order::Fast;
        self.is_fast.store(is_fast, Ordering::Relaxed);
    }

    /// The number of this process among those on the same host, from 0.
    pub fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    /// The number of processes on the same host.
    pub fn local_size(&self) -> usize {
        self.place.local_size
    }

    /// The name of the host.
    pub fn host(&self) -> &str {
        &self.place.host
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Request) -> Receiver<T> {
        let (answer, answered) = sync_channel(1);
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = &*requests {
            // Where the thread has ended, there is no answer.
            let _ = requests.send(request(answer));
        }
        answered
    }
}

impl World for Mpi {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn size(&self) -> usize {
        self.place.size
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        let answer = self.ask(|answer| Request::Gather(bytes, answer));
        answer.recv().map_err(|_| ended())
    }

    fn sum(&self, numbers: Vec<f32>) -> Sum {
        let order = if self.is_fast.load(Ordering::Relaxed) {
            Order::Fast
        } else {
            Order::Exact
        };
        let answer = self.ask(|answer| Request::Sum(numbers, order, answer));
        Box::new(move || answer.recv().map_err(|_| ended()))
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        let requests = self.requests.get_mut();
        let requests = requests.unwrap_or_else(PoisonError::into_inner).take();
        if std::thread::panicking() {
            // To leave MPI would wait for the others, which wait for this process.
            std::mem::forget(requests);
            return;
        }
        drop(requests);
        if let Some(thread) = self.thread.take() {
            // A panic there has been an error of the call that it answered.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::other("the thread of MPI has ended")
}

/// Joins the other processes, and answers requests until there are no more.
fn serve(placed: &SyncSender<Option<Place>>, requests: &Receiver<Request>) {
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
        let _ = placed.send(None);
        return;
    };
    let world = universe.world();
    let local = world.split_shared(world.rank());
    let number = |number: i32| usize::try_from(number).expect("ranks and sizes are not negative");
    let place = Place {
        rank: number(world.rank()),
        size: number(world.size()),
        local_rank: number(local.rank()),
        local_size: number(local.size()),
        host: mpi::environment::processor_name().unwrap_or_default(),
    };
    // Where nobody listens, there are no requests.
    let _ = placed.send(Some(place));
    for request in requests {
        match request {
            Request::Gather(bytes, answer) => {
                let _ = answer.send(gather(&world, &bytes));
            }
            Request::Sum(numbers, order, answer) => {
                let sum = match order {
                    Order::Exact => sum_slices(&world, numbers),
                    Order::Fast => sum_in_any_order(&world, &numbers),
                };
                let _ = answer.send(sum);
            }
        }
    }
}

/// Places of parts of these sizes, one behind the other.
fn places(sizes: &[i32]) -> Vec<i32> {
    let starts = sizes.iter().scan(0, |start, size| {
        let own = *start;
        *start += size;
        Some(own)
    });
    starts.collect()
}

fn count(length: usize) -> i32 {
    i32::try_from(length).expect("less than 2^31 numbers at once")
}

fn gather(world: &SimpleCommunicator, own: &[u8]) -> Vec<Vec<u8>> {
    let processes = world.size() as usize;
    let mut sizes = vec![0u64; processes];
    world.all_gather_into(&(own.len() as u64), &mut sizes[..]);
    let mut all = vec![Vec::new(); processes];
    // MPI counts to 2 GB.
    let most = i32::MAX as usize / processes - 1;
    let longest = sizes.iter().max().map_or(0, |size| *size as usize);
    for start in (0..longest).step_by(most) {
        let piece = |size: usize| start.min(size)..(start + most).min(size);
        // Without another byte, an empty slice may have the address that means `MPI_IN_PLACE` to Open MPI.
        let sent = [&own[piece(own.len())], &[0]].concat();
        let lengths = sizes
            .iter()
            .map(|size| count(piece(*size as usize).len() + 1));
        let lengths: Vec<i32> = lengths.collect();
        let starts = places(&lengths);
        let mut received = vec![0u8; lengths.iter().sum::<i32>() as usize];
        let mut parts = PartitionMut::new(&mut received[..], &lengths[..], &starts[..]);
        world.all_gather_varcount_into(&sent[..], &mut parts);
        for ((all, &start), &length) in all.iter_mut().zip(&starts).zip(&lengths) {
            all.extend_from_slice(&received[start as usize..][..length as usize - 1]);
        }
    }
    all
}

/// Numbers of each process that are added up at once: those of several processes fit the cache.
const BLOCK: usize = 1 << 10;

/// Each process adds up the numbers of all for its slice, and all get the slices.
fn sum_slices(world: &SimpleCommunicator, mut numbers: Vec<f32>) -> Vec<f32> {
    let processes = world.size() as usize;
    let slice = |rank: usize| {
        let end = |rank: usize| rank * numbers.len() / processes;
        count(end(rank + 1) - end(rank))
    };
    let sizes: Vec<i32> = (0..processes).map(slice).collect();
    let starts = places(&sizes);
    let own = sizes[world.rank() as usize];
    let mut received = vec![0f32; own as usize * processes];
    let own_sizes = vec![own; processes];
    let own_starts = places(&own_sizes);
    world.all_to_all_varcount_into(
        &Partition::new(&numbers[..], &sizes[..], &starts[..]),
        &mut PartitionMut::new(&mut received[..], &own_sizes[..], &own_starts[..]),
    );
    let own = own as usize;
    let mut sum = Vec::with_capacity(own);
    for start in (0..own).step_by(BLOCK) {
        let end = own.min(start + BLOCK);
        let of_process = |rank: usize| received[rank * own..][start..end].to_vec();
        sum.append(&mut sum_in_pairs((0..processes).map(of_process)));
    }
    let mut parts = PartitionMut::new(&mut numbers[..], &sizes[..], &starts[..]);
    world.all_gather_varcount_into(&sum[..], &mut parts);
    numbers
}

fn sum_in_any_order(world: &SimpleCommunicator, numbers: &[f32]) -> Vec<f32> {
    let mut all = vec![0f32; numbers.len()];
    world.all_reduce_into(numbers, &mut all[..], SystemOperation::sum());
    all
}
