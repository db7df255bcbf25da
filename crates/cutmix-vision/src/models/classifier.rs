//! What all networks of this crate have.

use burn::nn::Linear;
use burn::tensor::Tensor;
use cutmix_train::Network;

/// What the backbone of a [`Classifier`] makes of images.
#[derive(Clone, Debug)]
pub struct Features {
    /// Features that belong to places in the images, `[N, C, h, w]`.
    pub map: Tensor<4>,
    /// Features that belong to no place, `[N, T, C]`, such as the class token of a transformer.
    pub tokens: Option<Tensor<3>>,
}

impl From<Tensor<4>> for Features {
    fn from(map: Tensor<4>) -> Self {
        Self { map, tokens: None }
    }
}

/// A network in two parts: a backbone, which makes features of images, and a head, the linear layer
/// that makes logits of them. Its logits are `head(pool(features(images)))`.
pub trait Classifier: Network {
    /// Features of images `[N, C, H, W]`, as deep in the network as they still belong to places.
    fn features(&self, images: Tensor<4>) -> Features;

    /// The numbers `[N, F]` that the head takes.
    fn pool(&self, features: Features) -> Tensor<2>;

    /// The last layer, from `F` numbers to `K` logits.
    fn head(&self) -> &Linear;
}

/// Implements [`Network`] for a [`Classifier`].
macro_rules! network {
    ($network:ty) => {
        impl $network {
            /// Logits `[N, K]` of images `[N, C, H, W]`.
            ///
            /// # Panics
            /// Where `C` is not the number of channels that the network was made for, or `H` or `W` is
            /// not one of its [sizes](crate::models::Architecture::sizes).
            pub fn forward(&self, images: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<2> {
                use $crate::models::Classifier;

                let features = self.features(images);
                self.head().forward(self.pool(features))
            }
        }

        impl cutmix_train::Network for $network {
            fn forward(&self, images: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<2> {
                Self::forward(self, images)
            }
        }
    };
}

pub(super) use network;
