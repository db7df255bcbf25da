use cutmix_vision::{Image, Size};

use super::{COVER, Heat, color};

/// The lightness of a colour, about.
fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

#[test]
fn colours_become_lighter_in_even_steps() {
    let lumas: Vec<_> = (0..=20)
        .map(|step| luma(color(step as f32 / 20.0)))
        .collect();
    let steps = lumas.windows(2).map(|pair| pair[1] - pair[0]);
    let (least, most) = steps.fold((f32::MAX, f32::MIN), |(least, most), step| {
        (least.min(step), most.max(step))
    });
    assert!(least > 4.0 && most < 24.0, "{lumas:?}");
    assert_eq!(color(-1.0), color(0.0));
    assert_eq!(color(2.0), color(1.0));
}

#[test]
fn a_map_is_bilinear_between_the_middles_of_its_places() {
    let heat = Heat::new(Size::new(1, 2), vec![0.0, 4.0]);
    assert_eq!(heat.highest(), 4.0);
    let black = Image::new(Size::new(2, 8), 1, vec![0; 16]).unwrap();
    let over = heat.over(&black, 4.0);
    // The middles of the places are between the second and the third pixel and between the sixth
    // and the seventh.
    let shares = [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0];
    let expected =
        shares.map(|share| color(share).map(|ink| (COVER * f32::from(ink)).round() as u8));
    for row in over.pixels().chunks(3 * 8) {
        assert_eq!(row, expected.as_flattened());
    }
}

#[test]
fn what_speaks_against_a_class_has_the_colour_of_nothing() {
    let heat = Heat::new(Size::new(1, 1), vec![-3.0]);
    assert_eq!(heat.highest(), 0.0);
    let image = Image::new(Size::new(2, 2), 3, vec![100; 12]).unwrap();
    let over = heat.over(&image, heat.highest());
    let expected =
        color(0.0).map(|ink| (COVER * f32::from(ink) + (1.0 - COVER) * 100.0).round() as u8);
    assert_eq!(over.pixels(), [expected; 4].as_flattened());
}
