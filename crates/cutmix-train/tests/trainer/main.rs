//! The trainer: events, durations, scores, and what a user brings.

#[path = "../common/mod.rs"]
mod common;

mod accumulation;
mod best_and_patience;
mod data;
mod durations;
mod evaluation;
mod events;
mod logging;
mod metrics;
mod mixing;
mod networks;
mod not_finite;
mod refusals;
mod schedules;
mod threads;
mod together;
