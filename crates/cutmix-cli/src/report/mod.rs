//! The results of a run for people: curves, an evaluation and a summary.

mod calibration;
mod chart;
mod confusion;
pub mod curves;
pub mod evaluation;
pub mod summary;
