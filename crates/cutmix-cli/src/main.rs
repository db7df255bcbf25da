//! `cutmix`: trains image classifiers with CutMix, and evaluates and shows the results.

mod class_weights;
mod commands;
#[cfg(feature = "dashboard")]
mod dashboard;
mod data;
mod device;
mod digest;
mod embedded;
mod error;
mod evaluate;
mod metrics;
mod outputs;
mod picture;
mod precision;
mod pretrained;
mod processes;
mod progress;
mod report;
mod run_folder;
mod settings;
mod signals;
mod study;
mod terminal;
mod training;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use mimalloc::MiMalloc;

use processes::Processes;

use commands::{bench, check, compare, eval, explain, export, predict, preview, train};

/// A training step on the CPU allocates and frees every activation. With the system's allocator,
/// page faults are a good part of its time.
#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: cap::Cap<MiMalloc> = cap::Cap::new(MiMalloc, usize::MAX);

/// Train image classifiers with CutMix.
///
/// CutMix cuts a box out of every training image, fills it from another image, and mixes the two
/// labels by area, so that a network learns to recognise things from any part of them.
///
/// Start with `cutmix train`: without options it trains a small network on Fashion-MNIST, which is
/// part of the program.
#[derive(Debug, Parser)]
#[command(name = "cutmix", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The commands; each is described at its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Compare(Box<compare::CompareArgs>),
    Eval(eval::EvalArgs),
    Predict(predict::PredictArgs),
    Explain(explain::ExplainArgs),
    Export(export::ExportArgs),
    Preview(preview::PreviewArgs),
    Bench(bench::BenchArgs),
    Check(check::CheckArgs),
}

/// Lets the main thread, which trains, work with the threads of the pool instead of waiting for them.
/// Where there is only one thread, it stays with the pool: the image loader would wait for a main
/// thread that waits for images.
fn join_pool(on_same_cores: usize) {
    let chosen = std::env::var("RAYON_NUM_THREADS").ok();
    let chosen = chosen.and_then(|threads| threads.parse().ok());
    let threads = match chosen.filter(|threads| *threads > 0) {
        Some(threads) => threads,
        None => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores / on_same_cores).max(1)
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = if threads > 1 {
        pool.use_current_thread()
    } else {
        pool
    };
    // Without these threads, the pool makes its own when it is first used.
    let _ = pool.build_global();
}

/// Ends all processes by the error of this one: the launcher ends the others where one ends without
/// leaving MPI.
fn end_all(processes: &Processes, error: &error::Error) -> ! {
    processes.wait_for_others();
    terminal::error(format!("{}: {error}", processes.name()));
    std::process::exit(1)
}

fn main() -> ExitCode {
    let processes = match Processes::join() {
        Ok(processes) => processes,
        Err(error) => {
            processes::wait_for_first();
            terminal::error(&error);
            return ExitCode::FAILURE;
        }
    };
    if processes.are_several() {
        terminal::show_no_bars();
        // Not the processes themselves, which the hook would keep in MPI.
        let name = processes.name();
        std::panic::set_hook(Box::new(move |panic| {
            terminal::error(format!("{name}: {panic}"))
        }));
    }
    if !processes.is_first() {
        terminal::silence();
    }
    if let Err(error) = processes.check_programs() {
        end_all(&processes, &error);
    }
    join_pool(processes.on_same_cores);
    let command = Args::command()
        .mut_subcommand("train", settings::with_headings)
        .mut_subcommand("compare", settings::with_headings);
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(help) if help.exit_code() == 0 => {
            if processes.is_first() {
                // Nobody may read it any more.
                let _ = help.print();
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            processes.wait_for_others();
            error.exit()
        }
    };
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let of_command = matches.subcommand().map(|(_, matches)| matches);
    let success = |()| ExitCode::SUCCESS;
    let result = match args.command {
        Command::Train(args) => train::run(*args, of_command.unwrap_or(&matches), &processes),
        Command::Compare(args) => compare::run(*args, of_command.unwrap_or(&matches), &processes),
        // The others need no second process.
        _ if !processes.is_first() => Ok(ExitCode::SUCCESS),
        Command::Eval(args) => eval::run(args).map(success),
        Command::Predict(args) => predict::run(args).map(success),
        Command::Explain(args) => explain::run(args).map(success),
        Command::Export(args) => export::run(args).map(success),
        Command::Preview(args) => preview::run(args).map(success),
        Command::Bench(args) => bench::run(args).map(success),
        Command::Check(args) => check::run(args).map(success),
    };
    result.unwrap_or_else(|error| {
        if processes.are_several() {
            end_all(&processes, &error);
        }
        terminal::error(&error);
        ExitCode::FAILURE
    })
}
