//! How image files are decoded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::DataError;

/// How image files are decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DecodeConfig {
    /// Colour behind transparent pixels: red, green and blue. Default white.
    pub background: [u8; 3],
    /// Number of bits that the values of 16-bit files use. Default [`Depth::Auto`].
    pub depth: Depth,
    /// Number of bytes that all threads together may take to decode images, and as many again for
    /// the files of these images. An image or a file that takes more by itself is an error. Files
    /// that wait for their turn, where a source has [runs](crate::Source::runs), come on top.
    /// Default 1 GiB.
    pub memory: u64,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self {
            background: [255; 3],
            depth: Depth::Auto,
            memory: 1 << 30,
        }
    }
}

impl DecodeConfig {
    /// Creates the configuration with the default of every option.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the colour behind transparent pixels.
    pub fn with_background(self, background: [u8; 3]) -> Self {
        Self { background, ..self }
    }

    /// Sets the number of bits that the values of 16-bit files use.
    pub fn with_depth(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// Sets the number of bytes that all threads together may take.
    pub fn with_memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }
}

/// Number of bits that the values of 16-bit files use. Cameras and scanners of 12 bits store their
/// values in 16, where they would be nearly black.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Depth {
    /// 12 where no value of the image is above 4095, otherwise 16.
    #[default]
    Auto,
    /// This number, in 9..=16. Values that need more bits become white.
    Bits(u8),
}

impl FromStr for Depth {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(bits @ 9..=16) => Ok(Self::Bits(bits)),
            _ => Err(DataError::argument("depth", text, "auto, or 9 to 16 bits")),
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Bits(bits) => bits.fmt(f),
        }
    }
}

impl TryFrom<String> for Depth {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<Depth> for String {
    fn from(depth: Depth) -> Self {
        depth.to_string()
    }
}
