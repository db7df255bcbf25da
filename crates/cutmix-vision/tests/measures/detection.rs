//! The area under the ROC curve, against all pairs.

use burn::tensor::{Device, Tensor};
use cutmix_train::WithForward;
use cutmix_vision::measures::{Detection, auroc, confidences};
use proptest::prelude::*;

use super::Images;

#[test]
fn the_area_of_known_numbers_is_known() {
    assert_eq!(auroc(&[3.0, 2.0], &[1.0, 0.0]), Some(1.0));
    assert_eq!(auroc(&[0.0], &[1.0, 2.0]), Some(0.0));
    assert_eq!(auroc(&[1.0, 1.0], &[1.0]), Some(0.5));
    // Pairs in order: 0.9 with all, 0.4 with one, and a tie.
    assert_eq!(auroc(&[0.9, 0.4], &[0.4, 0.8, 0.1]), Some(4.5 / 6.0));
    assert_eq!(auroc(&[], &[1.0]), None);
    assert_eq!(auroc(&[1.0], &[]), None);
    assert_eq!(Detection::new(&[], &[1.0]), None);
}

proptest! {
    #[test]
    fn the_area_is_the_share_of_the_pairs_in_order_with_ties_as_halves(
        high in prop::collection::vec(0u8..12, 1..40),
        low in prop::collection::vec(0u8..12, 1..40),
    ) {
        let mut expected = 0.0;
        for a in &high {
            for b in &low {
                expected += match a.cmp(b) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let [high, low] = [high, low].map(|all| all.into_iter().map(f64::from).collect::<Vec<_>>());
        expected /= (high.len() * low.len()) as f64;
        prop_assert_eq!(auroc(&high, &low), Some(expected));
        let swapped = auroc(&low, &high).unwrap();
        prop_assert!((swapped + expected - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_confidence_is_the_highest_softmax_probability_whatever_the_class() {
    let device = Device::default();
    let model = WithForward::new(burn::nn::Relu::new(), |_, images: Tensor<4>| {
        images.flatten(1, 3)
    });
    let logits = [[1.0, 3.0, 4.0], [1.0, 1.0, 1.0], [8.0, 1.0, 1.0f32]];
    let pixels = logits
        .as_flattened()
        .iter()
        .map(|share| share.ln())
        .collect();
    let images = Images::new([3, 1, 1], pixels, vec![0, 1, 2]).in_batches_of(2);
    let found = confidences(&model, &images, &device).unwrap();
    for (found, expected) in found.iter().zip([0.5, 1.0 / 3.0, 0.8]) {
        assert!((found - expected).abs() < 1e-6);
    }
    let detection = Detection::new(&found, &[0.4, 0.1]).unwrap();
    assert_eq!((detection.images, detection.unlike_images), (3, 2));
    assert_eq!(detection.auroc, 5.0 / 6.0);
}
