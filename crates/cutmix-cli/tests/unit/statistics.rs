use super::{Difference, Mean};

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-3, "{found}, not {expected}");
}

/// By hand: mean 3, deviation 1.5811, and 2.7764 for four degrees of freedom.
#[test]
fn a_mean_and_its_interval_are_those_of_students_distribution() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0];
    let mean = Mean::of(&values).unwrap();
    close(mean.mean, 3.0);
    // The deviation over the root of 5.
    let standard = 1.5811 / 5f64.sqrt();
    close(mean.standard_error.unwrap(), standard);
    let difference = Difference::of(&values).unwrap();
    let [low, high] = difference.interval.unwrap();
    close(low, 3.0 - 2.7764 * standard);
    close(high, 3.0 + 2.7764 * standard);
    assert!(difference.is_clear());
}

#[test]
fn one_seed_has_no_interval_and_none_has_no_mean() {
    let difference = Difference::of(&[0.4]).unwrap();
    assert_eq!(
        (
            difference.runs,
            difference.interval,
            difference.seeds_needed
        ),
        (1, None, None)
    );
    assert!(!difference.is_clear());
    assert_eq!(Mean::of(&[7.0]).unwrap().standard_error, None);
    assert_eq!(Mean::of(&[]), None);
    assert_eq!(Difference::of(&[]), None);
}

/// From the noncentral t distribution of scipy 1.17: the first number with a power of 80 %.
#[test]
fn the_seeds_that_are_needed_are_those_of_the_noncentral_t_distribution() {
    let of = |mean: f64| {
        // Deviation 1.
        let half = (3.0f64 / 4.0).sqrt();
        let values = [-half, half, -half, half].map(|value| mean + value);
        Difference::of(&values).unwrap().seeds_needed
    };
    for (mean, seeds) in [
        (20.0, 2),
        (10.0, 3),
        (4.0, 3),
        (3.0, 4),
        (2.0, 5),
        (1.5, 6),
        (1.0, 10),
        (-1.0, 10),
        (0.5, 34),
        (0.2, 199),
        (0.1, 787),
    ] {
        assert_eq!(of(mean), Some(seeds), "{mean}");
    }
    assert_eq!(of(0.001), None);
}

#[test]
fn equal_seeds_need_no_more_than_two() {
    let difference = Difference::of(&[0.5, 0.5, 0.5]).unwrap();
    assert_eq!(difference.interval, Some([0.5, 0.5]));
    assert_eq!(difference.seeds_needed, Some(2));
    let none = Difference::of(&[0.0, 0.0, 0.0]).unwrap();
    assert_eq!((none.seeds_needed, none.is_clear()), (None, false));
}
