//! `--dashboard` in a build without it.

use burn::train::renderer::MetricsRenderer;
use cutmix::time::Duration;
use cutmix::trainer::{Clock, Stop};

use crate::error::Error;

/// There is none.
pub enum Dashboard {}

impl Dashboard {
    pub fn check() -> Result<(), Error> {
        Err(Error::Dashboard(
            "is not in this build; build with --features dashboard to add it",
        ))
    }

    pub fn open(_: Clock, _: Duration, _: usize, _: Stop) -> Box<dyn MetricsRenderer> {
        unreachable!("`check` has refused it")
    }

    pub fn exit() -> ! {
        unreachable!("`check` has refused it")
    }
}
