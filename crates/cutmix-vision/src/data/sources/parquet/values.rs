//! From the bytes of a page to values.
//!
//! The encodings are those of <https://parquet.apache.org/docs/file-format/data-pages/encodings/>
//! that writers use by default. Every read is checked, as the bytes of a file may be anything.

use ::parquet::basic::{Encoding, Type};
use ::parquet::errors::Result;

use super::wrong;

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

/// Small numbers in runs of one number, or packed bit by bit.
#[derive(Debug)]
pub struct Hybrid {
    bytes: Vec<u8>,
    /// Number of bytes that were read.
    at: usize,
    /// Number of bits of a number, up to 32.
    width: u32,
    run: Run,
}

#[derive(Debug)]
enum Run {
    /// The same number so many times.
    Same { number: u32, left: usize },
    /// So many numbers from this bit on.
    Packed { bit: usize, left: usize },
}

impl Hybrid {
    pub fn new(bytes: Vec<u8>, width: u32) -> Result<Self> {
        if width > 32 {
            return Err(wrong(format!("numbers have {width} bits")));
        }
        Ok(Self {
            bytes,
            at: 0,
            width,
            run: Run::Same { number: 0, left: 0 },
        })
    }

    /// The next number.
    pub fn next(&mut self) -> Result<u32> {
        loop {
            match &mut self.run {
                Run::Same { number, left } if *left > 0 => {
                    *left -= 1;
                    return Ok(*number);
                }
                Run::Packed { bit, left } if *left > 0 => {
                    *left -= 1;
                    let number = bits(&self.bytes, *bit, self.width);
                    *bit += self.width as usize;
                    return number.ok_or_else(|| wrong("packed numbers end early"));
                }
                _ => self.start_run()?,
            }
        }
    }

    fn start_run(&mut self) -> Result<()> {
        let header = self.header()?;
        let (count, is_packed) = ((header >> 1) as usize, header & 1 == 1);
        self.run = if is_packed {
            // In groups of eight.
            let bit = self.at * 8;
            self.at = self
                .at
                .saturating_add(count.saturating_mul(self.width as usize));
            Run::Packed {
                bit,
                left: count.saturating_mul(8),
            }
        } else {
            let len = self.width.div_ceil(8) as usize;
            let number = bits(&self.bytes, self.at * 8, 8 * len as u32);
            self.at += len;
            Run::Same {
                number: number.ok_or_else(|| wrong("a run ends early"))?,
                left: count,
            }
        };
        Ok(())
    }

    /// A number of seven bits in each byte, the lowest first.
    fn header(&mut self) -> Result<u32> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self
                .bytes
                .get(self.at)
                .ok_or_else(|| wrong("a page ends early"))?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(wrong);
            }
        }
        Err(wrong("the length of a run is too large"))
    }
}

/// `count` bits from a bit on, the lowest first, as a number.
fn bits(bytes: &[u8], from: usize, count: u32) -> Option<u32> {
    let mut number = 0u64;
    let (first, shift) = (from / 8, from % 8);
    let last = (from + count as usize).div_ceil(8);
    for (at, byte) in bytes.get(first..last)?.iter().enumerate() {
        number |= u64::from(*byte) << (8 * at);
    }
    let mask = (1u64 << count) - 1;
    Some(((number >> shift) & mask) as u32)
}

/// The values of a page, one after another.
#[derive(Debug)]
pub enum Values {
    Plain {
        bytes: Vec<u8>,
        at: usize,
        kind: Type,
    },
    /// Truth values, of one bit each.
    Bits {
        bytes: Vec<u8>,
        at: usize,
    },
    Hybrid(Hybrid),
    /// Numbers of values of the dictionary.
    Indices(Hybrid),
}

impl Values {
    /// The values in the bytes of a page that come after its levels.
    pub fn new(mut bytes: Vec<u8>, encoding: Encoding, kind: Type) -> Result<Self> {
        match encoding {
            Encoding::PLAIN if kind == Type::BOOLEAN => Ok(Self::Bits { bytes, at: 0 }),
            Encoding::PLAIN => Ok(Self::Plain { bytes, at: 0, kind }),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                if bytes.is_empty() {
                    return Ok(Self::Indices(Hybrid::new(bytes, 0)?));
                }
                let width = bytes.remove(0);
                Ok(Self::Indices(Hybrid::new(bytes, width.into())?))
            }
            Encoding::RLE if kind == Type::BOOLEAN => {
                let bytes = bytes.split_off(bytes.len().min(4));
                Ok(Self::Hybrid(Hybrid::new(bytes, 1)?))
            }
            other => Err(wrong(format!(
                "values are encoded by {other}, which is not supported"
            ))),
        }
    }

    /// The next value.
    pub fn next<'a>(&'a mut self, dictionary: Option<&'a Dictionary>) -> Result<Value<'a>> {
        match self {
            Self::Plain { bytes, at, kind } => {
                let (value, next) = plain(bytes, *at, *kind)?;
                *at = next;
                Ok(value)
            }
            Self::Bits { bytes, at } => {
                let bit = bits(bytes, *at, 1).ok_or_else(|| wrong("a page ends early"))?;
                *at += 1;
                Ok(Value::Number(bit.into()))
            }
            Self::Hybrid(numbers) => Ok(Value::Number(numbers.next()?.into())),
            Self::Indices(indices) => {
                let index = indices.next()? as usize;
                let value = dictionary.and_then(|dictionary| dictionary.get(index));
                value.ok_or_else(|| wrong(format!("value {index} is not in the dictionary")))
            }
        }
    }
}

/// The value at an offset of plain bytes, and the offset of the next one.
fn plain(bytes: &[u8], at: usize, kind: Type) -> Result<(Value<'_>, usize)> {
    let ends = || wrong("a page ends early");
    let part = |from: usize, len: usize| {
        let to = from.checked_add(len)?;
        Some((bytes.get(from..to)?, to))
    };
    match kind {
        Type::INT32 => {
            let (value, next) = part(at, 4).ok_or_else(ends)?;
            let value = value.first_chunk().copied().map(i32::from_le_bytes);
            Ok((Value::Number(value.ok_or_else(ends)?.into()), next))
        }
        Type::INT64 => {
            let (value, next) = part(at, 8).ok_or_else(ends)?;
            let value = value.first_chunk().copied().map(i64::from_le_bytes);
            Ok((Value::Number(value.ok_or_else(ends)?), next))
        }
        Type::BYTE_ARRAY => {
            let (len, start) = part(at, 4).ok_or_else(ends)?;
            let len = len
                .first_chunk()
                .copied()
                .map(u32::from_le_bytes)
                .ok_or_else(ends)?;
            let (value, next) = part(start, len as usize).ok_or_else(ends)?;
            Ok((Value::Bytes(value), next))
        }
        _ => Err(wrong("its values are neither whole numbers nor text")),
    }
}

/// The different values of a column.
#[derive(Debug)]
pub struct Dictionary {
    bytes: Vec<u8>,
    kind: Type,
    /// Where the values start.
    offsets: Vec<usize>,
}

impl Dictionary {
    /// The dictionary of so many plain values.
    pub fn new(bytes: Vec<u8>, values: usize, kind: Type) -> Result<Self> {
        let mut offsets = Vec::new();
        let mut at = 0;
        for _ in 0..values {
            offsets.push(at);
            at = plain(&bytes, at, kind)?.1;
        }
        Ok(Self {
            bytes,
            kind,
            offsets,
        })
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        let (value, _) = plain(&self.bytes, *self.offsets.get(index)?, self.kind).ok()?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_numbers_are_read_in_turn() {
        // Three times 5, and 0 to 7 with three bits each: the example of the format.
        let bytes = vec![0b110, 5, 0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        let mut numbers = Hybrid::new(bytes, 3).unwrap();
        let read: Vec<_> = (0..11).map(|_| numbers.next().unwrap()).collect();
        assert_eq!(read, [5, 5, 5, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(numbers.next().is_err());
    }

    #[test]
    fn values_of_a_dictionary_are_found_by_their_number() {
        let words = b"\x01\0\0\0a\x02\0\0\0bc".to_vec();
        let dictionary = Dictionary::new(words.clone(), 2, Type::BYTE_ARRAY).unwrap();
        assert_eq!(dictionary.get(1), Some(Value::Bytes(b"bc")));
        assert_eq!(dictionary.get(2), None);
        assert!(Dictionary::new(words, 3, Type::BYTE_ARRAY).is_err());
    }
}
