//! How a run is shown while it trains.

use indicatif::ProgressBar;

#[cfg(feature = "dashboard")]
use crate::dashboard::Dashboard;
use crate::error::Error;
use crate::progress;
use crate::signals::STOPPED;
use crate::terminal::note;

/// How a run is shown.
pub enum View {
    /// A line for each report.
    Lines,
    /// The same, above a bar.
    Bar(ProgressBar),
    /// A bar alone, with the name of the run.
    BarOf(ProgressBar, String),
    /// Not at all.
    Nothing,
    /// The whole terminal, on which nothing else may write.
    #[cfg(feature = "dashboard")]
    Dashboard,
}

impl View {
    pub fn choose(dashboard: bool) -> Result<Self, Error> {
        if !dashboard {
            return Ok(progress::bar().map_or(Self::Lines, Self::Bar));
        }
        #[cfg(feature = "dashboard")]
        let view = crate::dashboard::check().map(|()| Self::Dashboard);
        #[cfg(not(feature = "dashboard"))]
        let view = Err(Error::Dashboard(
            "is not in this build; build with --features dashboard to add it",
        ));
        view
    }

    /// The handler of signals; its argument is whether there was a signal before.
    pub fn on_signal(&self) -> Box<dyn Fn(bool) + Send> {
        let message =
            || note("stopping after this batch or evaluation; Ctrl-C again stops at once");
        let exit = || std::process::exit(STOPPED.into());
        match self {
            Self::Lines | Self::Nothing => {
                Box::new(move |again| if again { exit() } else { message() })
            }
            Self::Bar(bar) | Self::BarOf(bar, _) => {
                let bar = bar.clone();
                Box::new(move |again| if again { exit() } else { bar.suspend(message) })
            }
            #[cfg(feature = "dashboard")]
            Self::Dashboard => Box::new(|again| {
                if again {
                    Dashboard::exit()
                }
            }),
        }
    }
}
