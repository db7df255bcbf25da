//! Values of options as text.

use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use cutmix_vision::models::architectures;
use cutmix_vision::{Augment, DataError, Depth};

use super::AlgorithmSpec;
use crate::error::Error;

/// The networks, as the help lists them.
pub fn network_parser() -> impl TypedValueParser<Value = String> {
    let networks = architectures().map(|one| PossibleValue::new(one.name).help(one.about));
    PossibleValuesParser::new(networks)
}

/// Parses a value of the library.
pub fn library<T: FromStr<Err = cutmix_train::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| match error {
        // Clap has named the option and its value.
        cutmix_train::Error::Argument { accepted, .. } => format!("expected {accepted}"),
        error => error.to_string(),
    })
}

/// What the library says of a value; clap names the option.
fn accepted(error: DataError) -> String {
    match error {
        DataError::Argument { expected, .. } => format!("expected {expected}"),
        error => error.to_string(),
    }
}

/// Parses a list of augmentations.
pub fn parse_augment(text: &str) -> Result<Augment, String> {
    text.parse().map_err(|error: DataError| error.to_string())
}

pub fn parse_depth(text: &str) -> Result<Depth, String> {
    text.parse().map_err(accepted)
}

/// Parses an algorithm.
pub fn parse_algorithm(text: &str) -> Result<AlgorithmSpec, String> {
    text.parse().map_err(|error| match error {
        // Clap has named the text.
        Error::Algorithm { reason, .. } => reason,
        error => error.to_string(),
    })
}
