//! The results of a run for people: curves, an evaluation, a summary and a page with all of them.

pub mod batches;
mod calibration;
mod chart;
mod confusion;
pub mod curves;
pub mod evaluation;
pub mod html;
pub mod summary;
