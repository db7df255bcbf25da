//! Signals that end a run.

use cutmix_train::Stop;

/// The exit code of a run that was stopped, as of a program that SIGINT ends.
pub const STOPPED: u8 = 130;

/// Calls `on_signal` for Ctrl-C (SIGINT), SIGTERM and SIGHUP, and asks `stop` for the end of the run.
/// `on_signal` is given whether the end was asked for before.
///
/// A signal that was ignored when the program started stays ignored: `nohup` ignores SIGHUP, and a
/// shell ignores SIGINT for jobs in the background.
pub fn stop_on_signals(stop: Stop, on_signal: impl Fn(bool) + Send + 'static) {
    let handle = move || {
        on_signal(stop.is_requested());
        stop.request();
    };
    // Without a handler a signal ends the program, as it does by itself.
    let _ = system::install(handle);
}

#[cfg(unix)]
mod system {
    use std::io;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub fn install(handle: impl Fn() + Send + 'static) -> io::Result<()> {
        let ignored = ignored();
        let is_ignored = |signal: i32| ignored & (1 << (signal - 1)) != 0;
        let handled = [SIGHUP, SIGINT, SIGTERM]
            .into_iter()
            .filter(|signal| !is_ignored(*signal));
        let mut signals = Signals::new(handled)?;
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(move || signals.forever().for_each(|_| handle()))?;
        Ok(())
    }

    /// The signals that the process ignores, one bit each. Only Linux tells without unsafe code;
    /// elsewhere none counts as ignored.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }
}

#[cfg(not(unix))]
mod system {
    pub fn install(handle: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(handle)
    }
}
