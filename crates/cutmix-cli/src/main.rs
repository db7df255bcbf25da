//! `cutmix`: trains image classifiers with CutMix, and looks at what came out.

mod args;
mod bench;
mod config;
#[cfg_attr(not(feature = "dashboard"), path = "dashboard/absent.rs")]
mod dashboard;
mod data;
mod device;
mod error;
mod eval;
mod picture;
mod precision;
mod predict;
mod preview;
mod progress;
mod run_folder;
mod say;
mod schedule;
mod serve;
mod snapshot;
mod spec;
mod train;

use std::process::ExitCode;

use cap::Cap;
use clap::Parser;
use mimalloc::MiMalloc;

use args::{Args, Command};

/// A training step on the CPU allocates and frees every activation; with the system's allocator
/// page faults are a good part of it. `cutmix bench` reads what has been allocated.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Args::parse().command {
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(args).map(done),
        Command::Predict(args) => predict::run(args).map(done),
        Command::Preview(args) => preview::run(args).map(done),
        Command::Bench(args) => bench::run(args).map(done),
        Command::Serve(args) => serve::run(args).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
