//! Errors of models.

/// Reason why a network could not be made. Every message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No network has this name.
    #[error("unknown network `{name}`, expected {}", known.join(", "))]
    Unknown {
        /// Name that was given.
        name: String,
        /// Names that exist.
        known: Vec<&'static str>,
    },
    /// An argument is out of range.
    #[error("{argument} is {value}, expected {expected}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// Value that was given.
        value: String,
        /// Values that are accepted.
        expected: String,
    },
}

impl ModelError {
    pub(super) fn argument(
        argument: &'static str,
        value: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Argument {
            argument,
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }

    /// Checks that the sizes that are named are above 0, and so small that products of two do not
    /// overflow.
    pub(super) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Self> {
        const MOST: usize = 1 << 24;
        match sizes.iter().find(|(_, size)| !(1..=MOST).contains(size)) {
            Some((argument, 0)) => Err(Self::argument(argument, 0, "at least 1")),
            Some((argument, size)) => {
                Err(Self::argument(argument, size, format!("at most {MOST}")))
            }
            None => Ok(()),
        }
    }

    /// Checks the probability of [`ModelConfig::stochastic_depth`](super::ModelConfig).
    pub(super) fn check_stochastic_depth(probability: f64) -> Result<(), Self> {
        if (0.0..1.0).contains(&probability) {
            Ok(())
        } else {
            let expected = "0 or more and below 1";
            Err(Self::argument("stochastic_depth", probability, expected))
        }
    }
}
