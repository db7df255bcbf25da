//! Processes that `mpirun` starts, in the tests of `trainer/together.rs` threads.
//!
//! Runs with the feature `mpi`. The tests start themselves with `mpirun -n N`.
#![cfg(feature = "mpi")]

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use cutmix_train::algorithms::CutMix;
use cutmix_train::mpi::{Mpi, Order};
use cutmix_train::{Trainer, World};

use common::*;

const FOLDER: &str = "CUTMIX_TEST_FOLDER";

/// Starts a test of this program in so many processes.
fn start(test: &str, processes: usize, folder: &Path) -> Output {
    Command::new("mpirun")
        .args(["-n", &processes.to_string()])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        // Open MPI: as root, and with more processes than cores.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .output()
        .expect("mpirun")
}

fn with_four_parts() -> Trainer<Tiny> {
    let config = config("3ep").with_accumulate(4).with_seed(5);
    trainer(config, Samples::new(11, 2))
        .eval("val", Samples::new(7, 2).loader())
        .algorithm(CutMix::new())
}

/// Weights and scores, to the bit.
fn outcome(trainer: Trainer<Tiny>) -> String {
    let fit = trainer.fit().unwrap();
    let scores = fit.history.reports.iter().flat_map(|report| &report.scores);
    let scores: Vec<_> = scores.map(|score| score.value.to_bits()).collect();
    format!("{:?} {scores:?}", fit.model.weights())
}

#[test]
#[ignore = "started by other tests, in several processes"]
fn trains_in_all_processes() {
    let folder = std::env::var_os(FOLDER).expect("the folder of the test");
    let world = Arc::new(Mpi::join().unwrap());
    let path = Path::new(&folder).join(world.rank().to_string());
    std::fs::write(path, outcome(with_four_parts().world(world))).unwrap();
}

#[test]
fn weights_and_scores_are_those_of_one_process() {
    let expected = outcome(with_four_parts());
    for processes in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let output = start("trains_in_all_processes", processes, folder.path());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        for rank in 0..processes {
            let path = folder.path().join(rank.to_string());
            assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
        }
    }
}

#[test]
#[ignore = "started by other tests, in several processes"]
fn adds_up() {
    let folder = std::env::var_os(FOLDER).expect("the folder of the test");
    let world = Mpi::join().unwrap();
    let second = Mpi::join().unwrap_err();
    assert_eq!(second.to_string(), "this process has joined MPI already");
    let rank = world.rank();
    let numbers = |count: usize| (0..count).map(move |at| (at + rank) as f32 / 3.0);
    // Several sums are on their way at once, of fewer numbers than processes, too.
    let counts = [1000, 1, 0, 7];
    let sums = counts.map(|count| world.sum(numbers(count).collect()));
    assert_eq!(
        world.gather(Vec::new()).unwrap(),
        vec![Vec::<u8>::new(); world.size()]
    );
    let all = world.gather(vec![rank as u8; rank]).unwrap();
    let sums = sums.map(|sum| sum().unwrap());
    world.set_order(Order::Fast);
    // Sums of whole numbers have the same bits in any order.
    let counted = world.sum(vec![rank as f32; 9])().unwrap();
    assert_eq!(counted, [(0..world.size()).sum::<usize>() as f32; 9]);
    let text = format!("{sums:?} {all:?} {}", world.local_size());
    std::fs::write(Path::new(&folder).join(rank.to_string()), text).unwrap();
}

#[test]
fn sums_and_what_is_gathered_are_the_same_in_all_processes() {
    for processes in [2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let output = start("adds_up", processes, folder.path());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let of_rank = |rank: usize, count: usize| -> Vec<f32> {
            (0..count).map(|at| (at + rank) as f32 / 3.0).collect()
        };
        let sums = [1000, 1, 0, 7].map(|count| {
            cutmix_train::sum_in_pairs((0..processes).map(|rank| of_rank(rank, count)))
        });
        let all: Vec<_> = (0..processes).map(|rank| vec![rank as u8; rank]).collect();
        for rank in 0..processes {
            let path = folder.path().join(rank.to_string());
            let found = std::fs::read_to_string(path).unwrap();
            assert_eq!(found, format!("{sums:?} {all:?} {processes}"));
        }
    }
}
