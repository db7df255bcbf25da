//! The results of a run for people: curves, tables and a summary.

pub mod curves;
pub mod summary;
pub mod table;
