//! Cluttered Fashion-MNIST: garments, their boxes, and that every run has the same.

use std::collections::HashSet;

use cutmix_vision::{Dataset, Image, Rect, View, cluttered_fashion, fashion_mnist};
use rayon::prelude::*;

/// Each set with that of the garments.
fn sets() -> [(Dataset, Dataset); 2] {
    let (cluttered, garments) = (cluttered_fashion(), fashion_mnist());
    [
        (cluttered.train, garments.train),
        (cluttered.test.unwrap(), garments.test.unwrap()),
    ]
}

fn box_of(set: &Dataset, index: usize) -> Rect {
    let found = set.object_box(index).unwrap();
    found.expect("each image has a garment")
}

#[test]
fn every_image_has_the_label_and_the_name_of_its_garment() {
    for (cluttered, garments) in sets() {
        assert_eq!(cluttered.shape(), [1, 64, 64]);
        assert_eq!(cluttered.classes(), garments.classes());
        assert!(cluttered.labels().eq(garments.labels()));
        assert_eq!(cluttered.name(7), garments.name(7));
        assert!(cluttered.has_boxes() && !garments.has_boxes());
        assert!(!cluttered.is_of_files());
    }
    let splits = cluttered_fashion().split_val(0.1, 3).unwrap();
    let val = splits.val.unwrap();
    assert_eq!((splits.train.len(), val.len()), (9_000, 1_000));
    assert!(val.has_boxes());
}

/// The visible pixels of a garment that is resized to the side `side`: row, column and value.
fn visible(garment: &Image, side: usize) -> Vec<[usize; 3]> {
    let around = |at: usize| {
        let place = ((at as f64 + 0.5) * 28.0 / side as f64 - 0.5).max(0.0);
        let first = place.floor() as usize;
        (first, (first + 1).min(27), place.fract())
    };
    let pixel = |row: usize, column: usize| f64::from(garment.pixels()[row * 28 + column]);
    let mut found = Vec::new();
    for row in 0..side {
        let (above, below, down) = around(row);
        for column in 0..side {
            let (left, right, across) = around(column);
            let between = |row| pixel(row, left) * (1.0 - across) + pixel(row, right) * across;
            let value = between(above) * (1.0 - down) + between(below) * down;
            // Rounding must not push a half down.
            let value = (value + 0.5 + 1e-9) as usize;
            if value >= 16 {
                found.push([row, column, value]);
            }
        }
    }
    found
}

/// Whether the visible pixels of a garment of the side `side` are in an image, with `region` as the
/// smallest box around them.
fn is_shown(garment: &Image, side: usize, image: &Image, region: Rect) -> bool {
    let visible = visible(garment, side);
    let ends = |axis: usize| {
        let places = visible.iter().map(|pixel| pixel[axis]);
        (places.clone().min().unwrap(), places.max().unwrap() + 1)
    };
    let [(top, bottom), (left, right)] = [0, 1].map(ends);
    let is_inside = region.top >= top
        && region.left >= left
        && region.top - top + side <= 64
        && region.left - left + side <= 64;
    (region.height, region.width) == (bottom - top, right - left)
        && is_inside
        && visible.iter().all(|&[row, column, value]| {
            let at = (region.top + row - top) * 64 + region.left + column - left;
            usize::from(image.pixels()[at]) == value
        })
}

#[test]
fn every_garment_is_whole_and_its_box_is_tight() {
    for (cluttered, garments) in sets() {
        let mut sides: Vec<_> = (0..cluttered.len())
            .into_par_iter()
            .map(|index| {
                let image = cluttered.image(index).unwrap();
                let garment = garments.image(index).unwrap();
                let region = box_of(&cluttered, index);
                let is_shown = |side: &usize| is_shown(&garment, *side, &image, region);
                // Most garments fill their own image, so that the first one is theirs.
                let least = region.height.max(region.width).max(20);
                let side = (least..=44).find(is_shown);
                side.unwrap_or_else(|| panic!("{} is not in {region}", cluttered.name(index)))
            })
            .collect();
        sides.sort_unstable();
        let (smallest, median, largest) =
            (sides[0], sides[sides.len() / 2], sides[sides.len() - 1]);
        assert_eq!((smallest, median, largest), (20, 32, 44));
    }
}

#[test]
fn garments_are_anywhere_among_other_bright_pixels() {
    for (cluttered, _) in sets() {
        let (mut corners, mut lit, mut outside) = (HashSet::new(), 0usize, 0usize);
        for index in 0..1_000 {
            let region = box_of(&cluttered, index);
            corners.insert([region.top / 8, region.left / 8]);
            let image = cluttered.image(index).unwrap();
            for row in 0..64usize {
                for column in 0..64usize {
                    let is_inside = row.wrapping_sub(region.top) < region.height
                        && column.wrapping_sub(region.left) < region.width;
                    if !is_inside {
                        outside += 1;
                        lit += usize::from(image.pixels()[row * 64 + column] > 0);
                    }
                }
            }
        }
        assert!(corners.len() > 25, "{corners:?}");
        let share = lit as f64 / outside as f64;
        assert!((0.1..0.4).contains(&share), "{share}");
    }
}

#[test]
fn images_are_the_same_in_every_run_and_in_any_order() {
    let digests = sets().map(|(cluttered, _)| {
        let read = |index: usize| (cluttered.image(index).unwrap(), box_of(&cluttered, index));
        let together: Vec<_> = (0..500).into_par_iter().map(read).collect();
        let mut backwards: Vec<_> = (0..500).rev().map(read).collect();
        backwards.reverse();
        assert!(together == backwards);
        fletcher(&together)
    });
    assert_eq!(digests, DIGESTS);
}

// Of the first 500 images of each set, with their boxes.
const DIGESTS: [(u64, u64); 2] = [
    (94_040_609, 96_219_350_288_666),
    (94_069_410, 96_003_590_991_499),
];

/// The sum of all pixels and boxes, and the sum of its partial sums: a checksum that sees order.
fn fletcher(images: &[(Image, Rect)]) -> (u64, u64) {
    let mut sums = (0u64, 0u64);
    for (image, region) in images {
        let corners = [region.top, region.left, region.height, region.width];
        let pixels = image.pixels().iter().map(|&pixel| u64::from(pixel));
        for value in pixels.chain(corners.map(|corner| corner as u64)) {
            sums.0 += value;
            sums.1 = sums.1.wrapping_add(sums.0);
        }
    }
    sums
}

#[test]
fn boxes_follow_the_view() {
    let set = cluttered_fashion().train.truncate(50);
    let half = set.clone().with_view(View::new([1, 32, 32])).unwrap();
    let middle = View::new([1, 32, 32]).with_crop_share(0.5);
    let middle = set.clone().with_view(middle).unwrap();
    let mut lost = 0;
    for index in 0..set.len() {
        let own = box_of(&set, index);
        let halved = |start: usize, length: usize| (start / 2, (start + length).div_ceil(2));
        let seen = box_of(&half, index);
        assert_eq!(
            (seen.top, seen.top + seen.height),
            halved(own.top, own.height)
        );
        assert_eq!(
            (seen.left, seen.left + seen.width),
            halved(own.left, own.width)
        );
        // The middle 32 x 32 pixels in their own size.
        let cut = |start: usize, length: usize| {
            let (start, end) = (
                start.max(16) - 16,
                (start + length).min(48).saturating_sub(16),
            );
            (start < end).then_some((start, end))
        };
        let expected = cut(own.top, own.height).zip(cut(own.left, own.width));
        let seen = middle.object_box(index).unwrap();
        let seen = seen.map(|seen| {
            let rows = (seen.top, seen.top + seen.height);
            (rows, (seen.left, seen.left + seen.width))
        });
        assert_eq!(seen, expected);
        lost += usize::from(seen.is_none());
    }
    assert!(lost < 10, "{lost}");
}
