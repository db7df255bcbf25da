//! `cutmix train`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use cutmix_train::Stop;

use crate::error::Error;
use crate::processes::Processes;
use crate::report::summary;
use crate::settings::Settings;
use crate::signals::{STOPPED, stop_on_signals};
use crate::terminal::{line, quoted};
use crate::training::{Training, View};

/// Train a network on images and write it to a run folder.
///
/// The folder holds report.html (the run on one page, for a browser), config.toml (repeats the run:
/// `cutmix train --config runs/001/config.toml`), given.toml (which of its settings were given),
/// metrics.csv, batches.csv (what algorithms logged), model.safetensors, curves.png (loss and accuracy
/// over the epochs), batch.png (what the network saw in its first batch), manifest.json (the images of
/// each set), card.json (the classes, and how images are prepared), eval (see `cutmix eval`) and
/// checkpoints, from which `cutmix train --resume` continues. Ctrl-C ends the run after its batch and
/// saves it; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    #[command(flatten)]
    settings: Settings,
    /// Take settings from this file, such as the config.toml of a run; options given here win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the results, new or empty [default: runs/001, runs/002, ...]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resume the run in this folder, which was stopped or killed, from its last checkpoint; or extend
    /// it with --duration
    ///
    /// On the CPU it ends with the weights of a run that was never stopped. It uses the settings of
    /// the run; of the other options only --duration, --data (where the data are now),
    /// --on-bad-image, --cache, --decode-memory, --device, --on-nan and --dashboard can be given. A run that is extended before its end continues as if it had been that long from the
    /// start; a finished one gets a new cycle of its learning rate.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "output"])]
    resume: Option<PathBuf>,
    /// Show Burn's dashboard, with curves of loss and accuracy, instead of a line and a bar
    ///
    /// Arrows choose a metric and a plot. q asks how to end: s as Ctrl-C does, k at once. Build with
    /// --features dashboard to have it.
    #[arg(long)]
    dashboard: bool,
}

/// Trains and reports; a run that was stopped has an exit code of its own.
pub fn run(
    args: TrainArgs,
    matches: &ArgMatches,
    processes: &Processes,
) -> Result<ExitCode, Error> {
    processes.warn_of_tasks();
    let view = View::choose(args.dashboard && processes.is_first())?;
    let training = match &args.resume {
        Some(run) => {
            let given = args.settings.given(matches);
            Training::resume(run, given, processes)?
        }
        None => {
            let config = args.config.as_deref();
            let settings = args.settings.layer(matches, config)?;
            let given = args.settings.all_given(matches, config)?;
            Training::start(settings, &given, args.output.as_deref(), processes)?
        }
    };
    let stop = Stop::new();
    stop_on_signals(stop.clone(), view.on_signal());
    training.print_header();
    let folder = training.folder.path().to_path_buf();
    let trained = training.train(view, stop)?;
    if !trained.is_complete {
        line("");
        line(format!(
            "stopped and saved; resume with: cutmix train --resume {}",
            quoted(&folder)
        ));
        return Ok(ExitCode::from(STOPPED));
    }
    summary::print_result(
        &trained.subject.settings,
        &trained.history,
        trained.test_scores(),
        &trained.skipped,
        &folder,
    );
    Ok(ExitCode::SUCCESS)
}
