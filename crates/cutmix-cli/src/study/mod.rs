//! A study: runs that differ in some settings, each with several seeds, and what they show together.

pub mod contents;
pub mod expected;
pub mod files;
pub mod plan;
pub mod result;
pub mod statistics;
pub mod table;

pub use files::StudyFolder;
pub use plan::{Plan, Seeds};
pub use result::RunResult;
pub use table::Table;
