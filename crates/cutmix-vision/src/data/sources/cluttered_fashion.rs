//! Garments of Fashion-MNIST over fragments of others, made by a generator.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use cutmix::plan::Stream;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::fashion_mnist;
use crate::data::source::{Content, Label};
use crate::data::{DataError, Dataset, Image, Rect, Size, Source, Splits, View};

/// Height and width of an image in pixels.
const SIDE: usize = 64;
/// Height and width to which the garment's own image is resized.
const GARMENT: RangeInclusive<usize> = 20..=44;
/// Number of fragments in an image.
const FRAGMENTS: usize = 12;
/// Height and width of a fragment.
const FRAGMENT: RangeInclusive<usize> = 8..=14;
/// The least value of a pixel of a garment. Those of the background are 0 or, rarely, little above.
const VISIBLE: u8 = 16;
/// Seed of the images; another one would make another data set. Seeds of runs are small numbers, so none
/// of them draws as this one does.
const SEED: u64 = 0x636c_7574_7465_7265;

/// Cluttered Fashion-MNIST: an image for each one of [`fashion_mnist()`], with its label. One garment at
/// a random place and scale lies over fragments of other garments of the same set; the images are
/// grey, 64 x 64. [`Dataset::object_box`] gives the smallest box that holds all visible pixels of the
/// garment.
///
/// Each image is made when it is read, as a function of its set and its number alone, so that it is
/// the same in every run, on every platform and by any number of threads. The image of the garment, 28
/// x 28, is resized to 20 to 44 pixels, and lies inside the image as a whole. The fragments are 12
/// boxes of 8 to 14 pixels in height and width, cut out of other images at random.
///
/// ```
/// let splits = cutmix_vision::cluttered_fashion();
/// assert_eq!((splits.train.len(), splits.train.shape()), (10_000, [1, 64, 64]));
/// assert_eq!(splits.train.label(0), cutmix_vision::fashion_mnist().train.label(0));
/// let garment = splits.train.object_box(0)?.expect("each image has a garment");
/// assert!(garment.height <= 44 && garment.top + garment.height <= 64);
/// # Ok::<(), cutmix_vision::DataError>(())
/// ```
///
/// After cluttered MNIST: Mnih, Heess, Graves, Kavukcuoglu, "Recurrent Models of Visual Attention",
/// NeurIPS 2014, section 4.1.
pub fn cluttered_fashion() -> Splits {
    static SPLITS: OnceLock<Splits> = OnceLock::new();
    let make = || make().expect("the embedded sets have labels of their classes");
    SPLITS.get_or_init(make).clone()
}

fn make() -> Result<Splits, DataError> {
    let cluttered = |name, lane, garments: Dataset| {
        let classes = garments.classes().to_vec();
        let stream = Stream::new(SEED).lane(lane);
        let source = Cluttered {
            name,
            stream,
            garments,
        };
        Dataset::from_source(classes, View::new([1, SIDE, SIDE]), Arc::new(source))
    };
    let Splits { train, test, .. } = fashion_mnist();
    let splits = Splits::new(cluttered("train", 0, train)?);
    match test {
        Some(test) => Ok(splits.with_test(cluttered("test", 1, test)?)),
        None => Ok(splits),
    }
}

/// The images of one set.
#[derive(Debug)]
struct Cluttered {
    name: &'static str,
    stream: Stream,
    garments: Dataset,
}

impl Cluttered {
    /// The image of sample `index`, and the box of the visible pixels of its garment.
    fn draw(&self, index: usize) -> Result<(Image, Option<Rect>), DataError> {
        let mut rng = self.stream.at(index as u64);
        let mut image = Image::filled(Size::new(SIDE, SIDE), 1, [0; 3])?;
        for _ in 0..FRAGMENTS {
            self.draw_fragment(index, &mut image, &mut rng)?;
        }
        let side = rng.random_range(GARMENT);
        let garment = resized(&self.garments.image(index)?, side)?;
        let corner = [
            rng.random_range(0..=SIDE - side),
            rng.random_range(0..=SIDE - side),
        ];
        let visible = paste(&garment, Rect::whole(garment.size()), &mut image, corner);
        Ok((image, visible))
    }

    /// Draws a part of another garment.
    fn draw_fragment(
        &self,
        index: usize,
        image: &mut Image,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), DataError> {
        // Any of the others.
        let other = rng.random_range(0..self.garments.len() - 1);
        let garment = self.garments.image(other + usize::from(other >= index))?;
        let Size { height, width } = garment.size();
        let size = Size::new(rng.random_range(FRAGMENT), rng.random_range(FRAGMENT));
        let part = Rect {
            top: rng.random_range(0..=height - size.height),
            left: rng.random_range(0..=width - size.width),
            ..Rect::whole(size)
        };
        let corner = [size.height, size.width].map(|side| rng.random_range(0..=SIDE - side));
        paste(&garment, part, image, corner);
        Ok(())
    }
}

impl Source for Cluttered {
    fn len(&self) -> usize {
        self.garments.len()
    }

    fn name(&self, index: usize) -> String {
        format!("{}#{index}", self.name)
    }

    fn label(&self, index: usize) -> Label {
        self.garments.label(index)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        Ok(Content::Image(self.draw(index)?.0))
    }

    fn object_box(&self, index: usize) -> Option<Rect> {
        self.draw(index).ok()?.1
    }

    fn bytes(&self, _: usize) -> u64 {
        (SIDE * SIDE) as u64
    }

    // Making an image takes about 20 microseconds on a core, which is not worth a cache.
    fn is_in_memory(&self) -> bool {
        true
    }
}

/// Draws the visible pixels of a part of a garment on an image, the part's first one at `corner`, and
/// returns the smallest box of the image that holds them.
fn paste(garment: &Image, part: Rect, image: &mut Image, [top, left]: [usize; 2]) -> Option<Rect> {
    let from = garment.size().width;
    let to = image.size().width;
    let [mut first_row, mut first_column] = [usize::MAX; 2];
    let [mut last_row, mut last_column] = [0; 2];
    for row in 0..part.height {
        for column in 0..part.width {
            let value = garment.pixels()[(part.top + row) * from + part.left + column];
            if value >= VISIBLE {
                let (row, column) = (top + row, left + column);
                image.pixels_mut()[row * to + column] = value;
                first_row = first_row.min(row);
                first_column = first_column.min(column);
                last_row = last_row.max(row);
                last_column = last_column.max(column);
            }
        }
    }
    (first_row <= last_row).then(|| Rect {
        top: first_row,
        left: first_column,
        height: last_row - first_row + 1,
        width: last_column - first_column + 1,
    })
}

/// A square grey image resized to the side `side`, bilinear. Whole numbers make the same pixels on every
/// platform, which vectors of floating-point numbers need not.
fn resized(image: &Image, side: usize) -> Result<Image, DataError> {
    let from = image.size().width;
    // Of a place in the result, the two pixels around it and the weight of the second, in parts of
    // `2 * side`.
    let around = |at: usize| {
        let place = ((2 * at + 1) * from).saturating_sub(side);
        let (first, weight) = (place / (2 * side), place % (2 * side));
        (first, (first + 1).min(from - 1), weight)
    };
    let whole = 2 * side;
    let mut pixels = Vec::with_capacity(side * side);
    for row in 0..side {
        let (above, below, down) = around(row);
        for column in 0..side {
            let (left, right, across) = around(column);
            let pixel =
                |row: usize, column: usize| usize::from(image.pixels()[row * from + column]);
            let between = |row| pixel(row, left) * (whole - across) + pixel(row, right) * across;
            let sum = between(above) * (whole - down) + between(below) * down;
            pixels.push(((sum + whole * whole / 2) / (whole * whole)) as u8);
        }
    }
    Image::new(Size::new(side, side), 1, pixels)
}
