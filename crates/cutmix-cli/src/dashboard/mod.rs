//! `--dashboard`: shows a run on Burn's terminal dashboard.

mod terminal;

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{thread, time};

use burn::train::Interrupter;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use cutmix_train::loggers::{BatchLog, BurnRenderer, Logger, RunStart};
use cutmix_train::{Duration, Report, Stop};

use crate::error::Error;
use crate::terminal::line;

/// Shows a run by Burn's dashboard, from its start to its end, and prints the reports afterwards.
pub struct Dashboard {
    shown: Option<BurnRenderer>,
    /// The dashboard's own way to end a run; it is passed on to `stop`.
    interrupter: Interrupter,
    stop: Stop,
    reports: Vec<String>,
}

/// The longest time that the dashboard may take to get hold of the terminal.
const LONGEST_START: time::Duration = time::Duration::from_secs(2);

/// Checks that the dashboard can be shown; without a terminal it would panic.
pub fn check() -> Result<(), Error> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !is_dumb {
        return Ok(());
    }
    Err(Error::Dashboard(
        "needs a terminal for input and output; without it the run prints a line for each report",
    ))
}

impl Dashboard {
    /// A dashboard whose user can end the run by `stop`.
    pub fn new(stop: Stop) -> Self {
        Self {
            shown: None,
            interrupter: Interrupter::new(),
            stop,
            reports: Vec::new(),
        }
    }

    /// Ends the program at once, with the terminal as it was.
    pub fn exit() -> ! {
        terminal::exit()
    }

    /// Takes the terminal.
    fn open(&mut self, run: &RunStart) {
        let epoch = match run.max_duration {
            Duration::Epochs(_) => run.time.epoch as usize,
            _ => 0,
        };
        terminal::keep();
        let renderer = TuiMetricsRendererWrapper::new(self.interrupter.clone(), Some(epoch));
        self.shown = Some(BurnRenderer::new(Box::new(renderer)));
        let start = time::Instant::now();
        while !terminal::let_interrupts_through() && start.elapsed() < LONGEST_START {
            thread::sleep(time::Duration::from_millis(1));
        }
    }

    /// Passes a call on. Where the user has killed the run by the dashboard it panics, which has to
    /// end the program.
    fn pass<T>(&mut self, call: impl FnOnce(&mut BurnRenderer) -> T) -> Option<T> {
        if self.interrupter.should_stop() {
            self.stop.request();
        }
        let shown = self.shown.as_mut()?;
        let result = catch_unwind(AssertUnwindSafe(|| call(shown)));
        Some(result.unwrap_or_else(|_| Self::exit()))
    }
}

type Passed = Result<(), cutmix_train::Error>;

impl Logger for Dashboard {
    fn start(&mut self, run: &RunStart) -> Passed {
        self.open(run);
        self.pass(|shown| shown.start(run)).unwrap_or(Ok(()))
    }

    fn batch(&mut self, batch: &BatchLog) -> Passed {
        self.pass(|shown| shown.batch(batch)).unwrap_or(Ok(()))
    }

    fn evaluating(&mut self, set: &str, done: usize, total: usize) {
        self.pass(|shown| shown.evaluating(set, done, total));
    }

    fn report(&mut self, report: &Report) -> Passed {
        self.reports.push(report.to_string());
        self.pass(|shown| shown.report(report)).unwrap_or(Ok(()))
    }

    fn end(&mut self) -> Passed {
        let ended = self.pass(BurnRenderer::end).unwrap_or(Ok(()));
        let shown = self.shown.take();
        if catch_unwind(AssertUnwindSafe(|| drop(shown))).is_err() {
            Self::exit();
        }
        self.reports.drain(..).for_each(line);
        ended
    }
}
