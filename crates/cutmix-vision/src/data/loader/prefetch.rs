//! Batches that are made ahead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use burn::tensor::Device;
use cutmix_train::{Batch, LoaderError, Share};
use rayon::Scope;

use super::maker::{BatchMaker, Epoch, Made};
use crate::data::{DataError, to_targets};

/// Number of batches that wait for their turn. Together with the next one they are made at the same
/// time, so that the last image of one keeps no thread waiting.
const AHEAD: usize = 2;

/// A batch, once it is made.
type Coming = Receiver<Result<Made, DataError>>;

/// A thread that draws the batches of an epoch, and then those of the next one. The threads of the
/// pool make them.
#[derive(Debug)]
struct Worker {
    /// The epoch of its next batch, and the number of that batch's first sample in it.
    next: (u64, usize),
    share: Share,
    device: Device,
    batches: Receiver<Coming>,
    /// Set when nobody takes the batches any more.
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(
        maker: Arc<BatchMaker>,
        (epoch, skip): (u64, usize),
        share: &Share,
        device: &Device,
    ) -> std::io::Result<Self> {
        let (sender, batches) = sync_channel(AHEAD);
        let (target, own) = (device.clone(), share.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = is_over.clone();
        let thread = std::thread::Builder::new()
            .name("image loader".into())
            .spawn(move || work(&maker, (epoch, skip), &own, &target, &sender, &flag))?;
        Ok(Self {
            next: (epoch, skip),
            share: share.clone(),
            device: device.clone(),
            batches,
            is_over,
            thread: Some(thread),
        })
    }
}

/// Has batches made until nobody takes them.
fn work(
    maker: &BatchMaker,
    (mut number, mut skip): (u64, usize),
    share: &Share,
    device: &Device,
    sender: &SyncSender<Coming>,
    is_over: &AtomicBool,
) {
    rayon::in_place_scope(|all| {
        loop {
            let epoch = maker.epoch(number, skip, share);
            let drawn = if epoch.is_read_in_order() {
                // What its batches leave in the cache is not read again.
                rayon::in_place_scope(|scope| draw(epoch, scope, device, sender, is_over))
            } else {
                draw(epoch, all, device, sender, is_over)
            };
            if drawn.is_err() {
                return;
            }
            (number, skip) = (maker.after(number), 0);
        }
    });
}

/// Has the batches of an epoch made; an error where nobody takes them.
fn draw<'a>(
    mut epoch: Epoch<'a>,
    scope: &Scope<'a>,
    device: &'a Device,
    sender: &SyncSender<Coming>,
    is_over: &'a AtomicBool,
) -> Result<(), SendError<Coming>> {
    while let Some(drawn) = epoch.next() {
        let (done, made) = sync_channel(1);
        sender.send(made)?;
        // Where the worker ends, nobody takes it.
        scope.spawn(move |_| drop(done.send(drawn.make(device, is_over))));
    }
    Ok(())
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a receiver the worker ends at its next batch, and no other image is made, so the
        // join is short.
        self.is_over.store(true, Ordering::Relaxed);
        let (_, none) = sync_channel(0);
        drop(std::mem::replace(&mut self.batches, none));
        if let Some(thread) = self.thread.take() {
            // `next` reports a panic of the worker.
            let _ = thread.join();
        }
    }
}

/// Where a loader leaves its worker at the end of an epoch, for the next one.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Option<Worker>>);

impl Waiting {
    /// Takes the worker, which is of use where it goes on with this epoch.
    fn take(&self, next: (u64, usize), share: &Share, device: &Device) -> Option<Worker> {
        let worker = self.slot().take();
        worker.filter(|worker| {
            worker.next == next && worker.share == *share && worker.device == *device
        })
    }

    fn put(&self, worker: Worker) {
        *self.slot() = Some(worker);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Worker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of one epoch.
pub(super) struct EpochBatches<'a> {
    maker: &'a Arc<BatchMaker>,
    waiting: &'a Waiting,
    epoch: u64,
    /// Number of samples of the epoch that are skipped at its start.
    skip: usize,
    /// The first sample of the next batch.
    position: usize,
    share: Share,
    device: Device,
    stage: Stage,
}

/// The life of an iterator.
enum Stage {
    /// No batch has been asked for.
    Start,
    Running(Worker),
    /// The last item has been handed out.
    End,
}

impl<'a> EpochBatches<'a> {
    pub fn new(
        maker: &'a Arc<BatchMaker>,
        waiting: &'a Waiting,
        (epoch, skip): (u64, usize),
        share: &Share,
        device: &Device,
    ) -> Self {
        Self {
            maker,
            waiting,
            epoch,
            skip,
            position: maker.next_of(share, skip, skip),
            share: share.clone(),
            device: device.clone(),
            stage: Stage::Start,
        }
    }

    /// The worker; `None` at the end.
    fn worker(&mut self) -> std::io::Result<Option<&mut Worker>> {
        if matches!(self.stage, Stage::Start) {
            self.stage = Stage::End;
            if self.position >= self.maker.num_samples() {
                return Ok(None);
            }
            let next = (self.epoch, self.skip);
            let worker = match self.waiting.take(next, &self.share, &self.device) {
                Some(worker) => worker,
                None => Worker::start(self.maker.clone(), next, &self.share, &self.device)?,
            };
            self.stage = Stage::Running(worker);
        }
        Ok(match &mut self.stage {
            Stage::Running(worker) => Some(worker),
            Stage::Start | Stage::End => None,
        })
    }

    /// Counts a batch up to the sample `end`; at the end of the epoch, leaves the worker to the next
    /// one.
    fn count(&mut self, end: usize) {
        self.position = self.maker.next_of(&self.share, self.skip, end);
        if self.position < self.maker.num_samples() {
            return;
        }
        if let Stage::Running(mut worker) = std::mem::replace(&mut self.stage, Stage::End) {
            worker.next = (self.maker.after(self.epoch), 0);
            self.waiting.put(worker);
        }
    }

    fn upload(&self, made: Made) -> Batch {
        let Made { images, labels, .. } = made;
        let (dataset, uploader) = (&self.maker.dataset, &self.maker.uploader);
        let classes = dataset.classes().len();
        Batch {
            images: uploader.upload(images, labels.len(), &self.device),
            targets: to_targets(&labels, classes, dataset.is_multi_label(), &self.device),
        }
    }
}

impl Iterator for EpochBatches<'_> {
    type Item = Result<Batch, LoaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let worker = match self.worker() {
                Ok(worker) => worker?,
                Err(error) => return Some(Err(error.into())),
            };
            match worker.batches.recv().and_then(|batch| batch.recv()) {
                Ok(Ok(made)) => {
                    self.count(made.end);
                    // All images of a batch of an evaluation may be bad. Other processes wait for its
                    // turn.
                    if !made.labels.is_empty() || self.share != Share::ALL {
                        // Uploads happen on the caller's thread: the device would keep a stream for
                        // each thread.
                        return Some(Ok(self.upload(made)));
                    }
                }
                Ok(Err(error)) => {
                    self.stage = Stage::End;
                    return Some(Err(error.into()));
                }
                Err(_) => {
                    self.stage = Stage::End;
                    return Some(Err("a thread of the image loader panicked".into()));
                }
            }
        }
    }
}
