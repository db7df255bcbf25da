//! The data sets that are part of the program.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use cutmix_vision::{Splits, cluttered_fashion, fashion_mnist};

/// A data set that is part of the program.
#[derive(Debug)]
pub struct Embedded {
    /// What `--data` and `data` in a configuration file call it.
    name: &'static str,
    /// The name that messages have for the data.
    pub title: &'static str,
    pub open: fn() -> Splits,
}

static FASHION_MNIST: Embedded = Embedded {
    name: "fashion-mnist",
    title: "Fashion-MNIST (embedded)",
    open: fashion_mnist,
};

static CLUTTERED_FASHION: Embedded = Embedded {
    name: "cluttered-fashion",
    title: "Cluttered Fashion-MNIST (embedded)",
    open: cluttered_fashion,
};

static ALL: [&Embedded; 2] = [&FASHION_MNIST, &CLUTTERED_FASHION];

/// Where data come from.
pub enum Origin<'a> {
    Embedded(&'static Embedded),
    Path(&'a Path),
}

impl<'a> Origin<'a> {
    /// The origin of `data`: Fashion-MNIST where there are none.
    pub fn of(data: Option<&'a Path>) -> Self {
        let Some(path) = data else {
            return Self::Embedded(&FASHION_MNIST);
        };
        let mut embedded = ALL.into_iter();
        let found = embedded.find(|one| path.as_os_str() == one.name);
        found.map_or(Self::Path(path), Self::Embedded)
    }
}

/// Parses `--data`. A folder or file that has the name of embedded data goes before them; it is written
/// as `./NAME`, so that the name alone always means the embedded data, wherever a run is resumed.
pub fn data_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|data| match Origin::of(Some(&data)) {
        Origin::Embedded(_) if data.exists() => Path::new(".").join(data),
        _ => data,
    })
}
