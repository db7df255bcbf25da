//! From the bytes of an image file to an image.

mod budget;
mod class_map;
mod config;
mod jpeg;
mod partial;
mod pixels;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use self::budget::Budget;
use super::augment::Transform;
use super::source::Content;
use super::sources::read_image;
use super::view::{Opened, View};
use super::{DataError, Image, Size};

pub(crate) use budget::Reservation;
pub use class_map::load_class_map;
pub use config::{DecodeConfig, Depth};

/// The formats that are read, for messages.
pub const FORMATS: &str = "JPEG, PNG, WebP, GIF, TIFF or BMP";

/// Why a file gives no image.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The file is damaged or no image.
    Bad(String),
    /// The image takes more memory than all images together may take.
    TooLarge {
        size: Size,
        /// Number of bytes that it takes.
        bytes: u64,
    },
    /// The image cannot be transformed.
    Transform(DataError),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Transform(error)
    }
}

impl Failure {
    fn bad(reason: impl ToString) -> Self {
        // Decoders break lines in a few messages.
        Self::Bad(reason.to_string().replace('\n', " "))
    }

    /// The error of the file `path`.
    pub fn of(self, path: PathBuf, config: &DecodeConfig) -> DataError {
        match self {
            Self::Bad(reason) => DataError::Image { path, reason },
            Self::Transform(error) => error,
            Self::TooLarge { size, bytes } => DataError::TooLarge {
                path,
                what: format!(
                    "an image of {} x {} pixels, which takes {bytes} bytes to decode",
                    size.height, size.width
                ),
                memory: config.memory,
            },
        }
    }
}

/// Decodes image files, by any number of threads, within one budget of memory.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: DecodeConfig,
    budget: Budget,
    /// The memory of the files. It is another budget since a thread waits for the memory to decode
    /// a file while it holds the file, and must not wait for those that wait for it.
    files: Budget,
}

/// An image, and the memory that it took to decode it, which is free again when this is dropped.
type Decoded<'a> = (Image, Reservation<'a>);

/// An image file of which only the header has been read.
pub(crate) struct Header<'a> {
    decoder: &'a Decoder,
    bytes: &'a [u8],
    format: ImageFormat,
    /// Size of the image as it is stored.
    stored: Size,
    orientation: Orientation,
    channels: usize,
    /// Memory that decoding takes, in bytes, where it is no JPEG.
    memory: u64,
    /// The file, where it is a JPEG.
    jpeg: Option<jpeg::File<'a>>,
}

/// Whether `start`, the first bytes of a file, are those of an image file.
pub(crate) fn is_image(start: &[u8]) -> bool {
    image::guess_format(start).is_ok_and(|format| is_read(&format))
}

fn is_read(format: &ImageFormat) -> bool {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    matches!(format, Bmp | Gif | Jpeg | Png | Tiff | WebP)
}

impl Decoder {
    pub fn new(config: DecodeConfig) -> Self {
        Self {
            budget: Budget::new(config.memory),
            files: Budget::new(config.memory),
            config,
        }
    }

    pub fn config(&self) -> &DecodeConfig {
        &self.config
    }

    /// Waits for the memory of a file of so many bytes.
    pub fn reserve_file(
        &self,
        bytes: u64,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Reservation<'_>, DataError> {
        let reserved = self.files.reserve(bytes);
        reserved.ok_or_else(|| DataError::large_file(path(), bytes, self.config.memory))
    }

    /// Decodes the file `path` to the shape of `view`, which has been checked.
    pub fn load(&self, path: &Path, view: &View) -> Result<Image, DataError> {
        let failed = |failure: Failure| failure.of(path.into(), &self.config);
        let file = fs::metadata(path).map_err(|error| DataError::io(path, error))?;
        let _reserved = self.reserve_file(file.len(), || path.into())?;
        let Content::File(bytes) = read_image(path)? else {
            unreachable!("a file is not decoded yet");
        };
        let header = self.header(&bytes).map_err(failed)?;
        let transforms = view.transforms(header.size())?;
        let opened = Opened::File(header);
        opened
            .transformed(view.shape[0], &transforms)
            .map_err(failed)
    }

    /// Reads the header of an image file.
    pub fn header<'a>(&'a self, bytes: &'a [u8]) -> Result<Header<'a>, Failure> {
        if bytes.is_empty() {
            return Err(Failure::bad("the file is empty"));
        }
        let format = image::guess_format(bytes).ok().filter(is_read);
        let Some(format) = format else {
            return Err(Failure::bad(format!("not a {FORMATS} file")));
        };
        let header = if format == ImageFormat::Jpeg {
            partial::header(self, bytes)?
        } else {
            self.other_header(bytes, format)?
        };
        let Size { height, width } = header.stored;
        if height.max(width) <= Size::MAX_SIDE {
            return Ok(header);
        }
        // What takes too much memory is said first.
        let memory = match &header.jpeg {
            Some(file) => file.memory(&partial::whole(header.stored, header.channels)),
            None => header.memory,
        };
        if memory > self.config.memory {
            return Err(Failure::TooLarge {
                size: header.stored,
                bytes: memory,
            });
        }
        let most = Size::MAX_SIDE;
        Err(Failure::bad(format!(
            "it has {height} x {width} pixels, and sides of up to {most} are read"
        )))
    }

    /// Reads the header of a file that is no JPEG.
    fn other_header<'a>(
        &'a self,
        bytes: &'a [u8],
        format: ImageFormat,
    ) -> Result<Header<'a>, Failure> {
        let mut decoder = (ImageReader::with_format(Cursor::new(bytes), format).into_decoder())
            .map_err(Failure::bad)?;
        // A broken EXIF block is no reason to lose the picture.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let (width, height) = decoder.dimensions();
        let color = decoder.color_type();
        Ok(Header {
            decoder: self,
            bytes,
            format,
            stored: Size {
                height: height as usize,
                width: width as usize,
            },
            orientation,
            channels: if color.has_color() { 3 } else { 1 },
            // As it is stored, and as 8-bit values.
            memory: decoder
                .total_bytes()
                .saturating_add(4 * u64::from(width) * u64::from(height)),
            jpeg: None,
        })
    }
}

impl Header<'_> {
    /// Size of the image, upright.
    pub fn size(&self) -> Size {
        if is_turned(self.orientation) {
            Size {
                height: self.stored.width,
                width: self.stored.height,
            }
        } else {
            self.stored
        }
    }

    /// Number of channels of the file: 1 where it is grey, otherwise 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Name of the format.
    pub fn format(&self) -> &'static str {
        match self.format {
            ImageFormat::Jpeg => "JPEG",
            ImageFormat::Png => "PNG",
            ImageFormat::WebP => "WebP",
            ImageFormat::Gif => "GIF",
            ImageFormat::Tiff => "TIFF",
            _ => "BMP",
        }
    }

    /// Decodes the whole image, with 1 or 3 channels.
    pub fn decode(self, channels: usize) -> Result<Image, Failure> {
        Ok(self.decode_whole(channels)?.0)
    }

    /// Decodes the image and transforms it. Where the transform makes a JPEG much smaller, a
    /// smaller version of it is decoded.
    pub fn decode_transformed(
        self,
        transform: &Transform,
        channels: usize,
    ) -> Result<Image, Failure> {
        if let Some(file) = &self.jpeg {
            return self.decode_jpeg_transformed(file, transform, channels);
        }
        let (image, _reserved) = self.decode_whole(channels)?;
        Ok(transform.apply(image)?)
    }

    fn decode_whole(&self, channels: usize) -> Result<Decoded<'_>, Failure> {
        if let Some(file) = &self.jpeg {
            return self.decode_jpeg(file, channels);
        }
        let reserved = self.reserve(self.memory)?;
        let image = self.decode_other()?;
        let image = pixels::to_eight_bits(image, self.decoder.config.depth);
        let image = pixels::flatten(image, self.decoder.config.background, channels)?;
        Ok((upright(image, self.orientation), reserved))
    }

    fn decode_other(&self) -> Result<DynamicImage, Failure> {
        let reader = ImageReader::with_format(Cursor::new(self.bytes), self.format);
        let mut decoder = reader.into_decoder().map_err(Failure::bad)?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(self.decoder.config.memory);
        decoder.set_limits(limits).map_err(Failure::bad)?;
        DynamicImage::from_decoder(decoder).map_err(Failure::bad)
    }

    /// Waits for memory.
    fn reserve(&self, bytes: u64) -> Result<Reservation<'_>, Failure> {
        let reserved = self.decoder.budget.reserve(bytes);
        reserved.ok_or(Failure::TooLarge {
            size: self.stored,
            bytes,
        })
    }
}

/// Whether height and width change places.
fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(
        orientation,
        Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH
    )
}

/// Turns an image as its file says.
fn upright(image: Image, orientation: Orientation) -> Image {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let (Size { height, width }, channels) = (image.size(), image.channels());
    let pixels = image.into_pixels();
    let turned = if channels == 1 {
        let grey = GrayImage::from_raw(width as u32, height as u32, pixels);
        grey.map(DynamicImage::from)
    } else {
        let color = RgbImage::from_raw(width as u32, height as u32, pixels);
        color.map(DynamicImage::from)
    };
    let mut turned = turned.expect("an image has as many pixels as its size says");
    turned.apply_orientation(orientation);
    let size = Size {
        height: turned.height() as usize,
        width: turned.width() as usize,
    };
    let turned = Image::new(size, channels, turned.into_bytes());
    turned.expect("turning moves pixels")
}

/// Decodes the image file `path` to the shape of `view`.
///
/// JPEG, PNG, WebP, GIF, TIFF and BMP are recognised by their content; of an animation the first
/// frame is read. An orientation in the EXIF data is applied. Transparent pixels get the background
/// of `config`, and 16-bit values become 8-bit ones.
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::Io`], [`DataError::Image`] and [`DataError::TooLarge`]
/// where the file cannot be read or decoded, [`DataError::Argument`] where the view is out of
/// range.
pub fn load_image(
    path: impl AsRef<Path>,
    view: &View,
    config: &DecodeConfig,
) -> Result<Image, DataError> {
    view.check()?;
    Decoder::new(config.clone()).load(path.as_ref(), view)
}
