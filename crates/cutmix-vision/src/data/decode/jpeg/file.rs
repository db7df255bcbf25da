//! The segments of a file and its header (ITU-T T.81, annex B).

use super::Damage;
use super::bits::next_marker;

/// What a segment holds.
pub mod kind {
    pub const FRAME_SEQUENTIAL: [u8; 2] = [0xc0, 0xc1];
    pub const FRAME_PROGRESSIVE: u8 = 0xc2;
    pub const HUFFMAN: u8 = 0xc4;
    pub const RESTART: u8 = 0xd0;
    pub const START: u8 = 0xd8;
    pub const END: u8 = 0xd9;
    pub const SCAN: u8 = 0xda;
    pub const QUANTIZATION: u8 = 0xdb;
    pub const INTERVAL: u8 = 0xdd;
    pub const JFIF: u8 = 0xe0;
    pub const EXIF: u8 = 0xe1;
    pub const ADOBE: u8 = 0xee;
}

/// A JPEG file whose header has been read.
pub struct File<'a> {
    pub bytes: &'a [u8],
    pub height: usize,
    pub width: usize,
    pub is_progressive: bool,
    pub components: Vec<Component>,
    pub color: Color,
    /// The EXIF data: a TIFF file.
    pub exif: Option<&'a [u8]>,
}

/// One of the components of an image: its grey values, say.
pub struct Component {
    pub id: u8,
    /// Number of samples in the two directions, in relation to the other components.
    pub horizontal: usize,
    pub vertical: usize,
    /// Number of its quantization table.
    pub steps: usize,
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Color {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// The segments of a file, one after the other.
pub struct Segments<'a> {
    bytes: &'a [u8],
    pub position: usize,
}

impl<'a> Segments<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The kind and the content of the next segment, without those that hold nothing.
    pub fn next(&mut self) -> Result<(u8, &'a [u8]), Damage> {
        loop {
            let (position, kind) =
                next_marker(self.bytes, self.position).ok_or(Damage("it ends early"))?;
            self.position = position + 2;
            match kind {
                kind::END => return Ok((kind, &[])),
                0x01 | kind::RESTART..=kind::START => continue,
                _ => {}
            }
            let rest = &self.bytes[self.position..];
            let length = rest
                .first_chunk()
                .map(|&length| usize::from(u16::from_be_bytes(length)));
            let content = length.and_then(|length| rest.get(2..length));
            let content = content.ok_or(Damage("it ends early"))?;
            self.position += 2 + content.len();
            return Ok((kind, content));
        }
    }
}

impl<'a> File<'a> {
    /// Reads the header, up to the first scan.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut segments = Segments::new(bytes);
        let (mut has_jfif, mut adobe, mut exif) = (false, None, None);
        let mut frame = None;
        loop {
            let (kind, content) = segments.next()?;
            match kind {
                kind::JFIF => has_jfif |= content.starts_with(b"JFIF\0"),
                kind::ADOBE if content.starts_with(b"Adobe") => adobe = content.get(11).copied(),
                kind::EXIF => exif = exif.or(content.strip_prefix(b"Exif\0\0")),
                0xc0..=0xcf if !matches!(kind, kind::HUFFMAN | 0xc8 | 0xcc) => {
                    if frame.is_some() {
                        return Err(Damage("it has two frames"));
                    }
                    let is_progressive = kind == kind::FRAME_PROGRESSIVE;
                    if !is_progressive && !kind::FRAME_SEQUENTIAL.contains(&kind) {
                        return Err(Damage("lossless and arithmetic JPEG are not read"));
                    }
                    frame = Some((is_progressive, read_frame(content)?));
                }
                kind::SCAN => break,
                kind::END => return Err(Damage("it has no image")),
                _ => {}
            }
        }
        let (is_progressive, (size, components)) = frame.ok_or(Damage("it has no frame"))?;
        let ids: Vec<u8> = components.iter().map(|one| one.id).collect();
        let color = match (components.len(), adobe) {
            (1, _) => Color::Grey,
            (3, _) if has_jfif => Color::YCbCr,
            (3, Some(0)) => Color::Rgb,
            (3, None) if ids == *b"RGB" => Color::Rgb,
            (3, _) => Color::YCbCr,
            (_, Some(2)) => Color::Ycck,
            _ => Color::Cmyk,
        };
        let [height, width] = size;
        Ok(Self {
            bytes,
            height,
            width,
            is_progressive,
            components,
            color,
            exif,
        })
    }
}

/// Reads the height, the width and the components.
fn read_frame(content: &[u8]) -> Result<([usize; 2], Vec<Component>), Damage> {
    let (&[precision, h0, h1, w0, w1, count], rest) = content
        .split_first_chunk()
        .ok_or(Damage("its frame is broken"))?;
    if precision != 8 {
        return Err(Damage("only JPEG of 8 bits is read"));
    }
    let [height, width] = [[h0, h1], [w0, w1]].map(|side| usize::from(u16::from_be_bytes(side)));
    if height == 0 || width == 0 {
        return Err(Damage("it has no height or width"));
    }
    let all = rest.as_chunks::<3>().0.get(..usize::from(count));
    let all = all.filter(|all| matches!(all.len(), 1 | 3 | 4));
    let components = all
        .ok_or(Damage("it has a number of components that is not read"))?
        .iter();
    let components = components.map(|&[id, samples, steps]| {
        let (horizontal, vertical) = (usize::from(samples >> 4), usize::from(samples & 15));
        let is_valid = (1..=4).contains(&horizontal) && (1..=4).contains(&vertical) && steps < 4;
        let component = Component {
            id,
            horizontal,
            vertical,
            steps: steps.into(),
        };
        is_valid
            .then_some(component)
            .ok_or(Damage("its frame is broken"))
    });
    Ok(([height, width], components.collect::<Result<_, _>>()?))
}
