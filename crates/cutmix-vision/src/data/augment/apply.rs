//! Applies a transform to an image or a map of classes.

use super::super::pixels::luma;
use super::super::{ClassMap, DataError, Image, Size};
use super::{Transform, color, geometry, hue, resize, sharpness};

impl Transform {
    /// Changes an image, in place where the pixels need not move to another size.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where [`check`](Self::check) refuses the size of the image.
    pub fn apply(&self, image: Image) -> Result<Image, DataError> {
        self.check(image.size())?;
        match *self {
            Self::Crop { region, to } if region.size() != to => resize::crop(&image, region, to),
            Self::Resize { to, window } => resize::window(&image, to, window),
            Self::Brightness(factor) => Ok(color::brightness(image, factor)),
            Self::Contrast(factor) => Ok(color::contrast(image, factor)),
            Self::Saturation(factor) => Ok(color::saturation(image, factor)),
            Self::Hue(share) => Ok(hue::turn(image, share)),
            Self::Sharpness(factor) => Ok(sharpness::sharpen(image, factor)),
            Self::Posterize(bits) => Ok(color::posterize(image, bits)),
            Self::Solarize(threshold) => Ok(color::solarize(image, threshold)),
            Self::AutoContrast => Ok(color::auto_contrast(image)),
            Self::Equalize => Ok(color::equalize(image)),
            Self::Invert => Ok(color::invert(image)),
            Self::Grayscale => Ok(color::grayscale(image)),
            Self::Erase { region, fill } => Ok(color::erase(image, region, fill)),
            Self::Crop { .. }
            | Self::Place { .. }
            | Self::MirrorHorizontally
            | Self::MirrorVertically
            | Self::Affine { .. } => self.move_image(image),
        }
    }

    /// Applies transforms one after the other.
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply).
    pub fn apply_all(transforms: &[Self], image: Image) -> Result<Image, DataError> {
        (transforms.iter()).try_fold(image, |image, transform| transform.apply(image))
    }

    /// Moves the classes of a map as [`apply`](Self::apply) moves the pixels of its image. A class is
    /// taken from the nearest pixel, [`ClassMap::ignored`] fills what is uncovered, and changes of
    /// colour and [`Erase`](Self::Erase) do nothing.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where [`check`](Self::check) refuses the size of the map.
    pub fn apply_to_map(&self, mut map: ClassMap) -> Result<ClassMap, DataError> {
        let (size, ignored) = (map.size(), map.ignored());
        self.check(size)?;
        match self.move_pixels(map.classes_mut(), size, ignored) {
            Some(classes) => ClassMap::new(self.output_size(size), classes, ignored),
            None => Ok(map),
        }
    }

    /// Applies a transform that mixes no pixels.
    fn move_image(&self, mut image: Image) -> Result<Image, DataError> {
        let (size, channels) = (image.size(), image.channels());
        let fill = match self {
            Self::Place { fill, .. } | Self::Affine { fill, .. } => *fill,
            _ => [0; 3],
        };
        let moved = match channels {
            1 => self.move_pixels(image.pixels_mut(), size, luma(fill)),
            _ => {
                let pixels = image.pixels_mut().as_chunks_mut().0;
                let moved = self.move_pixels(pixels, size, fill);
                moved.map(Vec::into_flattened)
            }
        };
        match moved {
            Some(pixels) => Image::new(self.output_size(size), channels, pixels),
            None => Ok(image),
        }
    }

    /// Moves pixels of any type by nearest neighbour. Returns those of a new image, or `None` where it
    /// changed `pixels` in place or has nothing to move.
    fn move_pixels<P: Copy>(&self, pixels: &mut [P], size: Size, fill: P) -> Option<Vec<P>> {
        match *self {
            Self::Crop { region, to } if region.size() != to => {
                Some(geometry::pick_region(pixels, size, region, to))
            }
            Self::Crop { to, .. } if to == size => None,
            Self::Crop { region, to } => {
                // Both fit in an `isize`, as they are inside of an image.
                let corner = [-(region.top as isize), -(region.left as isize)];
                Some(geometry::place(pixels, size, to, corner, fill))
            }
            Self::Resize { to, window } => Some(geometry::pick_window(pixels, size, to, window)),
            Self::Place {
                canvas, top, left, ..
            } => Some(geometry::place(pixels, size, canvas, [top, left], fill)),
            Self::MirrorHorizontally => {
                geometry::mirror_horizontally(pixels, size);
                None
            }
            Self::MirrorVertically => {
                geometry::mirror_vertically(pixels, size);
                None
            }
            Self::Affine { ref matrix, .. } => Some(geometry::affine(pixels, size, matrix, fill)),
            _ => None,
        }
    }
}
