//! Training in the processes of `mpirun`. Runs with the feature `mpi`.
#![cfg(feature = "mpi")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use image::{Rgb, RgbImage};
use safetensors::SafeTensors;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cutmix");

/// `mpirun` in a folder; as root, and with more processes than cores.
fn mpirun(folder: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command
        .current_dir(folder)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_hwloc_base_binding_policy", "none");
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs the program in so many processes.
fn together(folder: &Path, processes: usize, arguments: &str) -> Output {
    let count = processes.to_string();
    let mut command = mpirun(folder);
    command.args(["-n", &count, PROGRAM]);
    command.args(arguments.split(' ')).output().unwrap()
}

#[track_caller]
fn succeed(folder: &Path, processes: usize, arguments: &str) -> String {
    let output = together(folder, processes, arguments);
    let error = text(&output.stderr);
    assert!(output.status.success(), "{arguments}: {error}");
    text(&output.stdout).into()
}

fn alone(folder: &Path, arguments: &str) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(arguments.split(' '));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The lines of the program in what failed processes have written.
fn errors(output: &Output) -> Vec<&str> {
    let lines = text(&output.stderr).lines();
    lines.filter(|line| line.starts_with("error: ")).collect()
}

/// The weights of a run, without running statistics.
fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let trained = |(name, _): &(&str, _)| !name.contains("running");
    let tensors = tensors.iter().filter(trained);
    tensors
        .map(|(name, tensor)| (name.into(), tensor.data().to_vec()))
        .collect()
}

fn table(run: &Path, column: &str) -> Vec<String> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut rows = table.lines().map(|row| row.split(','));
    let at = rows
        .next()
        .unwrap()
        .position(|name| name == column)
        .unwrap();
    rows.map(|mut row| row.nth(at).unwrap().into()).collect()
}

const TRAIN: &str = "train --limit 200 --duration 2ep --batch-size 24 --model resnet8 --seed 3 \
                     --device cpu --algorithm cutmix --algorithm ema:0.9";

#[test]
fn several_processes_learn_what_one_learns_with_as_many_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    alone(path, &format!("{TRAIN} --accumulate 4 --output alone"));
    let run = path.join("alone");
    let (expected, losses) = (weights(&run), table(&run, "train/loss"));
    for (processes, more) in [(2, " --accumulate 4"), (4, "")] {
        let run = format!("of{processes}");
        let shown = succeed(path, processes, &format!("{TRAIN}{more} --output {run}"));
        let headers = shown.lines().filter(|line| line.starts_with("data "));
        assert_eq!(headers.count(), 1, "{shown}");
        let run = path.join(run);
        assert_eq!(weights(&run), expected, "{processes} processes");
        assert_eq!(table(&run, "train/loss"), losses);
        for file in [
            "report.html",
            "batch.png",
            "curves.png",
            "eval/test/evaluation.json",
        ] {
            assert!(run.join(file).is_file(), "{file}");
        }
        assert!(
            fs::read_to_string(run.join("config.toml"))
                .unwrap()
                .contains("accumulate = 4")
        );
    }
}

#[test]
fn a_run_of_four_processes_resumes_in_two_and_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let whole = "--schedule constant --warmup 0ba --save-interval 1ba --keep 99";
    alone(
        path,
        &format!("{TRAIN} {whole} --accumulate 4 --output alone"),
    );
    for processes in [1, 2] {
        let run = format!("run{processes}");
        succeed(path, 4, &format!("{TRAIN} {whole} --output {run}"));
        let run_folder = path.join(&run);
        // As if it had been killed after batch 5.
        for batch in 6..=16 {
            let checkpoint = format!("checkpoints/batch-{batch:08}.checkpoint");
            fs::remove_file(run_folder.join(checkpoint)).unwrap();
        }
        fs::remove_file(run_folder.join("model.safetensors")).unwrap();
        succeed(path, processes, &format!("train --resume {run}"));
        assert_eq!(
            weights(&run_folder),
            weights(&path.join("alone")),
            "{processes}"
        );
    }
    let refused = together(path, 3, "train --resume run1 --duration 3ep");
    let expected = "--accumulate is 4, expected a multiple of the number of processes, 3";
    assert!(
        errors(&refused)[0].ends_with(expected),
        "{:?}",
        errors(&refused)
    );
    assert_eq!(errors(&refused).len(), 1);
    assert!(path.join("run1/model.safetensors").is_file());
}

#[test]
fn processes_that_differ_are_refused_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let train = |seed: &str, limit: &str| {
        let train =
            format!("train --device cpu --duration 1ba --seed {seed} --limit {limit} --output run");
        [
            vec![PROGRAM.into()],
            train.split(' ').map(String::from).collect(),
        ]
        .concat()
    };
    let refused = |other: Vec<String>| {
        let mut command = mpirun(path);
        command.args(["-n", "1"]).args(train("1", "64"));
        command.args([":", "-n", "1"]).args(other);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        assert_eq!(errors(&output).len(), 1, "{}", text(&output.stderr));
        let error = errors(&output)[0].to_owned();
        assert!(error.starts_with("error: process 1 on "), "{error}");
        assert!(!path.join("run").exists());
        error
    };
    let error = refused(train("2", "64"));
    assert!(
        error.ends_with("differs from process 0 in --seed: 2, expected 1"),
        "{error}"
    );
    let error = refused(train("1", "65"));
    assert!(
        error.ends_with("differs from process 0 in --limit: 65, expected 64"),
        "{error}"
    );
}

#[test]
fn an_error_of_all_is_told_once_and_two_jobs_in_one_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let output = together(path, 2, "train --data missing");
    assert_eq!(errors(&output).len(), 1, "{}", text(&output.stderr));
    assert!(errors(&output)[0].starts_with("error: process 0 on "));
    assert!(!path.join("runs").exists());
    let running = start(path, 2, &format!("{LONG} --output run"));
    for (arguments, expected) in [
        (format!("{LONG} --output run"), "exists and is not empty"),
        (
            "train --resume run".into(),
            "run folder run is in use by another process",
        ),
    ] {
        let output = together(path, 2, &arguments);
        assert!(!output.status.success());
        let [error] = errors(&output)[..] else {
            panic!("{}", text(&output.stderr));
        };
        assert!(error.contains(expected), "{error}");
    }
    drop(running);
}

const LONG: &str = "train --limit 512 --duration 1h --batch-size 16 --model resnet8 --device cpu \
                    --eval-interval 8ba --save-interval 8ba";

/// `mpirun`, ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program, and waits for its second report.
fn start(folder: &Path, processes: usize, arguments: &str) -> Running {
    let mut command = mpirun(folder);
    command.args(["-n", &processes.to_string(), PROGRAM]);
    command.args(arguments.split(' '));
    started(command)
}

/// Starts a command that trains, and waits for its second report.
fn started(mut command: Command) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut reports = lines.filter(|line| line.as_ref().unwrap().contains("train loss"));
    reports.nth(1).unwrap().unwrap();
    // Otherwise the run would wait for a reader.
    std::thread::spawn(move || reports.count());
    running
}

/// The processes of the program that have this folder as theirs.
fn processes_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |id: &u32| {
        let of = |name: &str| fs::read_link(format!("/proc/{id}/{name}")).unwrap_or_default();
        of("cwd") == folder && of("exe").ends_with("cutmix")
    };
    ids.filter(is_one).collect()
}

fn signal(name: &str, process: u32) {
    let kill = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

#[test]
fn a_killed_process_ends_all_and_the_last_checkpoint_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut running = start(path, 2, &format!("{LONG} --output run"));
    let processes = processes_in(path);
    assert_eq!(processes.len(), 2);
    signal("-KILL", processes[1]);
    // The last one ends when all have.
    assert!(!running.0.wait().unwrap().success());
    assert_eq!(processes_in(path), [0u32; 0]);
    alone(path, "train --resume run --duration 9ep");
    assert!(path.join("run/model.safetensors").is_file());
}

#[test]
fn a_signal_to_mpirun_saves_and_each_process_says_that_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut command = mpirun(path);
    command.args([
        "--mca",
        "odls_base_sigkill_timeout",
        "20",
        "-n",
        "2",
        "sh",
        "-c",
    ]);
    command.arg(format!(
        "trap : TERM; {PROGRAM} {LONG} --output run; echo $? >code.$OMPI_COMM_WORLD_RANK"
    ));
    let mut running = started(command);
    signal("-TERM", running.0.id());
    running.0.wait().unwrap();
    for rank in 0..2 {
        let code = fs::read_to_string(path.join(format!("code.{rank}"))).unwrap();
        assert_eq!(code, "130\n", "process {rank}");
    }
    let report = fs::read_to_string(path.join("run/report.html")).unwrap();
    assert!(
        report.contains("train --resume"),
        "the run was stopped in order"
    );
    // It goes on after its last batch, not after the last regular checkpoint.
    let last = newest(&path.join("run/checkpoints"));
    let batch: usize = last
        .trim_start_matches("batch-")
        .trim_end_matches(".checkpoint")
        .parse()
        .unwrap();
    succeed(
        path,
        2,
        &format!("train --resume run --duration {}ba", batch + 1),
    );
}

/// The newest file of a folder, by name.
fn newest(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.max().unwrap()
}

/// Each process reads what it needs of the shards.
#[test]
fn shards_give_each_process_its_part_of_every_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for shard in 0..3 {
        let samples = path.join(format!("samples{shard}"));
        fs::create_dir(&samples).unwrap();
        for sample in 0..10 {
            let level = 8 * (10 * shard + sample) as u8;
            let image =
                RgbImage::from_fn(16, 16, |x, y| Rgb([level, (9 * x) as u8, (7 * y) as u8]));
            image
                .save(samples.join(format!("{shard}{sample}.png")))
                .unwrap();
            let class = if sample % 2 == 0 { "0" } else { "1" };
            fs::write(samples.join(format!("{shard}{sample}.cls")), class).unwrap();
        }
        fs::create_dir_all(path.join("data")).unwrap();
        let tar = Command::new("tar")
            .args([
                "-cf",
                &format!("../data/train-{shard:04}.tar"),
                "--sort=name",
                ".",
            ])
            .current_dir(&samples)
            .status();
        assert!(tar.unwrap().success());
    }
    let train =
        "train --data data --size 16 --duration 2ep --batch-size 8 --model resnet8 --device cpu";
    alone(path, &format!("{train} --accumulate 2 --output alone"));
    succeed(path, 2, &format!("{train} --output run"));
    assert_eq!(weights(&path.join("run")), weights(&path.join("alone")));
}

#[test]
fn the_head_trains_in_several_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let train =
        "train --limit 64 --duration 4ba --batch-size 16 --model resnet8 --device cpu --train head";
    alone(path, &format!("{train} --accumulate 2 --output alone"));
    succeed(path, 2, &format!("{train} --output run"));
    assert_eq!(weights(&path.join("run")), weights(&path.join("alone")));
}

/// A folder with images of two classes, of which one cannot be decoded.
fn pictures(data: &Path) {
    for class in ["blue", "red"] {
        fs::create_dir_all(data.join(class)).unwrap();
        for number in 0..20 {
            let (low, high) = (6 * number as u8, 255);
            let color = if class == "red" {
                [high, low, low]
            } else {
                [low, low, high]
            };
            let image = RgbImage::from_pixel(16, 16, Rgb(color));
            image
                .save(data.join(format!("{class}/{number:02}.png")))
                .unwrap();
        }
    }
    fs::write(data.join("red/07.png"), "no picture").unwrap();
}

#[test]
fn a_bad_image_ends_all_processes_or_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    pictures(&path.join("data"));
    let train = "train --data data --size 16 --augment none --duration 2ep --batch-size 8 --model resnet8 \
                 --device cpu";
    let failed = together(path, 2, &format!("{train} --output failed"));
    assert!(!failed.status.success());
    let [error] = errors(&failed)[..] else {
        panic!("{}", text(&failed.stderr));
    };
    assert!(error.starts_with("error: process "), "{error}");
    assert!(error.contains("red/07.png"), "{error}");
    let shown = succeed(
        path,
        2,
        &format!("{train} --on-bad-image skip --output run"),
    );
    let skipped = shown.lines().filter(|line| line.contains("red/07.png"));
    assert_eq!(skipped.count(), 1, "{shown}");
    alone(
        path,
        &format!("{train} --on-bad-image skip --accumulate 2 --output alone"),
    );
    assert_eq!(weights(&path.join("run")), weights(&path.join("alone")));
}

/// Evaluation takes images of this size one by one.
#[test]
fn predictions_stay_with_their_images_where_one_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for set in ["train", "test"] {
        pictures(&path.join("data").join(set));
    }
    let train = "train --data data --size 1024 --augment none --duration 1ba --batch-size 2 --model resnet8 \
                 --device cpu --on-bad-image skip --limit 12 --val-fraction 0.2";
    alone(path, &format!("{train} --accumulate 2 --output alone"));
    succeed(path, 2, &format!("{train} --output run"));
    let names = |run: &str| {
        let table = fs::read_to_string(path.join(run).join("eval/test/predictions.csv")).unwrap();
        let rows = table.lines().map(|row| {
            let mut cells = row.split(',');
            [0; 2].map(|_| cells.next().unwrap().to_string())
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(names("run"), names("alone"));
    assert!(
        !names("run")
            .iter()
            .any(|[name, _]| name.contains("red/07.png"))
    );
}

#[test]
fn a_run_without_parts_is_not_resumed_in_several_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    alone(
        path,
        "train --limit 64 --duration 1ba --model resnet8 --device cpu --output run",
    );
    let refused = together(path, 2, "train --resume run --duration 2ba");
    let [error] = errors(&refused)[..] else {
        panic!("{}", text(&refused.stderr));
    };
    let expected = "--accumulate is 1, expected a multiple of the number of processes, 2";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn wrong_options_and_help_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = together(folder.path(), 3, "train --colour blue");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr).matches("unexpected argument").count(),
        1
    );
    let shown = succeed(folder.path(), 3, "train --help");
    assert_eq!(shown.matches("Usage:").count(), 1);
}

#[test]
fn processes_with_different_commands_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mpirun(folder.path());
    command.args([
        "-n", "1", PROGRAM, "train", ":", "-n", "1", PROGRAM, "check", "data",
    ]);
    let output = command.output().unwrap();
    let [error] = errors(&output)[..] else {
        panic!("{}", text(&output.stderr));
    };
    assert!(
        error.ends_with("differs from process 0 in its command: check, expected train"),
        "{error}"
    );
}

#[test]
fn a_process_without_memory_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let with_limit = |batch_size: usize| {
        let train = format!(
            "train --limit 2048 --size 64 --model resnet18 --duration 1ba --device cpu --output run{batch_size} \
             --batch-size {batch_size}"
        );
        let mut command = mpirun(path);
        command.args(["-n", "1", PROGRAM]).args(train.split(' '));
        let limited = format!("ulimit -v 2000000; exec {PROGRAM} {train}");
        command.args([":", "-n", "1", "sh", "-c", &limited]);
        command.output().unwrap()
    };
    // The memory is enough to start, and for small batches.
    let output = with_limit(16);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = with_limit(2048);
    assert!(!output.status.success());
    assert_eq!(processes_in(path), [0u32; 0]);
    let error = text(&output.stderr);
    assert!(error.contains("rank 1 with PID"), "{error}");
}

#[test]
fn processes_that_find_only_themselves_are_refused() {
    let mut command = Command::new(PROGRAM);
    // The variables of another MPI.
    command.env("PMI_RANK", "0").env("PMI_SIZE", "2");
    let output = command
        .args(["train", "--duration", "1ba"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let [error] = errors(&output)[..] else {
        panic!("{}", text(&output.stderr));
    };
    assert!(
        error.contains("2 processes were started together"),
        "{error}"
    );
}

/// Two hosts with a network between them: two network namespaces. Deleted at the end.
struct Hosts([String; 2]);

impl Hosts {
    const LINK: &'static str = "cutmix0";

    fn new() -> Self {
        let name = |host: u32| format!("cutmix-{}-{host}", std::process::id());
        let hosts = Self([name(0), name(1)]);
        let [first, second] = &hosts.0;
        let link = Self::LINK;
        ip(&format!("netns add {first}"));
        ip(&format!("netns add {second}"));
        ip(&format!(
            "link add {link} netns {first} type veth peer name {link} netns {second}"
        ));
        for (number, host) in hosts.0.iter().enumerate() {
            ip(&format!(
                "-n {host} addr add 10.99.0.{}/24 dev {link}",
                number + 1
            ));
            ip(&format!("-n {host} link set {link} up"));
            ip(&format!("-n {host} link set lo up"));
        }
        hosts
    }

    /// `mpirun` on the first host, which starts a process on each.
    fn mpirun(&self, folder: &Path) -> Command {
        // Runs a command on a host, as `ssh` does.
        let on_host = "#!/bin/sh\nhost=$1\nshift\n\
                       exec ip netns exec \"$host\" unshare --uts sh -c \
                       'hostname \"$0\" && exec sh -c \"$*\"' \"$host\" \"$@\"\n";
        let agent = folder.join("on_host");
        fs::write(&agent, on_host).unwrap();
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
        let [first, second] = &self.0;
        let launcher = mpirun(folder);
        let mut command = Command::new(&agent);
        command.current_dir(folder).arg(first);
        for (name, value) in launcher.get_envs() {
            command.env(name, value.unwrap());
        }
        let hosts = format!("{first},{second}");
        command.args(["mpirun", "--host", &hosts, "--mca", "btl", "self,tcp"]);
        command.args(["--mca", "plm_rsh_agent"]).arg(&agent);
        for layer in ["oob_tcp_if_include", "btl_tcp_if_include"] {
            command.args(["--mca", layer, Self::LINK]);
        }
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.0 {
            let _ = Command::new("ip").args(["netns", "delete", host]).status();
        }
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Where `CUTMIX_REQUIRE_HOSTS` is set, because it needs the rights of root.
#[test]
fn two_hosts_learn_what_one_learns() {
    if std::env::var_os("CUTMIX_REQUIRE_HOSTS").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let hosts = Hosts::new();
    let mut command = hosts.mpirun(path);
    command
        .arg(PROGRAM)
        .args(format!("{TRAIN} --output run").split(' '));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    succeed(path, 2, &format!("{TRAIN} --output expected"));
    let [run, expected] = ["run", "expected"].map(|run| path.join(run));
    for file in ["model.safetensors", "eval/test/predictions.csv"] {
        assert_eq!(
            fs::read(run.join(file)).unwrap(),
            fs::read(expected.join(file)).unwrap()
        );
    }
    // The second host has no such data.
    let mut command = hosts.mpirun(path);
    let train = format!(
        "test $OMPI_COMM_WORLD_RANK = 0 && data=data || data=gone; \
                         exec {PROGRAM} {TRAIN} --data $data --output refused"
    );
    pictures(&path.join("data"));
    fs::remove_file(path.join("data/red/07.png")).unwrap();
    let output = command
        .args(["sh", "-c"])
        .arg(format!("'{train}'"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let [error] = errors(&output)[..] else {
        panic!("{}", text(&output.stderr));
    };
    let expected = format!("error: process 1 on {}: ", hosts.0[1]);
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn processes_share_the_runs_of_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let compare = "compare --algorithm none --algorithm cutmix --seeds 0..1 --limit 64 --duration 4ba \
                   --batch-size 16 --model resnet8 --device cpu";
    alone(path, &format!("{compare} --output alone"));
    let shown = succeed(path, 3, &format!("{compare} --output together"));
    assert_eq!(
        shown.matches("runs       4 of 4 left").count(),
        1,
        "{shown}"
    );
    let [found, expected] = ["together", "alone"]
        .map(|study| fs::read_to_string(path.join(study).join("runs.csv")).unwrap());
    assert_eq!(found, expected);
}
