//! The blocks of 8 x 8 coefficients of a sequential file (ITU-T T.81, F.2.2).

use super::bits::Bits;
use super::huffman::Huffman;

/// Where the coefficients of a block are, from low to high frequencies: row << 3 | column.
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Coefficients, row by row.
pub type Block = [i16; 64];

/// Step of each frequency, in the order of [`ZIGZAG`].
pub type Quantization = [i32; 64];

/// The largest number of bits of a coefficient.
const MOST_BITS: u32 = 15;

/// Reads the difference of the first coefficient of a block to that of the one before.
#[inline(always)]
pub fn read_difference(bits: &mut Bits, codes: &Huffman) -> Option<i32> {
    bits.need(32);
    let size = codes.symbol(bits)?;
    (size <= MOST_BITS).then(|| bits.signed(size))
}

/// Reads the other coefficients, up to the frequency `last`, times their steps, and skips the rest.
/// Returns the highest frequency that is not 0.
#[inline(always)]
pub fn read_rest(
    bits: &mut Bits,
    codes: &Huffman,
    steps: &Quantization,
    last: u32,
    block: &mut Block,
) -> Option<u32> {
    let mut place = 0;
    let mut set = |place: u32, value: i32| {
        block[usize::from(ZIGZAG[place as usize & 63])] =
            (value * steps[place as usize & 63]) as i16;
    };
    loop {
        bits.refill();
        // Two looked up, of 11 bits at most, leave enough for one of 31.
        for _ in 0..3 {
            let value = codes.value(bits);
            if value.is_coefficient() {
                bits.drop(value.bits());
                place += value.run() + 1;
                if place > 63 {
                    return None;
                }
                set(place, value.coefficient());
            } else if value.is_end() {
                bits.drop(value.bits());
                return Some(place);
            } else {
                let symbol = codes.symbol(bits)?;
                let (run, size) = (symbol >> 4, symbol & 15);
                if size > 0 {
                    place += run + 1;
                    if place > 63 {
                        return None;
                    }
                    let value = bits.signed(size);
                    set(place, value);
                } else if run == 15 {
                    place += 16;
                    if place > 62 {
                        return None;
                    }
                } else {
                    return (run == 0).then_some(place);
                }
                if place < last {
                    break;
                }
            }
            if place >= last {
                skip_rest(bits, codes, place)?;
                return Some(place);
            }
        }
    }
}

/// Skips the coefficients of a block behind `place`.
#[inline(always)]
pub fn skip_rest(bits: &mut Bits, codes: &Huffman, mut place: u32) -> Option<()> {
    while place < 63 {
        bits.refill();
        for _ in 0..4 {
            let skip = codes.skip(bits);
            let next = place + skip.places();
            if next >= 63 {
                bits.need(32);
                let symbol = codes.symbol(bits)?;
                let (run, size) = (symbol >> 4, symbol & 15);
                if symbol == 0 {
                    return Some(());
                }
                if size == 0 && run != 15 {
                    return None;
                }
                bits.drop(size);
                place += run + 1;
                if place > 63 || (size == 0 && place > 62) {
                    return None;
                }
                break;
            }
            bits.drop(skip.bits());
            place = next;
            if skip.is_end() {
                return Some(());
            }
        }
    }
    Some(())
}
