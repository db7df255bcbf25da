//! Whether class activation maps find the objects.

use burn::tensor::Device;
use cutmix_train::{Batch, Error, Loader};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{check_each, classes, for_each_batch, read};
use crate::data::Size;
use crate::data::augment::Rect;
use crate::models::{Classifier, class_activation_map, upsample};

/// Overlap from which on an object counts as localised.
const LOCALISED: f64 = 0.5;

/// At which thresholds the parts of activation maps are said to be the objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct LocalisationConfig {
    /// Values of the maps, which are scaled to 0..=1, from which on a place belongs to the object.
    /// Default 0.05, 0.1, ..., 0.95.
    pub thresholds: Vec<f64>,
}

/// How well class activation maps find objects at a threshold.
///
/// The [map](class_activation_map) of the true class becomes a box by [`object_box`], and the object is
/// localised where the [`overlap`] of this with the true box is at least 0.5. The protocol is that of
/// Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", arXiv:2001.07437
/// (2020); Yun et al., arXiv:1905.04899, section 4.2, measure networks trained with CutMix so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Localisation {
    /// Number of images whose box is known.
    pub images: usize,
    /// Value of the scaled maps from which on a place belongs to the object, in 0..=1.
    pub threshold: f64,
    /// Share of the images whose object is localised, in 0..=1; 0 where there are none.
    pub known_class: f64,
    /// Share of the images whose object is localised and whose class is predicted, in 0..=1; 0 where
    /// there are none.
    pub top1: f64,
    /// Mean overlap with the true boxes, in 0..=1; 0 where there are none.
    pub mean_overlap: f64,
}

impl Default for LocalisationConfig {
    fn default() -> Self {
        Self {
            thresholds: (1..20).map(|step| f64::from(step) / 20.0).collect(),
        }
    }
}

/// What is found in an image.
struct Found {
    /// The overlap with the true box at each threshold.
    overlaps: Vec<f64>,
    /// Whether the class is predicted.
    is_right: bool,
}

/// What is counted at a threshold.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    images: usize,
    localised: usize,
    localised_and_right: usize,
    overlap: f64,
}

impl LocalisationConfig {
    /// The threshold where none can be chosen on other images.
    pub const USUAL_THRESHOLD: f64 = 0.2;

    /// The default thresholds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the thresholds.
    pub fn with_thresholds(self, thresholds: Vec<f64>) -> Self {
        Self { thresholds }
    }

    /// Measures a network on the images of `loader`, on `device`, where the network is: a result for each
    /// threshold, in order. `boxes` gives the true box of an image by its place among those of the loader,
    /// from 0, in pixels of the image that the network sees; images without a box do not count.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no threshold or one is out of range, or there is no image;
    /// [`Error::Mix`] where images have several classes; [`Error::Data`] where one cannot be read;
    /// [`Error::Device`] where the device fails.
    pub fn measure(
        &self,
        model: &impl Classifier,
        loader: &dyn Loader,
        boxes: impl Fn(usize) -> Option<Rect>,
        device: &Device,
    ) -> Result<Vec<Localisation>, Error> {
        self.check()?;
        let model = model.valid();
        let mut sums = vec![Sums::default(); self.thresholds.len()];
        let mut first = 0;
        for_each_batch(loader, device, |batch| {
            let places = first..first + batch.size();
            first = places.end;
            let boxes: Vec<_> = places.map(&boxes).collect();
            for found in self.find(&model, batch, &boxes)? {
                for (sums, overlap) in sums.iter_mut().zip(found.overlaps) {
                    sums.add(overlap, found.is_right);
                }
            }
            Ok(())
        })?;
        let results = self.thresholds.iter().zip(sums);
        let results = results.map(|(&threshold, sums)| sums.result(threshold));
        Ok(results.collect())
    }

    /// What is found in the images of a batch that have a box.
    fn find(
        &self,
        model: &impl Classifier,
        Batch { images, targets }: Batch,
        boxes: &[Option<Rect>],
    ) -> Result<Vec<Found>, Error> {
        if boxes.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let [_, _, height, width] = images.dims();
        let classes: Vec<i64> = read(classes(targets)?)?;
        let features = model.features(images);
        let logits = model.head().forward(model.pool(features.clone()));
        let predicted: Vec<i64> = read(logits.argmax(1))?;
        let known: Vec<_> = classes.iter().map(|&class| class as usize).collect();
        let maps = class_activation_map(model, features, &known).map_err(Error::other)?;
        let [_, rows, columns] = maps.dims();
        let (small, size) = (Size::new(rows, columns), Size::new(height, width));
        let maps: Vec<f32> = read(maps)?;
        let images = maps.par_chunks_exact(small.area()).zip(boxes).enumerate();
        let found = images.filter_map(|(image, (map, truth))| {
            let truth = (*truth)?;
            Some(Found {
                overlaps: self.overlaps(&upsample(map, small, size), size, truth),
                is_right: predicted[image] == classes[image],
            })
        });
        Ok(found.collect())
    }

    fn check(&self) -> Result<(), Error> {
        check_each("thresholds", &self.thresholds, 0.0..=1.0)
    }

    /// The overlap with the true box at each threshold, for the map of an image.
    fn overlaps(&self, map: &[f32], size: Size, truth: Rect) -> Vec<f64> {
        let found = self
            .thresholds
            .iter()
            .map(|&threshold| object_box(map, size, threshold));
        found
            .map(|found| found.map_or(0.0, |found| overlap(found, truth)))
            .collect()
    }
}

impl Sums {
    fn add(&mut self, overlap: f64, is_right: bool) {
        let is_localised = overlap >= LOCALISED;
        self.images += 1;
        self.localised += usize::from(is_localised);
        self.localised_and_right += usize::from(is_localised && is_right);
        self.overlap += overlap;
    }

    fn result(self, threshold: f64) -> Localisation {
        let share = |sum: f64| sum / self.images.max(1) as f64;
        Localisation {
            images: self.images,
            threshold,
            known_class: share(self.localised as f64),
            top1: share(self.localised_and_right as f64),
            mean_overlap: share(self.overlap),
        }
    }
}

impl Localisation {
    /// The result of the threshold with the highest share of localised objects, of equals the first;
    /// `None` where no box is known.
    pub fn best(results: &[Self]) -> Option<&Self> {
        // `max_by` takes the last of equals.
        let results = results.iter().filter(|result| result.images > 0).rev();
        results.max_by(|a, b| a.known_class.total_cmp(&b.known_class))
    }
}

/// The box of the object in a map of `size`, row by row: that of the largest connected region of pixels
/// whose value, scaled so that the lowest of the map is 0 and the highest is 1, is at least `threshold`.
/// Pixels touch at sides and corners; of equally large regions the first counts. `None` where the map has
/// the same value everywhere, or a value that is not finite.
///
/// ```
/// use cutmix_vision::Size;
/// use cutmix_vision::measures::object_box;
///
/// let map = [
///     0.0, 0.9, 0.0, 0.0, //
///     1.0, 0.0, 0.0, 0.7,
/// ];
/// let found = object_box(&map, Size::new(2, 4), 0.5).expect("the map is not even");
/// assert_eq!(found.to_string(), "rows 0..2, columns 0..2");
/// ```
///
/// # Panics
/// Where the map has not a value for each pixel.
pub fn object_box(map: &[f32], size: Size, threshold: f64) -> Option<Rect> {
    assert_eq!(map.len(), size.area(), "the number of values");
    let (low, high) = map
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    if !map.iter().all(|value| value.is_finite()) || low >= high {
        return None;
    }
    let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
    let is_object = |value: &f32| (f64::from(*value) - low) / range >= threshold;
    let mut is_left: Vec<_> = map.iter().map(is_object).collect();
    let mut largest: Option<Region> = None;
    for start in 0..map.len() {
        if is_left[start] {
            let region = Region::take(start, size.width, &mut is_left);
            if largest
                .as_ref()
                .is_none_or(|largest| region.pixels > largest.pixels)
            {
                largest = Some(region);
            }
        }
    }
    largest.map(|region| region.bounds)
}

/// Some connected pixels.
struct Region {
    pixels: usize,
    bounds: Rect,
}

impl Region {
    /// Takes the pixels that are connected with `start` out of those that are left.
    fn take(start: usize, width: usize, is_left: &mut [bool]) -> Self {
        let height = is_left.len() / width;
        let (mut rows, mut columns) = ([height, 0], [width, 0]);
        let mut pixels = 0;
        let mut waiting = vec![start];
        is_left[start] = false;
        while let Some(pixel) = waiting.pop() {
            let (row, column) = (pixel / width, pixel % width);
            pixels += 1;
            rows = [rows[0].min(row), rows[1].max(row + 1)];
            columns = [columns[0].min(column), columns[1].max(column + 1)];
            for near_row in row.saturating_sub(1)..(row + 2).min(height) {
                for near_column in column.saturating_sub(1)..(column + 2).min(width) {
                    let near = near_row * width + near_column;
                    if std::mem::take(&mut is_left[near]) {
                        waiting.push(near);
                    }
                }
            }
        }
        Self {
            pixels,
            bounds: Rect {
                top: rows[0],
                left: columns[0],
                height: rows[1] - rows[0],
                width: columns[1] - columns[0],
            },
        }
    }
}

/// The overlap of two boxes: the area of both together that is in both, as a share of it, in 0..=1
/// (intersection over union); 0 where both are empty.
pub fn overlap(a: Rect, b: Rect) -> f64 {
    let shared = |a: usize, a_length: usize, b: usize, b_length: usize| {
        (a + a_length).min(b + b_length).saturating_sub(a.max(b))
    };
    let both = shared(a.top, a.height, b.top, b.height) * shared(a.left, a.width, b.left, b.width);
    let union = a.size().area() + b.size().area() - both;
    both as f64 / union.max(1) as f64
}
