//! Times the sum of the gradients of a network over the processes of `mpirun`.
//!
//! ```sh
//! cargo build --release -p cutmix-train --features mpi --example gradient_sum
//! mpirun -n 2 target/release/examples/gradient_sum 11689512 [ROUNDS]
//! ```
//!
//! Process 0 prints a JSON object with milliseconds: the medians of the exact sum and of MPI's own.

use std::time::Instant;

use cutmix_train::mpi::{Mpi, Order};
use cutmix_train::{Error, World};

/// Numbers that are on their way at once, as in training.
const BUCKET: usize = 1 << 22;

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        // Otherwise the process would wait for the others to leave MPI.
        std::process::exit(1);
    }
}

fn run() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let mut next = |usual| arguments.next().and_then(Result::ok).unwrap_or(usual);
    let (parameters, rounds): (usize, usize) = (next(11_689_512), next(15));
    let mpi = Mpi::join()?;
    let gradients = vec![0.5f32; parameters];
    let mut medians = [0.0; 2];
    for (median, order) in medians.iter_mut().zip([Order::Exact, Order::Fast]) {
        mpi.set_order(order);
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..=rounds {
            mpi.gather(Vec::new())?;
            let started = Instant::now();
            let sums: Vec<_> = gradients
                .chunks(BUCKET)
                .map(|part| mpi.sum(part.to_vec()))
                .collect();
            for sum in sums {
                std::hint::black_box(sum()?);
            }
            times.push(1e3 * started.elapsed().as_secs_f64());
        }
        // The first one is not counted.
        let times = &mut times[1..];
        times.sort_by(f64::total_cmp);
        *median = times[times.len() / 2];
    }
    if mpi.rank() == 0 {
        let [exact, fast] = medians;
        println!(
            "{{\"processes\": {}, \"exact\": {exact:.3}, \"fast\": {fast:.3}}}",
            mpi.size()
        );
    }
    Ok(())
}
