//! Where the object of an image is, before and after the view.

use std::fs;
use std::sync::Arc;

use cutmix_vision::data::augment::{Frame, Transform};
use cutmix_vision::{
    ClassMap, Content, DataError, Dataset, Fit, Image, Label, Manifest, Rect, Size, Source, Splits,
    View,
};
use proptest::prelude::*;
use tempfile::tempdir;

/// Grey images of a size, of which the even ones have a known box.
#[derive(Debug)]
struct Boxes {
    size: Size,
    boxes: Vec<Option<Rect>>,
}

impl Source for Boxes {
    fn len(&self) -> usize {
        self.boxes.len()
    }

    fn name(&self, index: usize) -> String {
        format!("#{index}")
    }

    fn label(&self, index: usize) -> Label {
        Label::Class(index % 2)
    }

    fn content(&self, _: usize) -> Result<Content<'_>, DataError> {
        Ok(Content::Image(Image::filled(self.size, 1, [0; 3])?))
    }

    fn object_box(&self, index: usize) -> Option<Rect> {
        self.boxes[index]
    }
}

fn rect(top: usize, left: usize, height: usize, width: usize) -> Rect {
    Rect {
        top,
        left,
        height,
        width,
    }
}

fn set(size: Size, view: View, boxes: Vec<Option<Rect>>) -> Dataset {
    let classes = vec!["a".into(), "b".into()];
    Dataset::from_source(classes, view, Arc::new(Boxes { size, boxes })).unwrap()
}

/// Where the box of an image of 40 x 60 pixels is in a view of 20 x 20.
fn seen(region: Rect, fit: Fit, crop_share: f64) -> Option<Rect> {
    let view = View::new([1, 20, 20])
        .with_fit(fit)
        .with_crop_share(crop_share);
    let set = set(Size::new(40, 60), view, vec![Some(region)]);
    set.object_box(0).unwrap()
}

#[test]
fn a_box_is_resized_cut_and_shifted_with_its_image() {
    let region = rect(10, 20, 8, 12);
    // The middle 40 columns at half their size.
    assert_eq!(seen(region, Fit::Crop, 1.0), Some(rect(5, 5, 4, 6)));
    // Of 25 x 37 pixels the 20 x 20 in the middle.
    assert_eq!(seen(region, Fit::Crop, 0.8), Some(rect(4, 4, 6, 8)));
    // All columns, and 13 rows between margins of 3 and 4.
    assert_eq!(seen(region, Fit::Pad, 1.0), Some(rect(6, 6, 3, 5)));
    assert_eq!(seen(region, Fit::Stretch, 1.0), Some(rect(5, 6, 4, 5)));
}

#[test]
fn a_box_is_cut_to_what_is_seen_of_its_image() {
    let over_the_edge = rect(30, 5, 50, 10);
    assert_eq!(seen(over_the_edge, Fit::Crop, 1.0), Some(rect(15, 0, 5, 3)));
    for lost in [
        rect(0, 0, 40, 10),
        rect(40, 20, 4, 4),
        rect(9, 30, 0, 5),
        rect(usize::MAX, 30, 5, 5),
    ] {
        assert_eq!(seen(lost, Fit::Crop, 1.0), None, "{lost}");
    }
    let everything = rect(0, 0, usize::MAX, usize::MAX);
    assert_eq!(seen(everything, Fit::Crop, 0.5), Some(rect(0, 0, 20, 20)));
}

proptest! {
    /// The pixels of a map that move with those of the image, by nearest neighbour.
    #[test]
    fn a_box_holds_the_pixels_that_show_the_object_and_less_than_one_beyond(
        (height, width) in (1usize..90, 1usize..90),
        (to_height, to_width) in (1usize..40, 1usize..40),
        (top, left) in (0usize..90, 0usize..90),
        (rows, columns) in (1usize..90, 1usize..90),
        fit in prop::sample::select(vec![Fit::Crop, Fit::Pad, Fit::Stretch]),
        crop_share in 0.3f64..=1.0,
    ) {
        let size = Size::new(height, width);
        let target = Size::new(to_height, to_width);
        let region = rect(top, left, rows, columns);
        let view = View::new([1, to_height, to_width]).with_fit(fit).with_crop_share(crop_share);
        let found = set(size, view, vec![Some(region)]).object_box(0).unwrap();

        let is_inside = |at: usize| {
            (top..top + rows).contains(&(at / width)) && (left..left + columns).contains(&(at % width))
        };
        let shows = (0..size.area()).map(|at| u16::from(is_inside(at))).collect();
        let mut map = ClassMap::new(size, shows, 255).unwrap();
        let frame = Frame { size, target, mean: [0; 3] };
        for transform in fit.transforms(&frame, crop_share).unwrap() {
            map = Transform::apply_to_map(&transform, map).unwrap();
        }
        let shown = (0..target.area()).filter(|&at| map.classes()[at] == 1);
        let shown: Vec<_> = shown.map(|at| [at / to_width, at % to_width]).collect();
        let ends = |axis: usize| {
            let places = shown.iter().map(|place| place[axis]);
            Some((places.clone().min()?, places.max()? + 1))
        };
        let Some(found) = found else {
            prop_assert_eq!(ends(0), None);
            return Ok(());
        };
        let found = [(found.top, found.top + found.height), (found.left, found.left + found.width)];
        for (axis, (start, end)) in found.into_iter().enumerate() {
            prop_assert!(start < end && end <= [to_height, to_width][axis]);
            match ends(axis) {
                Some((first, last)) => {
                    prop_assert!(start <= first && first <= start + 1, "{start} {first}");
                    prop_assert!(last <= end && end <= last + 1, "{last} {end}");
                }
                // Smaller than a pixel in one of both axes.
                None => {
                    let smallest = found.iter().map(|(start, end)| end - start).min();
                    prop_assert!(smallest <= Some(2), "{found:?}");
                }
            }
        }
    }
}

#[test]
fn boxes_stay_with_their_samples_in_every_selection() {
    let boxes: Vec<_> = (0..12)
        .map(|at| (at % 2 == 0).then(|| rect(at, at, 1, 1)))
        .collect();
    let set = set(Size::new(20, 20), View::new([1, 20, 20]), boxes);
    let check = |set: &Dataset| {
        for at in 0..set.len() {
            let number: usize = set.name(at)[1..].parse().unwrap();
            let expected = number.is_multiple_of(2).then(|| rect(number, number, 1, 1));
            assert_eq!(set.object_box(at).unwrap(), expected);
        }
    };
    check(&set);
    check(&set.subset(&[7, 2, 2, 0]).unwrap());
    check(&set.truncate(5));
    let (train, val) = set.split(0.3, 1).unwrap();
    check(&train);
    check(&val);
    let renamed = set.with_classes(vec!["b".into(), "a".into()], vec![1, 0]);
    check(&renamed.unwrap());
    let splits = Splits::new(train).with_val(val);
    let (again, _) = Manifest::of(&splits).apply(&Splits::new(set.clone()));
    again.sets().for_each(check);

    assert!(set.has_boxes());
    assert!(!set.subset(&[1, 3]).unwrap().has_boxes());
    assert!(!set.truncate(0).has_boxes());
    let error = set.object_box(12).unwrap_err().to_string();
    assert_eq!(
        error,
        "index is 12, expected below the number of samples, 12"
    );
}

#[test]
fn the_size_of_a_file_is_that_of_its_header() {
    /// A file in which the object is in the lower half.
    #[derive(Debug)]
    struct File(Vec<u8>);

    impl Source for File {
        fn len(&self) -> usize {
            1
        }

        fn name(&self, _: usize) -> String {
            "file".into()
        }

        fn label(&self, _: usize) -> Label {
            Label::Class(0)
        }

        fn content(&self, _: usize) -> Result<Content<'_>, DataError> {
            Ok(Content::File(self.0.as_slice().into()))
        }

        fn object_box(&self, _: usize) -> Option<Rect> {
            Some(rect(20, 0, 20, 60))
        }
    }

    let dir = tempdir().unwrap();
    let path = dir.path().join("a.png");
    image::GrayImage::new(60, 40).save(&path).unwrap();
    let bytes = fs::read(path).unwrap();
    let open = |bytes| {
        let view = View::new([1, 20, 20]).with_fit(Fit::Stretch);
        let set = Dataset::from_source(vec!["a".into()], view, Arc::new(File(bytes)));
        set.unwrap().object_box(0)
    };
    assert_eq!(open(bytes).unwrap(), Some(rect(10, 0, 10, 20)));
    let error = open(b"no image".to_vec()).unwrap_err();
    assert!(error.is_of_image(), "{error}");
}
