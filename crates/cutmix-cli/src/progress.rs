//! The bar that moves while a run trains.

use std::io::IsTerminal;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use cutmix_train::loggers::{BatchLog, Logger, RunStart};
use cutmix_train::{Duration, Error, Report, Time};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{clock, grouped, has_bars, line};

/// Steps of the bar; its position is the elapsed share of the run.
const STEPS: u64 = 1000;
/// The smallest number of columns that has room for the bar beside the numbers.
const WIDE: u16 = 96;

/// The bar, where standard output is a terminal on which it can move.
pub fn bar() -> Option<ProgressBar> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !has_bars() || !std::io::stdout().is_terminal() || is_set("CI") || is_dumb {
        return None;
    }
    // There are no colours, so nothing that NO_COLOR would switch off.
    let (_, columns) = console::Term::stdout().size();
    let template = if columns < WIDE {
        "{prefix}  {wide_msg}"
    } else {
        "{prefix}  {wide_bar}  {msg}"
    };
    let style = ProgressStyle::with_template(template)
        .expect("every run on a terminal tests the template")
        .progress_chars("█▉▊▋▌▍▎▏░");
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stdout());
    Some(bar.with_style(style))
}

/// Does something that may take long. After a second, a terminal shows `what`.
pub fn patiently<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let Some(bar) = bar() else {
        return work();
    };
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    bar.set_style(style.expect("every slow command on a terminal tests the template"));
    bar.set_message(what.to_owned());
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let bar = &bar;
        scope.spawn(move || {
            // Nobody sends: the channel closes when the work is done.
            let wait = |time| is_done.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            let mut time = std::time::Duration::from_secs(1);
            while wait(time) {
                bar.tick();
                time = std::time::Duration::from_millis(100);
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

/// Does something with `total` things, which calls its argument with the number of those that are
/// done since the last call. On a terminal a bar shows how far it is.
pub fn counted<T>(
    things: &str,
    total: usize,
    work: impl FnOnce(&(dyn Fn(usize) + Sync)) -> T,
) -> T {
    let Some(bar) = bar() else {
        return work(&|_| ());
    };
    let style = ProgressStyle::with_template("{pos}/{len} {msg}  {wide_bar}  {eta} left");
    let style = style.expect("every command on a terminal tests the template");
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
    bar.set_length(total as u64);
    bar.set_message(things.to_owned());
    let result = work(&|done| bar.inc(done as u64));
    bar.finish_and_clear();
    result
}

/// Does something that downloads files and calls its argument with the name of the file, the number
/// of bytes that have arrived and the number of all its bytes. On a terminal a bar shows how far it
/// is.
#[cfg(feature = "hub")]
pub fn downloading<T>(work: impl FnOnce(&mut dyn FnMut(&str, u64, u64)) -> T) -> T {
    let Some(bar) = bar() else {
        return work(&mut |_, _, _| ());
    };
    let template = "{msg}  {wide_bar}  {decimal_bytes}/{decimal_total_bytes}  {eta} left";
    let style = ProgressStyle::with_template(template);
    let style = style.expect("every download on a terminal tests the template");
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
    let result = work(&mut |file, done, total| {
        if bar.message() != file {
            // What an earlier try has left says nothing about the speed of this one.
            bar.set_message(file.to_owned());
            bar.set_length(total);
            bar.reset();
            bar.set_position(done);
            bar.reset_eta();
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    result
}

/// Moves the bar, and prints the reports above it.
pub struct Progress {
    bar: ProgressBar,
    /// The name of the run, where it is one of several, whose reports are not printed.
    name: Option<String>,
    accuracy: &'static str,
    max_duration: Duration,
    /// When this process started to train, and the elapsed share of the run then.
    start: (Instant, f64),
    since_report: Means,
}

/// The means over the batches since the last report.
struct Means {
    start: Instant,
    first_sample: Option<u64>,
    batches: u64,
    loss: f64,
    accuracy: f64,
}

impl Means {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            first_sample: None,
            batches: 0,
            loss: 0.0,
            accuracy: 0.0,
        }
    }
}

impl Progress {
    pub fn new(bar: ProgressBar, max_duration: Duration) -> Self {
        Self {
            bar,
            name: None,
            accuracy: "acc",
            max_duration,
            start: (Instant::now(), 0.0),
            since_report: Means::new(),
        }
    }

    /// Shows the name of the run, and prints no reports.
    pub fn with_name(self, name: String) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// The place of the batch that starts at `time`.
    fn place(&self, time: &Time) -> String {
        let (epoch, batch) = (time.epoch + 1, time.batch + 1);
        let place = match self.max_duration {
            Duration::Epochs(max) => format!("epoch {epoch}/{max}  batch {batch}"),
            Duration::Batches(max) => format!("epoch {epoch}  batch {batch}/{max}"),
            _ => format!("epoch {epoch}  batch {batch}"),
        };
        match &self.name {
            Some(name) => format!("{name}  {place}"),
            None => place,
        }
    }
}

impl Logger for Progress {
    fn start(&mut self, run: &RunStart) -> Result<(), Error> {
        self.accuracy = if run.mixes_targets {
            "mixed acc"
        } else {
            "acc"
        };
        self.start = (Instant::now(), run.time.progress);
        self.since_report = Means::new();
        Ok(())
    }

    fn batch(&mut self, batch: &BatchLog) -> Result<(), Error> {
        let time = &batch.time;
        let place = self.place(time);
        let means = &mut self.since_report;
        means.batches += 1;
        means.loss += batch.loss;
        means.accuracy += batch.accuracy;
        let samples = time.samples - *means.first_sample.get_or_insert(time.samples);
        let count = means.batches as f64;
        let speed = samples as f64 / means.start.elapsed().as_secs_f64().max(1e-9);
        let (start, before) = self.start;
        let done = (time.progress - before).max(1e-9);
        let left = start.elapsed().as_secs_f64() * (1.0 - time.progress) / done;
        self.bar.set_position((time.progress * STEPS as f64) as u64);
        self.bar.set_prefix(place);
        self.bar.set_message(format!(
            "{} images/s  loss {:.3}  {} {:.1} %  {} left",
            grouped(speed as usize),
            means.loss / count,
            self.accuracy,
            means.accuracy / count,
            if done > 1e-9 {
                clock(left)
            } else {
                "-:--".into()
            },
        ));
        Ok(())
    }

    fn evaluating(&mut self, set: &str, done: usize, total: usize) {
        let share = 100 * done / total.max(1);
        self.bar.set_message(format!("evaluating {set} {share} %"));
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        if self.name.is_none() {
            self.bar.suspend(|| line(report));
        }
        self.since_report = Means::new();
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.bar.finish_and_clear();
        Ok(())
    }
}
