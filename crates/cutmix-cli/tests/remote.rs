//! Training with workers: `cutmix serve` in processes of their own, on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(240);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutmix"));
    command.args(arguments).env_remove("CUTMIX_TOKEN");
    command
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `cutmix serve`.
struct Worker {
    process: Process,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Worker {
    fn start(listen: &str, token: Option<&str>) -> Self {
        let mut command = program(&["serve", "--device", "cpu", "--listen", listen]);
        if let Some(token) = token {
            command.env("CUTMIX_TOKEN", token);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("serving cpu on ").unwrap().trim_end();
        Self {
            address: address.into(),
            stdout,
            process,
        }
    }

    /// On a free port of loopback.
    fn new() -> Self {
        Self::start("127.0.0.1:0", None)
    }

    fn device(&self) -> String {
        format!("remote:{}", self.address)
    }

    /// Ends it at once, as a power failure would; what it has said.
    fn kill(mut self) -> String {
        self.process.0.kill().unwrap();
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        let mut stderr = self.process.0.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        said
    }
}

/// Trains a small network with a report after each batch.
fn train(folder: &Path, devices: &str, duration: &str, more: &[&str]) -> Command {
    let options = "train --limit 64 --batch-size 16 --model resnet8 --eval-interval 1ba --devices";
    let options = options.split(' ').chain([devices, "--duration", duration]);
    let mut command = program(&options.chain(more.iter().copied()).collect::<Vec<_>>());
    command.current_dir(folder);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn success(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).into()
}

/// The one line of a command that must fail, after `error: `.
fn error(output: &Output) -> &str {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let line = error
        .strip_prefix("error: ")
        .and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("{error}"));
    assert!(!line.contains('\n'), "{line}");
    line
}

/// Some columns of a run's `metrics.csv`.
fn metrics(run: &Path, names: &[&str]) -> Vec<Vec<f64>> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let column = |name: &&str| header.iter().position(|column| column == name).unwrap();
    let columns: Vec<_> = names.iter().map(column).collect();
    let row = |row: Vec<&str>| columns.iter().map(|&c| row[c].parse().unwrap()).collect();
    rows.map(row).collect()
}

const LOSS: [&str; 1] = ["train_loss"];
const ALL: [&str; 4] = ["train_loss", "train_accuracy", "eval_loss", "eval_accuracy"];

/// The tolerance that docs/DEVICES.md names.
fn assert_near(a: &[Vec<f64>], b: &[Vec<f64>]) {
    assert_eq!(a.len(), b.len());
    for (batch, (a, b)) in a.iter().zip(b).enumerate() {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 1e-4 * b.abs(), "batch {batch}: {a} {b}");
        }
    }
}

#[test]
fn two_workers_train_as_one_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let workers = [Worker::new(), Worker::new()];
    let devices = workers.each_ref().map(Worker::device).join(",");
    let shown = success(train(path, &devices, "8ba", &["--output", "remote"]));
    assert!(
        shown.contains(&format!("device     {}", devices.replace(',', ", "))),
        "{shown}"
    );
    let one = ["--accumulate", "2", "--output", "one"];
    success(train(path, "cpu", "8ba", &one));
    success(train(path, "cpu,cpu", "8ba", &["--output", "two"]));
    let mixed = format!("cpu,{}", workers[0].device());
    success(train(path, &mixed, "8ba", &["--output", "mixed"]));

    // The one device has normalisation statistics of both parts, so that evaluation differs.
    let losses = metrics(&path.join("one"), &LOSS);
    assert_eq!(losses.len(), 8);
    assert_near(&metrics(&path.join("remote"), &LOSS), &losses);
    let two = metrics(&path.join("two"), &ALL);
    for run in ["remote", "mixed"] {
        assert_near(&metrics(&path.join(run), &ALL), &two);
    }
    // What was trained far away is a model like any other.
    let shown = success({
        let mut eval = program(&["eval", "remote", "--device", "cpu"]);
        eval.current_dir(path);
        eval
    });
    assert!(shown.contains("64 images"), "{shown}");
    for worker in workers {
        assert_eq!(worker.kill(), "");
    }
}

/// Starts a run, ends worker `victim` after the first checkpoint, and gives what the run said; the
/// other worker is left.
fn killed(path: &Path, duration: &str, victim: usize) -> (Output, String, Worker) {
    let mut workers = vec![Worker::new(), Worker::new()];
    let devices = [&workers[0], &workers[1]].map(Worker::device).join(",");
    let more = ["--output", "run", "--save-interval", "1ba"];
    let mut command = train(path, &devices, duration, &more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = Process(command.spawn().unwrap());
    let start = Instant::now();
    let is_saved = || {
        let files = fs::read_dir(path.join("run/checkpoints"))
            .into_iter()
            .flatten();
        let mut names = files.flatten().map(|file| file.file_name());
        names.any(|name| name.to_string_lossy().ends_with(".checkpoint"))
    };
    while !is_saved() {
        assert!(run.0.try_wait().unwrap().is_none() && start.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(5));
    }
    let worker = workers.remove(victim);
    let address = worker.address.clone();
    worker.kill();
    while run.0.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < LIMIT, "the run hangs");
        thread::sleep(Duration::from_millis(5));
    }
    let mut stderr = Vec::new();
    let pipe = run.0.stderr.as_mut().unwrap();
    pipe.read_to_end(&mut stderr).unwrap();
    let output = Output {
        status: run.0.wait().unwrap(),
        stdout: Vec::new(),
        stderr,
    };
    (output, address, workers.remove(0))
}

/// Long enough to be still under way when it is killed.
const LONG: &str = "60ba";

#[test]
fn a_run_whose_worker_dies_says_so_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    success(train(path, "cpu,cpu", LONG, &["--output", "whole"]));
    let whole = metrics(&path.join("whole"), &ALL);

    for (victim, elsewhere) in [(0, false), (1, true)] {
        let (output, address, _other) = killed(path, LONG, victim);
        let told = error(&output);
        let begin =
            format!("remote:{address} failed in the middle of the run: it no longer answers");
        assert!(told.starts_with(&begin), "{told}");
        assert!(told.contains("start the worker again, or name other --devices, and go on"));
        assert!(told.ends_with("with: cutmix train --resume run"), "{told}");

        let mut resume = program(&["train", "--resume", "run"]);
        resume.current_dir(path);
        let _again = match elsewhere {
            true => {
                resume.args(["--devices", "cpu,cpu"]);
                None
            }
            false => Some(Worker::start(&address, None)),
        };
        let shown = success(resume);
        assert!(shown.contains("resumed    after batch "), "{shown}");
        assert_near(&metrics(&path.join("run"), &ALL), &whole);
        assert!(path.join("run/model.safetensors").is_file());
        fs::remove_dir_all(path.join("run")).unwrap();
    }
}

#[test]
fn a_worker_with_a_secret_serves_those_who_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::start("127.0.0.1:0", Some("open sesame"));
    let run = |token: Option<&str>| {
        let mut command = train(folder.path(), &worker.device(), "1ba", &[]);
        if let Some(token) = token {
            command.env("CUTMIX_TOKEN", token);
        }
        command.output().unwrap()
    };
    for token in [None, Some("open barley")] {
        let output = run(token);
        let expected = format!(
            "the worker {} asks for the secret with which it was started; set CUTMIX_TOKEN to it",
            worker.device()
        );
        assert_eq!(error(&output), expected);
        // The secret is nowhere in what is said.
        assert!(!expected.contains("sesame"));
    }
    let output = run(Some("open sesame"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let config = fs::read_to_string(folder.path().join("runs/001/config.toml")).unwrap();
    assert!(
        config.contains(&format!("device = \"{}\"\n", worker.device())),
        "{config}"
    );
    assert!(!config.contains("sesame"), "{config}");
}

#[test]
fn what_cannot_be_served_or_reached_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::new();
    let serve = |listen: &str| program(&["serve", "--listen", listen]).output().unwrap();
    let taken = serve(&worker.address);
    let begin = format!("cannot serve on {}: ", worker.address);
    assert!(error(&taken).starts_with(&begin), "{}", error(&taken));
    assert!(error(&serve("nowhere")).starts_with("cannot serve on nowhere: "));

    let mut silent = program(&["serve", "--device", "cpu"]);
    let silent = silent.env("CUTMIX_TOKEN", "").output().unwrap();
    assert_eq!(error(&silent), "CUTMIX_TOKEN is set, but empty");

    let told = |devices: &str| {
        let output = train(folder.path(), devices, "1ba", &[]).output().unwrap();
        error(&output).to_string()
    };
    assert!(told("remote:host").contains("expected a worker's host and port"));
    let twice = [worker.device(), worker.device()].join(",");
    assert!(told(&twice).contains("expected each device once"));
    let address = worker.address.clone();
    worker.kill();
    let gone = told(&format!("cpu,remote:{address}"));
    let begin = format!("no worker answers at remote:{address}; start one there with: ");
    assert!(gone.starts_with(&begin), "{gone}");
    assert!(
        gone.contains(&format!("cutmix serve --listen {address} (")),
        "{gone}"
    );
    // Nothing was begun.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// With a secret, because the port is open to the network for a moment.
#[test]
fn a_worker_that_is_open_to_the_network_warns() {
    let worker = Worker::start("0.0.0.0:0", Some("a moment"));
    let expected = "warning: what travels is not encrypted, and everyone on the way can read it\n";
    assert_eq!(worker.kill(), expected);
}
