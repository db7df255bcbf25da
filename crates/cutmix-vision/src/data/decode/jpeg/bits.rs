//! The bits of the compressed data.

/// Reads bits, the first ones highest, from data in which a zero byte follows each byte 255.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// Where the bytes begin that have not been read.
    position: usize,
    /// The next bits, from the highest one on.
    buffer: u64,
    /// Number of bits of the buffer that may be used.
    available: u32,
    /// Number of zero bytes read where the data has ended.
    missing: u32,
}

/// The first byte of a marker, which is in front of each segment and behind the data.
const MARKER: u8 = 0xff;

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], position: usize) -> Self {
        Self {
            bytes,
            position,
            buffer: 0,
            available: 0,
            missing: 0,
        }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub fn refill(&mut self) {
        if let Some((word, _)) =
            (self.bytes.get(self.position..)).and_then(|rest| rest.split_first_chunk())
        {
            let word = u64::from_be_bytes(*word);
            if !has_marker(word) {
                self.buffer |= word >> self.available;
                self.position += (63 - self.available as usize) >> 3;
                self.available |= 56;
                return;
            }
        }
        *self = self.refilled();
    }

    #[cold]
    #[inline(never)]
    fn refilled(mut self) -> Self {
        // Bits behind the available ones have been read ahead.
        self.buffer &= !(u64::MAX.checked_shr(self.available).unwrap_or(0));
        while self.available < 56 {
            let rest = self.bytes.get(self.position..).unwrap_or_default();
            let (byte, length) = match *rest {
                [MARKER, 0, ..] => (MARKER, 2),
                [MARKER, ..] | [] => (0, 0),
                [byte, ..] => (byte, 1),
            };
            self.position += length;
            self.missing += u32::from(length == 0);
            self.buffer |= u64::from(byte) << (56 - self.available);
            self.available += 8;
        }
        self
    }

    /// Makes at least `count` bits available, up to 56.
    #[inline(always)]
    pub fn need(&mut self, count: u32) {
        if self.available < count {
            self.refill();
        }
    }

    /// The next 1 to 32 bits.
    #[inline(always)]
    pub fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    #[inline(always)]
    pub fn drop(&mut self, count: u32) {
        self.buffer <<= count;
        self.available -= count;
    }

    /// The next 0 to 16 bits, which must be available.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = (self.buffer >> 32 >> (32 - count)) as u32;
        self.drop(count);
        value
    }

    /// The next bit.
    #[inline(always)]
    pub fn bit(&mut self) -> bool {
        self.need(1);
        self.take(1) == 1
    }

    /// A number of `size` bits, which must be available: the upper half of what they can say is
    /// positive, the lower half negative (ITU-T T.81, F.2.2.1).
    #[inline(always)]
    pub fn signed(&mut self, size: u32) -> i32 {
        let value = self.take(size) as i32;
        let half = (1 << size) >> 1;
        if value < half {
            value - (1 << size) + 1
        } else {
            value
        }
    }

    /// Whether more bits were used than there are.
    pub fn is_beyond_end(&self) -> bool {
        8 * self.missing > self.available
    }

    /// Where the bytes begin that have not been read, before the next marker.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Where the next marker is, and its kind.
    pub fn next_marker(&self) -> Option<(usize, u8)> {
        next_marker(self.bytes, self.position)
    }

    /// Goes on behind a marker.
    pub fn restart(&mut self, position: usize) {
        *self = Self::new(self.bytes, position);
    }
}

/// Whether one of the 8 bytes is 255.
#[inline(always)]
fn has_marker(word: u64) -> bool {
    let inverse = !word;
    inverse.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 != 0
}

/// Where the next marker in `bytes` is, from `position` on, and its kind.
pub fn next_marker(bytes: &[u8], mut position: usize) -> Option<(usize, u8)> {
    loop {
        match *bytes.get(position..)? {
            [MARKER, kind, ..] if kind != 0 && kind != MARKER => return Some((position, kind)),
            [_, _, ..] => position += 1,
            _ => return None,
        }
    }
}
