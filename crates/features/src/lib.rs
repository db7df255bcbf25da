//! Nothing: see `Cargo.toml`, whose dependencies are the purpose of this crate.
