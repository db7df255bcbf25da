//! A decoder of JPEG files (ITU-T T.81) that makes only the pixels that are wanted.
//!
//! Most of the time that a large photograph takes goes into its codes, which have to be read up to
//! the part that is wanted. This decoder skips the blocks outside of the part several codes at a
//! time, and in those inside of it the frequencies that a smaller image does not have. Of whole
//! images it makes the pixels of libjpeg.

mod bits;
mod block;
mod color;
mod file;
mod huffman;
mod idct;
mod plane;
mod progressive;
mod scan;
mod sequential;
mod tables;

use pulp::{Arch, Simd, WithSimd};

use self::bits::Bits;
use self::file::{Segments, kind};
use self::plane::Plane;
use self::progressive::Coefficients;
use self::scan::Scan;
use self::tables::Tables;

pub use self::file::File;
pub use self::plane::Part;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damage(pub &'static str);

const DAMAGED: Damage = Damage("its data is damaged");

/// More scans than any program writes. Each takes time, even one of a few bytes.
const MOST_SCANS: usize = 200;

impl File<'_> {
    /// Number of bytes that [`File::decode`] takes.
    pub fn memory(&self, part: &Part) -> u64 {
        let planes = Plane::all(self, part);
        let mut bytes = part.rows.len() * part.columns.len() * part.channels;
        bytes += planes.iter().map(Plane::size).sum::<usize>();
        if self.is_progressive {
            bytes += planes.iter().map(Coefficients::size).sum::<usize>();
        }
        bytes as u64
    }

    /// Decodes a part of the image: rows of pixels.
    pub fn decode(&self, part: &Part) -> Result<Vec<u8>, Damage> {
        Arch::new().dispatch(Decode { file: self, part })
    }
}

/// Decodes with the instructions that the processor has.
struct Decode<'a> {
    file: &'a File<'a>,
    part: &'a Part,
}

impl WithSimd for Decode<'_> {
    type Output = Result<Vec<u8>, Damage>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        decode(self.file, self.part)
    }
}

#[inline(always)]
fn decode(file: &File<'_>, part: &Part) -> Result<Vec<u8>, Damage> {
    let mut planes = Plane::all(file, part);
    for (component, plane) in planes.iter_mut().enumerate() {
        if color::is_wanted(file.color, part.channels, component) {
            plane.samples = vec![0; plane.size()];
        }
    }
    let mut coefficients = Vec::new();
    if file.is_progressive {
        coefficients.extend(planes.iter().map(Coefficients::new));
    }
    let mut tables = Tables::default();
    let mut segments = Segments::new(file.bytes);
    let mut is_read = vec![false; planes.len()];
    let mut scans = 0;
    // The scans of a progressive file end where it says so, the other ones with the last component.
    while file.is_progressive || is_read.contains(&false) {
        let (kind, content) = segments.next()?;
        tables.update(kind, content)?;
        match kind {
            kind::END
                if file.is_progressive && coefficients.iter().all(Coefficients::are_whole) =>
            {
                break;
            }
            kind::END => return Err(Damage("a part of it is missing")),
            kind::SCAN => {}
            _ => continue,
        }
        scans += 1;
        if scans > MOST_SCANS {
            return Err(Damage("it has too many scans"));
        }
        let scan = Scan::new(content, file)?;
        for member in &scan.members {
            if !std::mem::replace(&mut is_read[member.component], true) {
                let steps = tables.steps(file.components[member.component].steps)?;
                planes[member.component].steps = *steps;
            }
        }
        let mut bits = Bits::new(file.bytes, segments.position);
        if file.is_progressive {
            progressive::read_scan(&scan, &mut bits, &tables, &planes, &mut coefficients)?;
        } else {
            sequential::read_scan(&scan, &mut bits, &tables, &mut planes)?;
        }
        segments.position = bits.position();
    }
    for (plane, coefficients) in planes.iter_mut().zip(&mut coefficients) {
        if !plane.samples.is_empty() {
            coefficients.write(plane);
        }
    }
    Ok(color::pixels(file, part, &planes))
}
