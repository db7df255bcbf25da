//! Tests of the picture of a confusion matrix.

use image::RgbImage;

use super::*;

/// A result in which most images of each of so many classes are predicted as it, some as the next one, and
/// few as another.
fn result(classes: usize) -> SingleLabel {
    let names: Vec<_> = (0..classes).map(|class| format!("class {class}")).collect();
    let mut result = SingleLabel::new(&names, &[], &[]);
    for image in 0..20 * classes {
        let class = image / 20;
        let predicted = match image % 20 {
            0..=14 => class,
            15..=18 => (class + 1) % classes,
            _ => (7 * class + 3) % classes,
        };
        result.confusion.count(class, predicted);
    }
    result
}

fn picture(result: &SingleLabel) -> RgbImage {
    let png = png("shapes, test set", result).unwrap();
    image::load_from_memory(&png).unwrap().to_rgb8()
}

fn layout(result: &SingleLabel) -> Layout {
    let names: Vec<_> = result
        .classes
        .iter()
        .map(|row| row.class.as_str())
        .collect();
    Layout::new(&names, &result.confusion)
}

#[test]
fn matrices_of_any_size_are_readable() {
    for classes in [2, 10, 30, 100, 300, 1000, 2500] {
        let result = result(classes);
        let layout = layout(&result);
        let picture = picture(&result);
        assert!(picture.width().max(picture.height()) < 2300, "{classes}");
        // The top left of a cell has no count on it.
        let color = |row: usize, column: usize| {
            let at = |start: usize, cell: usize| (start + cell * layout.cell + 1) as u32;
            picture
                .get_pixel(at(layout.left, column), at(layout.top, row))
                .0
        };
        let [right, wrong] = [color(0, 0), color(0, 1)];
        assert!(right[2] > right[0], "{classes}: {right:?}");
        assert!(wrong[0] > wrong[2], "{classes}: {wrong:?}");
        assert_eq!(layout.count_size.is_some(), classes <= WITH_COUNTS);
        assert_eq!(layout.name_size.is_some(), classes <= WITH_NAMES);
    }
}

#[test]
fn what_is_left_out_is_said() {
    assert!(layout(&result(100)).foot().is_empty());
    let foot = layout(&result(2500)).foot();
    assert!(
        foot[0].starts_with("2,500 classes, too many for their names"),
        "{foot:?}"
    );
    assert!(foot[1].contains("3 neighbouring classes"), "{foot:?}");
}

#[test]
fn shared_cells_hold_all_images() {
    let result = result(2500);
    let layout = layout(&result);
    let counts = counts(&result.confusion, &layout);
    assert_eq!(counts.len(), 834);
    assert_eq!(counts.iter().flatten().sum::<usize>(), 20 * 2500);
    // 15 of each of three classes are right, and 4 of two of them are in the same cell.
    assert_eq!(counts[1][1], 3 * 15 + 2 * 4);
}

#[test]
fn long_names_and_large_counts_fit() {
    let mut result = result(3);
    result.classes[1].class =
        "a name that is much longer than the room that there is for one".repeat(3);
    for _ in 0..1_234_567 {
        result.confusion.count(0, 2);
    }
    let layout = layout(&result);
    assert!(layout.left < 300 && layout.cell > text_width(16, "1,234,567"));
    picture(&result);
}
