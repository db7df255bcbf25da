//! The partners and shares of samples that are mixed as a whole.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{check_batch, check_partners};
use crate::Error;

/// The partners of the samples of a batch and the shares by which they are mixed: everything that is
/// random about MixUp, and what any mixing does to the targets. Cheap to clone.
///
/// A mixture has one lambda for the whole batch, or one for each sample (see [`Mode`](super::Mode)).
///
/// ```
/// use cutmix::plan::Mixture;
///
/// // Each sample keeps three quarters of itself.
/// let mixture = Mixture::new(vec![1, 0], 0.75)?;
/// let json = serde_json::to_string(&mixture).unwrap();
/// assert_eq!(json, r#"{"partners":[1,0],"lambdas":[0.75]}"#);
/// assert_eq!(serde_json::from_str::<Mixture>(&json).unwrap(), mixture);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Mixture {
    partners: Arc<[usize]>,
    lambdas: Arc<[f64]>,
}

impl Mixture {
    /// Creates a mixture with one lambda for the batch: sample `i` keeps the share `lambda` and takes
    /// the rest from sample `partners[i]`.
    ///
    /// `partners` is a permutation of `0..N`, `lambda` is in `0..=1`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an empty batch, partners that are no permutation, or a lambda out
    /// of range.
    pub fn new(partners: Vec<usize>, lambda: f64) -> Result<Self, Error> {
        Self::checked(partners, vec![lambda])
    }

    /// Creates a mixture with a lambda for each sample.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and for another number of lambdas than of partners.
    pub fn per_sample(partners: Vec<usize>, lambdas: Vec<f64>) -> Result<Self, Error> {
        if lambdas.len() != partners.len() {
            return Err(Error::argument(
                "lambdas",
                format!("a list of {}", lambdas.len()),
                format!(
                    "one for each of the {} samples of the batch",
                    partners.len()
                ),
            ));
        }
        Self::checked(partners, lambdas)
    }

    /// Creates a mixture of one lambda, or of one for each of `partners`.
    pub(super) fn checked(partners: Vec<usize>, lambdas: Vec<f64>) -> Result<Self, Error> {
        check_batch(partners.len())?;
        check_partners(&partners)?;
        if let Some(lambda) = lambdas.iter().find(|lambda| !(0.0..=1.0).contains(*lambda)) {
            return Err(Error::argument("lambda", lambda, "a number in 0..=1"));
        }
        Ok(Self {
            partners: partners.into(),
            lambdas: lambdas.into(),
        })
    }

    /// The permutation of the samples: sample `i` is mixed with sample `partners()[i]`.
    pub fn partners(&self) -> &[usize] {
        &self.partners
    }

    /// The one lambda of the batch, or one lambda for each sample.
    pub fn lambdas(&self) -> &[f64] {
        &self.lambdas
    }

    /// The share of a sample that stays its own, in `0..=1`.
    ///
    /// # Panics
    ///
    /// If `sample` is not in `0..batch()`.
    pub fn lambda(&self, sample: usize) -> f64 {
        self.lambdas[self.entry(sample)]
    }

    /// The number of samples in the batch.
    pub fn batch(&self) -> usize {
        self.partners.len()
    }

    /// Whether applying the mixture changes nothing: each sample is its own partner or keeps all of itself.
    pub fn is_identity(&self) -> bool {
        (self.partners.iter().enumerate())
            .all(|(sample, &partner)| partner == sample || self.lambda(sample) == 1.0)
    }

    /// The index of the lambda of a sample.
    pub(super) fn entry(&self, sample: usize) -> usize {
        assert!(sample < self.batch(), "sample {sample} of {}", self.batch());
        if self.lambdas.len() == 1 { 0 } else { sample }
    }

    pub(crate) fn shared_partners(&self) -> Arc<[usize]> {
        self.partners.clone()
    }

    pub(super) fn shared_lambdas(&self) -> Arc<[f64]> {
        self.lambdas.clone()
    }
}

impl AsRef<Mixture> for Mixture {
    fn as_ref(&self) -> &Mixture {
        self
    }
}

impl fmt::Display for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [lambda] = self.lambdas() {
            return write!(f, "lambda {lambda:.4}, partners {:?}", self.partners);
        }
        f.write_str("mixtures:")?;
        (self.partners.iter().enumerate()).try_for_each(|(sample, partner)| {
            let lambda = self.lambda(sample);
            write!(f, " {sample} with {partner}, lambda {lambda:.4};")
        })
    }
}

/// A mixture as it is stored, before it is checked.
#[derive(Deserialize)]
struct Fields {
    partners: Vec<usize>,
    lambdas: Vec<f64>,
}

impl TryFrom<Fields> for Mixture {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        match fields.lambdas.as_slice() {
            [lambda] => Self::new(fields.partners, *lambda),
            _ => Self::per_sample(fields.partners, fields.lambdas),
        }
    }
}
