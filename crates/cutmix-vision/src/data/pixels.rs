//! Images and maps of classes in memory.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DataError;

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Size {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Size {
    /// Largest height and width of an image in memory, in pixels. The number of values of every
    /// image fits in 32 bits.
    pub const MAX_SIDE: usize = 32_767;

    /// Size of `height` rows and `width` columns.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Number of pixels of the shorter side.
    pub fn shorter_side(self) -> usize {
        self.height.min(self.width)
    }

    /// Checks that an image of this size can be held.
    pub(super) fn check(self, argument: &'static str) -> Result<(), DataError> {
        let sides = 1..=Self::MAX_SIDE;
        if sides.contains(&self.height) && sides.contains(&self.width) {
            return Ok(());
        }
        let expected = format!("sides of 1 to {} pixels", Self::MAX_SIDE);
        Err(DataError::argument(argument, self, expected))
    }
}

/// Height and width, as in `480 x 640`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.height, self.width)
    }
}

/// An image: rows of pixels, each of 1 (grey) or 3 (red, green, blue) values in 0..=255 side by
/// side.
///
/// ```
/// use cutmix_vision::data::{Image, Size};
///
/// let black_and_white = Image::new(Size::new(1, 2), 3, vec![0, 0, 0, 255, 255, 255])?;
/// assert_eq!(black_and_white.into_channels(1)?.pixels(), [0, 255]);
/// # Ok::<(), cutmix_vision::data::DataError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    size: Size,
    channels: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// Image of `size` with 1 or 3 `channels`, of `height * width * channels` values: all rows one
    /// after another, the values of a pixel side by side.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where a side is not in 1..=[`Size::MAX_SIDE`], `channels` is not 1 or
    /// 3, or `pixels` has another length.
    pub fn new(size: Size, channels: usize, pixels: Vec<u8>) -> Result<Self, DataError> {
        size.check("size")?;
        check_channels(channels)?;
        check_length("pixels", pixels.len(), size.area() * channels)?;
        Ok(Self {
            size,
            channels,
            pixels,
        })
    }

    /// Image of one colour: red, green and blue, of which an image with 1 channel has the grey value
    /// of [`into_channels`](Self::into_channels).
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where a side is not in 1..=[`Size::MAX_SIDE`] or `channels` is not 1
    /// or 3.
    pub fn filled(size: Size, channels: usize, color: [u8; 3]) -> Result<Self, DataError> {
        size.check("size")?;
        check_channels(channels)?;
        let pixels = match channels {
            1 => vec![luma(color); size.area()],
            _ => vec![color; size.area()].into_flattened(),
        };
        Self::new(size, channels, pixels)
    }

    /// Height and width.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Number of values of a pixel: 1 for grey, 3 for red, green and blue.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Values of all rows one after another, those of a pixel side by side.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Values of all rows one after another, to be changed.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Takes the values of all rows out of the image.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Image with 1 or 3 `channels` of the same content. The grey value of a colour is `0.299 red +
    /// 0.587 green + 0.114 blue`, rounded (ITU-R BT.601-7, section 2.5.1); a grey pixel has it three times
    /// as a colour.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where `channels` is not 1 or 3.
    pub fn into_channels(self, channels: usize) -> Result<Self, DataError> {
        check_channels(channels)?;
        let pixels = match (self.channels, channels) {
            (3, 1) => colors(&self.pixels).map(luma).collect(),
            (1, 3) => (self.pixels.iter()).flat_map(|&value| [value; 3]).collect(),
            _ => self.pixels,
        };
        Self::new(self.size, channels, pixels)
    }
}

/// Size and channels, without the values.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("size", &self.size)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// The class of every pixel of an image, as in semantic segmentation.
#[derive(Clone, PartialEq, Eq)]
pub struct ClassMap {
    size: Size,
    classes: Vec<u16>,
    ignored: u16,
}

impl ClassMap {
    /// Map of `size` with `height * width` classes, all rows one after another. `ignored` is the
    /// value of pixels without a class, often 255; it fills what a shift or a rotation uncovers.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] where a side is not in 1..=[`Size::MAX_SIDE`] or `classes` has another
    /// length.
    pub fn new(size: Size, classes: Vec<u16>, ignored: u16) -> Result<Self, DataError> {
        size.check("size")?;
        check_length("classes", classes.len(), size.area())?;
        Ok(Self {
            size,
            classes,
            ignored,
        })
    }

    /// Height and width.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Value of the pixels that have no class.
    pub fn ignored(&self) -> u16 {
        self.ignored
    }

    /// Classes of all rows one after another.
    pub fn classes(&self) -> &[u16] {
        &self.classes
    }

    /// Classes of all rows one after another, to be changed.
    pub fn classes_mut(&mut self) -> &mut [u16] {
        &mut self.classes
    }

    /// Takes the classes of all rows out of the map.
    pub fn into_classes(self) -> Vec<u16> {
        self.classes
    }
}

/// Size and ignored value, without the classes.
impl fmt::Debug for ClassMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassMap")
            .field("size", &self.size)
            .field("ignored", &self.ignored)
            .finish_non_exhaustive()
    }
}

fn check_channels(channels: usize) -> Result<(), DataError> {
    if matches!(channels, 1 | 3) {
        return Ok(());
    }
    let expected = "1 (grey) or 3 (RGB)";
    Err(DataError::argument("channels", channels, expected))
}

fn check_length(argument: &'static str, found: usize, expected: usize) -> Result<(), DataError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found} values"), format!("{expected} values"));
    Err(DataError::argument(argument, found, expected))
}

/// The pixels of an image with 3 channels.
pub(super) fn colors(pixels: &[u8]) -> impl Iterator<Item = [u8; 3]> {
    pixels.as_chunks().0.iter().copied()
}

/// The grey value of a colour. The weights are those of BT.601 in units of 1/65536; their sum is 1.
pub(super) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((weighted + 0x8000) >> 16) as u8
}
