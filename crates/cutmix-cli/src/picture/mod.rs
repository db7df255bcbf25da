//! Pictures with text on them, as PNG files.

mod batch;
mod explanation;
mod grid;
mod heat;

use std::path::Path;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, ScaleFont, point};
use cutmix_vision::{DataError, Image, Normalize, Size};
use image::{ExtendedColorType, ImageFormat};
use plotters::prelude::{BitMapBackend, RGBColor};

pub use batch::{FirstBatch, tiles};
pub use explanation::{Explanation, shown};
pub use grid::{Grid, Row, Tile};
pub use heat::{Heat, color, heat_maps};

/// DejaVu Sans, which has the letters of many scripts, for class names.
pub static FONT_FILE: &[u8] = include_bytes!("../../assets/DejaVuSans.ttf");
static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FONT_FILE).expect("the font is part of the program"));

pub const INK: RGBColor = RGBColor(32, 32, 36);
pub const FAINT: RGBColor = RGBColor(110, 110, 118);

/// The image of normalised values, `C` planes of the size.
pub fn denormalized(
    values: &[f32],
    size: Size,
    normalize: &Normalize,
) -> std::result::Result<Image, DataError> {
    let (plane, channels) = (size.area(), normalize.mean.len());
    let value = |at: usize| {
        let (pixel, channel) = (at / channels, at % channels);
        let (mean, std) = (normalize.mean[channel], normalize.std[channel]);
        // `as` saturates at 0 and 255.
        (255.0 * (values[channel * plane + pixel] * std + mean)).round() as u8
    };
    let pixels = (0..plane * channels).map(value).collect();
    Image::new(size, channels, pixels)
}

/// The colour of a pixel.
fn rgb(image: &Image, row: usize, column: usize) -> [u8; 3] {
    let channels = image.channels();
    let at = (row * image.size().width + column) * channels;
    std::array::from_fn(|channel| image.pixels()[at + channel.min(channels - 1)])
}

/// A white page.
pub struct Page {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// A result whose error is a message, of plotters, the encoder or the system.
pub type Result<T> = std::result::Result<T, String>;

impl Page {
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![255; 3 * width * height],
        }
    }

    /// The page as a surface that plotters draws on.
    pub fn backend(&mut self) -> BitMapBackend<'_> {
        let size = (self.width as u32, self.height as u32);
        BitMapBackend::with_buffer(&mut self.pixels, size)
    }

    /// Fills a box of this width and height with its top left at `(x, y)`. What is beyond the page is
    /// left out.
    pub fn fill(&mut self, (x, y): (usize, usize), size: (usize, usize), color: RGBColor) {
        let (width, height) = size;
        let rows = self.pixels.chunks_exact_mut(3 * self.width);
        for row in rows.skip(y).take(height) {
            for pixel in row.chunks_exact_mut(3).skip(x).take(width) {
                pixel.copy_from_slice(&[color.0, color.1, color.2]);
            }
        }
    }

    /// Writes `text` with its top left at `(x, y)`. Plotters' own text ignores the bearing of
    /// letters, so that their distances are uneven.
    pub fn text(&mut self, (x, y): (usize, usize), size: usize, color: RGBColor, text: &str) {
        draw_letters(size, text, |right, down, cover| {
            self.blend(x as i32 + right, y as i32 + down, color, cover);
        });
    }

    /// Writes `text` from the bottom to the top, with its start at `y` and the top of its letters at `x`.
    pub fn vertical_text(
        &mut self,
        (x, y): (usize, usize),
        size: usize,
        color: RGBColor,
        text: &str,
    ) {
        draw_letters(size, text, |right, down, cover| {
            self.blend(x as i32 + down, y as i32 - right, color, cover);
        });
    }

    fn blend(&mut self, x: i32, y: i32, color: RGBColor, cover: f32) {
        if x < 0 || y < 0 || x as usize >= self.width || y as usize >= self.height {
            return;
        }
        let at = 3 * (y as usize * self.width + x as usize);
        for (pixel, ink) in self.pixels[at..]
            .iter_mut()
            .zip([color.0, color.1, color.2])
        {
            *pixel = (f32::from(*pixel) * (1.0 - cover) + f32::from(ink) * cover).round() as u8;
        }
    }

    /// Draws `image` with each pixel as a square of `scale`, or one pixel of `1 / scale` of each
    /// side where `scale` is below 1.
    fn image(&mut self, (left, top): (usize, usize), image: &Image, scale: Scale) {
        let Size { height, width } = image.size();
        for y in 0..scale.of(height) {
            for x in 0..scale.of(width) {
                let rgb = rgb(image, scale.source(y), scale.source(x));
                let at = 3 * ((top + y) * self.width + left + x);
                self.pixels[at..at + 3].copy_from_slice(&rgb);
            }
        }
    }

    /// The page as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut png = std::io::Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut png,
            &self.pixels,
            self.width as u32,
            self.height as u32,
            ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )
        .map_err(|error| error.to_string())?;
        Ok(png.into_inner())
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.png()?).map_err(|error| error.to_string())
    }
}

/// The whole factor by which pictures are enlarged or made smaller. There is no smoothing, so that
/// pixels are shown as the network sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    Up(usize),
    Down(usize),
}

impl Scale {
    /// Brings a side of `side` pixels close to `target`.
    pub fn to(target: usize, side: usize) -> Self {
        if side <= target {
            Self::Up((target as f64 / side as f64).round() as usize)
        } else {
            Self::Down(side.div_ceil(2 * target))
        }
    }

    pub fn of(self, side: usize) -> usize {
        match self {
            Self::Up(scale) => side * scale,
            Self::Down(scale) => side / scale,
        }
    }

    fn source(self, at: usize) -> usize {
        match self {
            Self::Up(scale) => at / scale,
            Self::Down(scale) => at * scale,
        }
    }
}

/// Draws `text` with its top left at `(0, 0)`: calls `draw` with the place of each pixel, to the right and
/// down, and how much of it is covered.
fn draw_letters(size: usize, text: &str, mut draw: impl FnMut(i32, i32, f32)) {
    let font = FONT.as_scaled(size as f32);
    for (left, letter) in letters(size, text) {
        let glyph = letter.with_scale_and_position(size as f32, point(left, font.ascent()));
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, cover| {
            draw(
                x as i32 + corner.x as i32,
                y as i32 + corner.y as i32,
                cover,
            );
        });
    }
}

/// The letters of `text` with the places of their origins.
fn letters(size: usize, text: &str) -> impl Iterator<Item = (f32, ab_glyph::GlyphId)> {
    let font = FONT.as_scaled(size as f32);
    let mut pen = 0.0;
    let mut last = None;
    text.chars().map(move |letter| {
        let glyph = font.glyph_id(letter);
        pen += last.map_or(0.0, |last| font.h_advance(last) + font.kern(last, glyph));
        last = Some(glyph);
        (pen, glyph)
    })
}

/// The width of `text` in pixels.
pub fn text_width(size: usize, text: &str) -> usize {
    let font = FONT.as_scaled(size as f32);
    let end = letters(size, text).last();
    end.map_or(0, |(left, glyph)| {
        (left + font.h_advance(glyph)).ceil() as usize
    })
}

/// `text`, or as much of it as fits into `width` pixels.
pub fn fit(size: usize, width: usize, text: &str) -> String {
    if text_width(size, text) <= width {
        return text.into();
    }
    let mut short = text.to_string();
    while short.pop().is_some() {
        let cut = format!("{}…", short.trim_end());
        if text_width(size, &cut) <= width {
            return cut;
        }
    }
    short
}
