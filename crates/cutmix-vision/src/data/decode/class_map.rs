//! Maps of classes from files.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use crate::data::{ClassMap, DataError, Size};

/// Number of bytes that decoding a map may take, and of its pixels.
const MEMORY: usize = 1 << 30;

/// Reads a map of classes from the PNG file `path`: the values of a grey image, of 1 to 16 bits, or
/// the numbers of the colours of an image with a palette, as in Pascal VOC. `ignored` is the value
/// of pixels without a class, usually 255.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Image`] where the file is no such
/// PNG.
pub fn load_class_map(path: impl AsRef<Path>, ignored: u16) -> Result<ClassMap, DataError> {
    let path = path.as_ref();
    let bad = |error: png::DecodingError| DataError::image(path, error);
    let io = |error| DataError::io(path, error);
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(DataError::image(path, "not a file"));
    }
    let file = File::open(path).map_err(io)?;
    let limits = Limits { bytes: MEMORY };
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), limits);
    // Colours of a palette stay numbers, and small values small.
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(bad)?;
    let (color, depth) = reader.output_color_type();
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) {
        let reason = "a map of classes is grey or has a palette, and this image has colours";
        return Err(DataError::image(path, reason));
    }
    let (width, height) = reader.info().size();
    let size = Size::new(height as usize, width as usize);
    let too_large = || DataError::image(path, format!("{size} pixels are too large for a map"));
    if size.height.max(size.width) > Size::MAX_SIDE || size.area() > MEMORY {
        return Err(too_large());
    }
    let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut bytes).map_err(bad)?;
    let rows = bytes.chunks_exact(frame.line_size).take(size.height);
    let classes = rows.flat_map(|row| values(row, depth).take(size.width));
    ClassMap::new(size, classes.collect(), ignored)
}

/// The values of a row.
fn values(row: &[u8], depth: BitDepth) -> Box<dyn Iterator<Item = u16> + '_> {
    let bits = match depth {
        BitDepth::Sixteen => {
            let pairs = row.as_chunks::<2>().0.iter();
            return Box::new(pairs.map(|&pair| u16::from_be_bytes(pair)));
        }
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
        BitDepth::Eight => 8,
    };
    let value = move |byte: u8| {
        let shifts = (0..8 / bits).rev().map(move |at| at * bits);
        shifts.map(move |shift| u16::from(byte >> shift) & ((1 << bits) - 1))
    };
    Box::new(row.iter().flat_map(move |&byte| value(byte)))
}
