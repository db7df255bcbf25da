//! What several tests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT};
use signal_hook::flag::register_conditional_default;

/// Lets the processes that are started from now on obey signals that this one was started to ignore, as
/// one in the background is: what a process handles is reset in its children.
pub fn obey_signals() {
    for signal in [SIGHUP, SIGINT] {
        register_conditional_default(signal, Arc::new(AtomicBool::new(true))).unwrap();
    }
}
