//! From the samples of the components to the pixels of an image: interpolation and colours, as
//! libjpeg computes them.

use super::file::{Color, File};
use super::plane::{Part, Plane};

/// The pixels of a part, row by row.
#[inline(always)]
pub fn pixels(file: &File<'_>, part: &Part, planes: &[Plane]) -> Vec<u8> {
    let width = part.columns.len();
    let mut pixels = vec![0; part.rows.len() * width * part.channels];
    let mut buffers: [Buffer; 4] = Default::default();
    for (row, out) in (part.rows.clone()).zip(pixels.chunks_exact_mut(width * part.channels)) {
        let mut rows = [&[][..]; 4];
        for ((samples, buffer), plane) in rows.iter_mut().zip(&mut buffers).zip(planes) {
            *samples = buffer.row(plane, row, part);
        }
        convert(file.color, rows, out, part.channels);
    }
    pixels
}

/// Whether pixels of `channels` channels are made of a component.
pub fn is_wanted(color: Color, channels: usize, component: usize) -> bool {
    component == 0 || channels == 3 || !matches!(color, Color::Grey | Color::YCbCr)
}

/// A row of samples, one for each pixel.
#[derive(Default)]
struct Buffer {
    /// Samples of the component, or sums of them, with one more on both sides.
    sums: Vec<u16>,
    samples: Vec<u8>,
}

impl Buffer {
    /// The samples of a row of the image.
    #[inline(always)]
    fn row<'a>(&'a mut self, plane: &'a Plane, row: usize, part: &Part) -> &'a [u8] {
        if plane.samples.is_empty() {
            return &[];
        }
        let (columns, start) = (part.columns.clone(), plane.across.start());
        let near = || plane.row(plane.down.sample(row));
        // The other row beside the pixels.
        let far = || {
            plane.row(if row.is_multiple_of(2) {
                (row / 2).saturating_sub(1)
            } else {
                row / 2 + 1
            })
        };
        // Pixels of one block are not interpolated, nor images of two samples.
        let is_smooth = part.denominator < 8;
        let is_wide = plane.across.length > 2;
        match [plane.across.factor(), plane.down.factor()] {
            [Some(1), Some(1)] => &near()[columns.start - start..][..columns.len()],
            [Some(2), Some(2)] if is_smooth && is_wide => {
                let sums = near()
                    .iter()
                    .zip(far())
                    .map(|(&near, &far)| 3 * u16::from(near) + u16::from(far));
                self.double(sums, 4, [8, 7]);
                &self.samples[columns.start - 2 * start..][..columns.len()]
            }
            [Some(2), Some(1)] if is_smooth && is_wide => {
                self.double(near().iter().map(|&near| near.into()), 2, [1, 2]);
                &self.samples[columns.start - 2 * start..][..columns.len()]
            }
            [Some(1), Some(2)] if is_smooth => {
                let round = if row.is_multiple_of(2) { 1 } else { 2 };
                let samples = near().iter().zip(far());
                self.samples.clear();
                self.samples.extend(samples.map(|(&near, &far)| {
                    ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8
                }));
                &self.samples[columns.start - start..][..columns.len()]
            }
            _ => {
                let samples = near();
                let nearest =
                    |column| samples[(plane.across.sample(column) - start).min(samples.len() - 1)];
                self.samples.clear();
                self.samples.extend(columns.map(nearest));
                &self.samples
            }
        }
    }

    /// Makes two samples of each sum: three parts of itself and one of its neighbour.
    #[inline(always)]
    fn double(&mut self, sums: impl ExactSizeIterator<Item = u16>, bits: u32, round: [u16; 2]) {
        let count = sums.len();
        self.sums.resize(count + 2, 0);
        for (place, sum) in self.sums[1..=count].iter_mut().zip(sums) {
            *place = sum;
        }
        self.sums[0] = self.sums[1];
        self.sums[count + 1] = self.sums[count];
        self.samples.resize(2 * count, 0);
        let (pairs, _) = self.samples.as_chunks_mut::<2>();
        let (before, own, after) = (&self.sums[..count], &self.sums[1..=count], &self.sums[2..]);
        for (((pair, &before), &own), &after) in pairs.iter_mut().zip(before).zip(own).zip(after) {
            *pair = [
                ((3 * own + before + round[0]) >> bits) as u8,
                ((3 * own + after + round[1]) >> bits) as u8,
            ];
        }
    }
}

/// Makes a row of pixels.
#[inline(always)]
fn convert(color: Color, [a, b, c, d]: [&[u8]; 4], out: &mut [u8], channels: usize) {
    match (color, channels) {
        (Color::Grey | Color::YCbCr, 1) => out.copy_from_slice(a),
        (Color::Grey, _) => {
            for (pixel, &value) in out.as_chunks_mut::<3>().0.iter_mut().zip(a) {
                *pixel = [value; 3];
            }
        }
        (Color::YCbCr, _) => from_ycbcr(a, b, c, out),
        _ => {
            for (index, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let own = [a[index], b[index], c[index]];
                let rgb = match color {
                    Color::Rgb => own,
                    // Programs store both inverted.
                    Color::Cmyk => own.map(|value| product(value, d[index])),
                    _ => ycbcr_to_rgb(own).map(|value| product(255 - value, d[index])),
                };
                match pixel {
                    [grey] => *grey = grey_of(rgb),
                    _ => pixel.copy_from_slice(&rgb),
                }
            }
        }
    }
}

/// The product of two numbers that stand for 0 to 1.
fn product(one: u8, other: u8) -> u8 {
    ((u32::from(one) * u32::from(other) + 127) / 255) as u8
}

fn grey_of([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + (1 << 15)) >> 16) as u8
}

#[inline(always)]
fn ycbcr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    // Parts of 2^16 (ITU-R BT.601).
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    let red = y + ((91_881 * cr + half) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + half) >> 16);
    let blue = y + ((116_130 * cb + half) >> 16);
    [
        red.clamp(0, 255) as u8,
        green.clamp(0, 255) as u8,
        blue.clamp(0, 255) as u8,
    ]
}

/// Number of pixels that are converted at a time.
const GROUP: usize = 32;

#[inline(always)]
fn from_ycbcr(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let count = y.len().min(cb.len()).min(cr.len()).min(out.len() / 3);
    let mut done = 0;
    // A pixel is written with a byte behind it, which the next one has.
    while done + GROUP < count {
        let mut pixels = [0u32; GROUP];
        let (y, cb, cr) = (
            &y[done..][..GROUP],
            &cb[done..][..GROUP],
            &cr[done..][..GROUP],
        );
        for index in 0..GROUP {
            let [red, green, blue] = ycbcr_to_rgb([y[index], cb[index], cr[index]]);
            pixels[index] = u32::from(red) | u32::from(green) << 8 | u32::from(blue) << 16;
        }
        let out = &mut out[3 * done..][..3 * GROUP + 1];
        for (index, pixel) in pixels.iter().enumerate() {
            out[3 * index..][..4].copy_from_slice(&pixel.to_le_bytes());
        }
        done += GROUP;
    }
    let rest = out[3 * done..].as_chunks_mut::<3>().0.iter_mut();
    for (((pixel, &y), &cb), &cr) in rest.zip(&y[done..]).zip(&cb[done..]).zip(&cr[done..]) {
        *pixel = ycbcr_to_rgb([y, cb, cr]);
    }
}
