//! From the coefficients of a block to its pixels: the inverse discrete cosine transform, with 8,
//! 4, 2 or 1 pixels a side.
//!
//! With 8 the arithmetic is that of the Independent JPEG Group's `jidctint.c`, after C. Loeffler,
//! A. Ligtenberg and G. Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications"
//! (ICASSP 1989), so that pixels are equal to those of libjpeg. With fewer, the low frequencies go
//! through a transform of that size.

use std::num::Wrapping;

use super::block::Block;

/// Sums of damaged coefficients may be too large.
type Int = Wrapping<i32>;

const fn int(value: i32) -> Int {
    Wrapping(value)
}

/// A number as a fraction of 2^13.
const fn fixed(value: f64) -> Int {
    Wrapping((value * 8192.0 + 0.5) as i32)
}

/// The last frequency, in zigzag order, that a transform to `side` pixels uses.
pub fn last_frequency(side: usize) -> u32 {
    match side {
        8 => 63,
        4 => 24,
        2 => 4,
        _ => 0,
    }
}

/// Writes the pixels of a block whose frequencies above `highest` are 0 to the start of each row of
/// `pixels`.
#[inline(always)]
pub fn write_block(block: &Block, highest: u32, side: usize, pixels: &mut [u8], stride: usize) {
    if highest == 0 || side == 1 {
        let value = to_pixel(descale(int(block[0].into()), 3));
        for row in 0..side {
            pixels[row * stride..][..side].fill(value);
        }
        return;
    }
    match side {
        8 => eight(block, pixels, stride),
        4 => four(block, pixels, stride),
        _ => two(block, pixels, stride),
    }
}

/// Divides by 2^`bits`, rounded.
#[inline(always)]
fn descale(value: Int, bits: usize) -> Int {
    (value + (int(1) << (bits - 1))) >> bits
}

#[inline(always)]
fn to_pixel(value: Int) -> u8 {
    (value + int(128)).0.clamp(0, 255) as u8
}

#[inline(always)]
fn eight(block: &Block, pixels: &mut [u8], stride: usize) {
    let mut rows = [[int(0); 8]; 8];
    for (row, values) in rows.iter_mut().zip(block.as_chunks::<8>().0) {
        for (place, &value) in row.iter_mut().zip(values) {
            *place = int(value.into());
        }
    }
    // Two bits more than whole numbers stay after the first pass.
    eight_columns(&mut rows, 13 - 2);
    transpose(&mut rows);
    eight_columns(&mut rows, 13 + 2 + 3);
    transpose(&mut rows);
    for (row, values) in rows.iter().enumerate() {
        let pixels = &mut pixels[row * stride..][..8];
        for (pixel, &value) in pixels.iter_mut().zip(values) {
            *pixel = to_pixel(value);
        }
    }
}

/// Transforms the columns, all at a time.
#[expect(
    clippy::needless_range_loop,
    reason = "vectors are made of a loop over the columns"
)]
#[inline(always)]
fn eight_columns(rows: &mut [[Int; 8]; 8], bits: usize) {
    for column in 0..8 {
        let input: [Int; 8] = std::array::from_fn(|row| rows[row][column]);
        // Even part.
        let z1 = (input[2] + input[6]) * fixed(0.541196100);
        let t2 = z1 - input[6] * fixed(1.847759065);
        let t3 = z1 + input[2] * fixed(0.765366865);
        let t0 = (input[0] + input[4]) << 13;
        let t1 = (input[0] - input[4]) << 13;
        let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
        // Odd part.
        let [_, i1, _, i3, _, i5, _, i7] = input;
        let z5 = (i7 + i3 + i5 + i1) * fixed(1.175875602);
        let z1 = (i7 + i1) * fixed(0.899976223);
        let z2 = (i5 + i3) * fixed(2.562915447);
        let z3 = z5 - (i7 + i3) * fixed(1.961570560);
        let z4 = z5 - (i5 + i1) * fixed(0.390180644);
        let odd = [
            i1 * fixed(1.501321110) - z1 + z4,
            i3 * fixed(3.072711026) - z2 + z3,
            i5 * fixed(2.053119869) - z2 + z4,
            i7 * fixed(0.298631336) - z1 + z3,
        ];
        for row in 0..4 {
            rows[row][column] = descale(even[row] + odd[row], bits);
            rows[7 - row][column] = descale(even[row] - odd[row], bits);
        }
    }
}

#[inline(always)]
fn transpose(rows: &mut [[Int; 8]; 8]) {
    // The compiler would go through memory.
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return transpose_vectors(simd.avx2, rows);
    }
    *rows = std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]));
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transpose_vectors(avx2: pulp::core_arch::x86::Avx2, rows: &mut [[Int; 8]; 8]) {
    let row: [std::arch::x86_64::__m256i; 8] = pulp::cast(*rows);
    let mut column = row;
    for half in [0, 4] {
        // Four rows become columns in both halves of the vectors.
        let ab = avx2._mm256_unpacklo_epi32(row[half], row[half + 1]);
        let ab2 = avx2._mm256_unpackhi_epi32(row[half], row[half + 1]);
        let cd = avx2._mm256_unpacklo_epi32(row[half + 2], row[half + 3]);
        let cd2 = avx2._mm256_unpackhi_epi32(row[half + 2], row[half + 3]);
        column[half] = avx2._mm256_unpacklo_epi64(ab, cd);
        column[half + 1] = avx2._mm256_unpackhi_epi64(ab, cd);
        column[half + 2] = avx2._mm256_unpacklo_epi64(ab2, cd2);
        column[half + 3] = avx2._mm256_unpackhi_epi64(ab2, cd2);
    }
    let mut out = row;
    for at in 0..4 {
        out[at] = avx2._mm256_permute2x128_si256::<0x20>(column[at], column[at + 4]);
        out[at + 4] = avx2._mm256_permute2x128_si256::<0x31>(column[at], column[at + 4]);
    }
    *rows = pulp::cast(out);
}

#[inline(always)]
fn four(block: &Block, pixels: &mut [u8], stride: usize) {
    // The square root of 2 times the cosine of 22.5 and 67.5 degrees.
    const C1: Int = fixed(1.306562965);
    const C3: Int = fixed(0.541196100);
    let pass = |[a, b, c, d]: [Int; 4], bits| {
        let (even, odd) = ((a + c) << 13, b * C1 + d * C3);
        let (even_inner, odd_inner) = ((a - c) << 13, b * C3 - d * C1);
        [
            even + odd,
            even_inner + odd_inner,
            even_inner - odd_inner,
            even - odd,
        ]
        .map(|value| descale(value, bits))
    };
    let columns: [_; 4] = std::array::from_fn(|column| {
        pass(
            std::array::from_fn(|row| int(block[8 * row + column].into())),
            13 - 4,
        )
    });
    for row in 0..4 {
        let values = pass(columns.map(|column| column[row]), 13 + 4 + 3);
        pixels[row * stride..][..4].copy_from_slice(&values.map(to_pixel));
    }
}

#[inline(always)]
fn two(block: &Block, pixels: &mut [u8], stride: usize) {
    let [a, b, c, d] = [0, 1, 8, 9].map(|place| int(block[place].into()));
    let (left, right) = ([a + b, c + d], [a - b, c - d]);
    for (row, sign) in [int(1), int(-1)].into_iter().enumerate() {
        let values = [left, right].map(|[upper, lower]| to_pixel(descale(upper + sign * lower, 3)));
        pixels[row * stride..][..2].copy_from_slice(&values);
    }
}
