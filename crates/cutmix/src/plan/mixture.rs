//! Who is mixed with whom, and by how much.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{check_batch, check_partners};
use crate::Error;

/// Which samples of a minibatch are mixed, and by which shares: all that MixUp decides, and what
/// any mixing does to the targets. Cheap to clone.
///
/// There is one lambda for the whole batch, or one for each sample (see [`Mode`](super::Mode)). A
/// text format that does not write every digit loses the last one of a lambda.
///
/// ```
/// use cutmix::plan::Mixture;
///
/// // Three quarters of each sample are its own, the rest is the other's.
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
    /// A mixture given by hand with one lambda for the batch: sample `i` keeps the share `lambda`
    /// and takes the rest from sample `partners[i]`.
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

    /// A mixture given by hand with a lambda for each sample.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and for another number of lambdas than of partners.
    pub fn per_sample(partners: Vec<usize>, lambdas: Vec<f64>) -> Result<Self, Error> {
        if lambdas.len() != partners.len() {
            return Err(Error::argument(
                "lambdas",
                format!("{} lambdas", lambdas.len()),
                format!("one for each of the batch's {} samples", partners.len()),
            ));
        }
        Self::checked(partners, lambdas)
    }

    /// `lambdas` are one, or one for each of `partners`.
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

    /// The permutation: sample `i` is mixed with sample `partners()[i]`.
    pub fn partners(&self) -> &[usize] {
        &self.partners
    }

    /// One lambda for the batch, or one for each sample.
    pub fn lambdas(&self) -> &[f64] {
        &self.lambdas
    }

    /// The share of a sample that is its own, in `0..=1`.
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

    /// Whether nothing is mixed: each sample is its own partner or keeps all of itself.
    pub fn is_identity(&self) -> bool {
        (self.partners.iter().enumerate())
            .all(|(sample, &partner)| partner == sample || self.lambda(sample) == 1.0)
    }

    /// Where a sample's lambda is.
    pub(super) fn entry(&self, sample: usize) -> usize {
        assert!(sample < self.batch(), "sample {sample} of {}", self.batch());
        match self.lambdas.len() {
            1 => 0,
            _ => sample,
        }
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

/// A mixture as stored, before it is checked.
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
