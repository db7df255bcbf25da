use super::{Axis, Chart, Series, Shape};

fn labels(values: &[f64], range: Option<[f64; 2]>) -> Vec<String> {
    let axis = Axis::new(values.iter().copied(), range, [200.0, 0.0], 5);
    axis.ticks().map(|tick| axis.label(tick)).collect()
}

#[test]
fn numbers_at_an_axis_are_round_and_cover_the_values() {
    let accuracies = ["40", "50", "60", "70", "80", "90"];
    assert_eq!(labels(&[42.0, 87.31], None), accuracies);
    assert_eq!(
        labels(&[0.3, 0.7], Some([0.0, 1.0])),
        ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    );
    assert_eq!(
        labels(&[0.0001, 0.00031], Some([0.0, 0.0])),
        ["0.0000", "0.0001", "0.0002", "0.0003", "0.0004"]
    );
    assert_eq!(labels(&[3e-6], Some([0.0, 0.0]))[1], "1.0e-6");
    // One value, and none.
    assert!(labels(&[2.0], None).len() >= 3);
    assert_eq!(labels(&[], None).len(), 6);
}

#[test]
fn a_long_curve_is_drawn_with_its_ends_and_extremes() {
    // One peak and one hole among 10,000 points.
    let value = |at: usize| match at {
        4_321 => 9.0,
        6_789 => -9.0,
        at => (at % 7) as f64 / 7.0,
    };
    let of_length = |length: usize| Series {
        label: "training".into(),
        shape: Shape::Line,
        points: (0..length).map(|at| [at as f64, value(at)]).collect(),
    };
    let long = of_length(10_000);
    let drawn = long.drawn();
    assert!((500..=520).contains(&drawn.len()), "{}", drawn.len());
    for at in [0, 4_321, 6_789, 9_999] {
        assert!(drawn.contains(&[at as f64, value(at)]), "{at}");
    }
    assert!(drawn.is_sorted_by(|a, b| a[0] < b[0]));
    let text = |series: Series| {
        let chart = Chart {
            title: "Loss",
            description: "Loss over the epochs".into(),
            x_label: "epoch",
            y_range: None,
            series: vec![series],
            bands: Vec::new(),
        };
        chart.figure().into_string()
    };
    let words = format!("<figcaption>{} of 10,000 points are drawn", drawn.len());
    assert!(text(long).contains(&words));
    let short = text(of_length(512));
    assert!(!short.contains("figcaption"));
    let line = short.split("class=\"line s0\" d=\"").nth(1).unwrap();
    assert_eq!(line.split('"').next().unwrap().matches('L').count(), 511);
}

#[test]
fn a_chart_draws_finite_points_inside_its_frame() {
    let chart = Chart {
        title: "Loss",
        description: "Loss over the epochs".into(),
        x_label: "epoch",
        y_range: None,
        series: vec![
            Series {
                label: "training".into(),
                shape: Shape::Line,
                points: vec![[1.0, 2.0], [2.0, f64::NAN], [3.0, 1.0]],
            },
            Series {
                label: "a < b".into(),
                shape: Shape::Dots,
                points: vec![[2.0, f64::INFINITY]],
            },
        ],
        bands: Vec::new(),
    };
    let text = chart.figure().into_string();
    assert!(text.contains("d=\"M52.0 10.0L390.0 206.0\""), "{text}");
    assert!(
        text.contains("a &lt; b") && !text.contains("NaN") && !text.contains("inf"),
        "{text}"
    );
}
