//! The commands, one file each.

pub mod bench;
pub mod check;
pub mod compare;
pub mod eval;
pub mod explain;
pub mod export;
pub mod predict;
pub mod preview;
pub mod train;

/// How `check` and `eval` print their result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}
