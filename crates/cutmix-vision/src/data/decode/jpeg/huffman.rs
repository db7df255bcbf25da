//! Huffman codes (ITU-T T.81, annex C).

use super::bits::Bits;

/// Codes of up to this number of bits are looked up.
const SHORT: u32 = 9;
/// Coefficients whose code and value together have up to this number of bits are looked up.
const VALUE: u32 = 11;
/// Blocks are skipped by this number of bits at a time.
const SKIP: u32 = 13;

/// One table of codes.
pub struct Huffman {
    /// For each start of [`SHORT`] bits the code that it begins with: its length << 8 | its symbol,
    /// or 0.
    short: Box<[u16; 1 << SHORT]>,
    /// The largest code of each length, or -1.
    largest: [i32; 17],
    /// What has to be added to a code of each length to get the place of its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
    /// For each start of [`VALUE`] bits the coefficient that it begins with.
    values: Box<[Value; 1 << VALUE]>,
    /// For each start of [`SKIP`] bits the coefficients that it holds.
    skips: Box<[Skip; 1 << SKIP]>,
}

/// A coefficient that is not 0, or the end of a block.
#[derive(Clone, Copy)]
pub struct Value(u32);

impl Value {
    const END: u32 = 1 << 9;
    const LONG: u32 = 1 << 10;

    /// Number of bits.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0 & 31
    }

    /// Number of coefficients that are 0 in front of it.
    #[inline(always)]
    pub fn run(self) -> u32 {
        self.0 >> 5 & 15
    }

    #[inline(always)]
    pub fn coefficient(self) -> i32 {
        self.0 as i32 >> 16
    }

    /// Whether this is a coefficient.
    #[inline(always)]
    pub fn is_coefficient(self) -> bool {
        self.0 & (Self::END | Self::LONG) == 0
    }

    /// Whether the rest of the block is 0.
    #[inline(always)]
    pub fn is_end(self) -> bool {
        self.0 & Self::END != 0
    }
}

/// As many whole coefficients as fit into a few bits.
#[derive(Clone, Copy)]
pub struct Skip(u16);

impl Skip {
    /// No code of a block ends within the bits: more places than a block has.
    const NONE: u16 = 127 << 4;
    const END: u16 = 1 << 15;

    #[inline(always)]
    pub fn bits(self) -> u32 {
        u32::from(self.0) & 15
    }

    /// Number of places in the block.
    #[inline(always)]
    pub fn places(self) -> u32 {
        u32::from(self.0) >> 4 & 127
    }

    #[inline(always)]
    pub fn is_end(self) -> bool {
        self.0 & Self::END != 0
    }
}

impl Huffman {
    /// The table of these symbols, with the number of codes of each length from 1 to 16. `None`
    /// where there are more codes of a length than there can be.
    pub fn new(counts: &[u8; 16], symbols: &[u8], is_ac: bool) -> Option<Self> {
        let mut table = Self {
            short: Box::new([0; 1 << SHORT]),
            largest: [-1; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
            values: Box::new([Value(0); 1 << VALUE]),
            skips: Box::new([Skip(0); 1 << SKIP]),
        };
        // Like `short`, for as many bits as the other tables need.
        const LONG: u32 = if VALUE > SKIP { VALUE } else { SKIP };
        let mut long = vec![0u16; 1 << LONG];
        let (mut code, mut place) = (0i32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offset[length as usize] = place as i32 - code;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                if length <= LONG {
                    let entry = (length as u16) << 8 | u16::from(*symbols.get(place)?);
                    let first = (code as usize) << (LONG - length);
                    long[first..][..1 << (LONG - length)].fill(entry);
                }
                table.largest[length as usize] = code;
                code += 1;
                place += 1;
            }
            code <<= 1;
        }
        for (index, short) in table.short.iter_mut().enumerate() {
            let entry = long[index << (LONG - SHORT)];
            if u32::from(entry >> 8) <= SHORT {
                *short = entry;
            }
        }
        if is_ac {
            *table.values = std::array::from_fn(|start| value(&long, LONG, start));
            *table.skips = std::array::from_fn(|start| skip(&long, LONG, start));
        }
        Some(table)
    }

    /// The coefficient at the start of the next bits.
    #[inline(always)]
    pub fn value(&self, bits: &Bits) -> Value {
        self.values[bits.peek(VALUE)]
    }

    /// The coefficients within the next bits.
    #[inline(always)]
    pub fn skip(&self, bits: &Bits) -> Skip {
        self.skips[bits.peek(SKIP)]
    }

    /// The next symbol, of up to 16 bits, which must be available. `None` where no code has these
    /// bits.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits) -> Option<u32> {
        let entry = self.short[bits.peek(SHORT)];
        if entry != 0 {
            bits.drop(u32::from(entry >> 8));
            return Some(u32::from(entry) & 255);
        }
        let (length, symbol) = self.long_symbol(bits.peek(16) as i32)?;
        bits.drop(length);
        Some(symbol)
    }

    /// The symbol at the start of 16 bits, and the length of its code.
    #[inline(never)]
    fn long_symbol(&self, next: i32) -> Option<(u32, u32)> {
        for length in SHORT + 1..=16 {
            let code = next >> (16 - length);
            if code <= self.largest[length as usize] {
                let place = code + self.offset[length as usize];
                let symbol = self.symbols.get(place as usize)?;
                return Some((length, u32::from(*symbol)));
            }
        }
        None
    }
}

fn value(codes: &[u16], bits: u32, start: usize) -> Value {
    let entry = u32::from(codes[start << (bits - VALUE)]);
    let (length, run, size) = (entry >> 8, entry >> 4 & 15, entry & 15);
    Value(if length == 0 || length > VALUE {
        Value::LONG
    } else if entry & 255 == 0 {
        Value::END | length
    } else if size == 0 || length + size > VALUE {
        Value::LONG
    } else {
        let value = start as i32 >> (VALUE - length - size) & ((1 << size) - 1);
        let value = if value >> (size - 1) == 0 {
            value - (1 << size) + 1
        } else {
            value
        };
        (value << 16) as u32 | run << 5 | (length + size)
    })
}

fn skip(codes: &[u16], bits: u32, start: usize) -> Skip {
    let (mut used, mut places) = (0, 0);
    loop {
        let rest = (start << used & ((1 << SKIP) - 1)) << (bits - SKIP);
        let entry = u32::from(codes[rest]);
        let (length, run, size) = (entry >> 8, entry >> 4 & 15, entry & 15);
        let is_end = entry & 255 == 0;
        if length == 0 || used + length + size > SKIP || (size == 0 && run != 15 && !is_end) {
            break;
        }
        if is_end {
            return Skip((used + length) as u16 | places << 4 | Skip::END);
        }
        // Places beyond a block are met one by one.
        if places + run as u16 + 1 > 62 {
            break;
        }
        used += length + size;
        places += run as u16 + 1;
    }
    Skip(if used == 0 {
        Skip::NONE
    } else {
        used as u16 | places << 4
    })
}
