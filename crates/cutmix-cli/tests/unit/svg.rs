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
    };
    let text = chart.figure().into_string();
    assert!(text.contains("d=\"M52.0 10.0L390.0 206.0\""), "{text}");
    assert!(
        text.contains("a &lt; b") && !text.contains("NaN") && !text.contains("inf"),
        "{text}"
    );
}
