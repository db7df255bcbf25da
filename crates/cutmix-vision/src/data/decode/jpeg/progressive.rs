//! Files that refine their blocks from scan to scan (ITU-T T.81, annex G).

use std::rc::Rc;

use super::Damage;
use super::bits::Bits;
use super::block::{Block, ZIGZAG, read_difference};
use super::huffman::Huffman;
use super::plane::Plane;
use super::scan::{ReadBlocks, Scan};
use super::tables::Tables;

/// The coefficients of a component.
pub struct Coefficients {
    blocks: Vec<Progress>,
    /// Number of blocks in a row.
    columns: usize,
    /// The lowest bit that has been read of each frequency; `None` before any.
    lowest: [Option<u32>; 64],
}

/// A block, as far as it has been read.
#[derive(Clone)]
struct Progress {
    /// The coefficients from low to high frequencies.
    values: Block,
    /// A bit for each coefficient but the first, which is 1 where the coefficient is not 0.
    others: u64,
}

/// The number of blocks of a component, with those beyond the image that a minimum coded unit may
/// have.
fn extent(plane: &Plane) -> [usize; 2] {
    [&plane.down, &plane.across].map(|axis| axis.blocks.next_multiple_of(axis.sampling))
}

impl Coefficients {
    pub fn new(plane: &Plane) -> Self {
        let [rows, columns] = extent(plane);
        let empty = Progress {
            values: [0; 64],
            others: 0,
        };
        Self {
            blocks: vec![empty; rows * columns],
            columns,
            lowest: [None; 64],
        }
    }

    /// Whether all bits of all frequencies have been read.
    pub fn are_whole(&self) -> bool {
        self.lowest == [Some(0); 64]
    }

    /// Takes note of the bits that a scan adds. `None` where they do not follow those before them.
    fn follow(&mut self, scan: &Scan) -> Option<()> {
        let before = (scan.high > 0).then_some(scan.high);
        let has_first = scan.first == 0 || self.lowest[0].is_some();
        for lowest in &mut self.lowest[scan.first..=scan.last] {
            if *lowest != before || !has_first {
                return None;
            }
            *lowest = Some(scan.low);
        }
        Some(())
    }

    /// Number of bytes that they take.
    pub fn size(plane: &Plane) -> usize {
        let [rows, columns] = extent(plane);
        rows * columns * size_of::<Progress>()
    }

    #[inline(always)]
    fn block(&mut self, row: usize, column: usize) -> &mut Progress {
        &mut self.blocks[row * self.columns + column]
    }

    /// Makes the samples of the plane.
    #[inline(always)]
    pub fn write(&mut self, plane: &mut Plane) {
        let mut block = [0; 64];
        for row in plane.down.wanted.clone() {
            for column in plane.across.wanted.clone() {
                let Progress { values, others } = self.block(row, column);
                for place in places(*others | 1) {
                    let value = i32::from(values[place]) * plane.steps[place];
                    block[usize::from(ZIGZAG[place])] = value as i16;
                }
                plane.write(row, column, &block, others.checked_ilog2().unwrap_or(0));
                block = [0; 64];
            }
        }
    }
}

/// The places of the bits that are 1, the lowest one first.
#[inline(always)]
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (place < 64).then_some(place as usize)
    })
}

/// Reads a scan.
pub fn read_scan(
    scan: &Scan,
    bits: &mut Bits<'_>,
    tables: &Tables,
    planes: &[Plane],
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    let is_valid = if scan.first == 0 {
        scan.last == 0
    } else {
        scan.members.len() == 1
    };
    let in_range = scan.first <= scan.last && scan.last < 64 && scan.low < 14;
    if !is_valid || !in_range || (scan.high > 0 && scan.high != scan.low + 1) {
        return Err(Damage("the header of a scan is broken"));
    }
    for member in &scan.members {
        let follows = coefficients[member.component].follow(scan);
        follows.ok_or(Damage("a part of it is missing"))?;
    }
    let order = scan.order(planes);
    match (scan.first, scan.high) {
        (0, 0) => {
            let codes = scan.members.iter().map(|member| tables.dc(member.dc));
            let codes = codes.collect::<Result<_, _>>()?;
            let values = vec![0; scan.members.len()];
            order.read(
                bits,
                tables.interval,
                &mut First {
                    scan,
                    codes,
                    values,
                    coefficients,
                },
            )
        }
        (0, _) => order.read(
            bits,
            tables.interval,
            &mut FirstRefined { scan, coefficients },
        ),
        (_, high) => {
            let component = scan.members[0].component;
            let codes = tables.ac(scan.members[0].ac)?;
            let blocks = &mut coefficients[component];
            let reader = &mut Rest {
                scan,
                codes,
                blocks,
                left: 0,
                is_refined: high > 0,
            };
            order.read(bits, tables.interval, reader)
        }
    }
}

/// Reads the first coefficients of the blocks.
struct First<'a> {
    scan: &'a Scan,
    codes: Vec<Rc<Huffman>>,
    /// The first coefficient of the last block of each member.
    values: Vec<i32>,
    coefficients: &'a mut [Coefficients],
}

impl ReadBlocks for First<'_> {
    fn restart(&mut self) {
        self.values.fill(0);
    }

    #[inline(always)]
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        member: usize,
        row: usize,
        column: usize,
    ) -> Option<()> {
        let value = &mut self.values[member];
        *value = value.wrapping_add(read_difference(bits, &self.codes[member])?);
        let coefficients = &mut self.coefficients[self.scan.members[member].component];
        coefficients.block(row, column).values[0] = value.wrapping_shl(self.scan.low) as i16;
        Some(())
    }
}

/// Adds a bit to the first coefficients.
struct FirstRefined<'a> {
    scan: &'a Scan,
    coefficients: &'a mut [Coefficients],
}

impl ReadBlocks for FirstRefined<'_> {
    fn restart(&mut self) {}

    #[inline(always)]
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        member: usize,
        row: usize,
        column: usize,
    ) -> Option<()> {
        let coefficients = &mut self.coefficients[self.scan.members[member].component];
        coefficients.block(row, column).values[0] |= i16::from(bits.bit()) << self.scan.low;
        Some(())
    }
}

/// Reads other coefficients, or adds a bit to them.
struct Rest<'a> {
    scan: &'a Scan,
    codes: Rc<Huffman>,
    blocks: &'a mut Coefficients,
    /// Number of blocks, from the next one on, without new coefficients.
    left: u32,
    is_refined: bool,
}

impl ReadBlocks for Rest<'_> {
    fn restart(&mut self) {
        self.left = 0;
    }

    #[inline(always)]
    fn read(&mut self, bits: &mut Bits<'_>, _: usize, row: usize, column: usize) -> Option<()> {
        let block = self.blocks.block(row, column);
        if self.is_refined {
            return refine(bits, &self.codes, self.scan, &mut self.left, block);
        }
        if self.left > 0 {
            self.left -= 1;
            return Some(());
        }
        let mut place = self.scan.first;
        while place <= self.scan.last {
            bits.need(32);
            let symbol = self.codes.symbol(bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size > 0 {
                place += run as usize;
                if place > self.scan.last {
                    return None;
                }
                block.values[place] = (bits.signed(size) << self.scan.low) as i16;
                block.others |= 1 << place;
                place += 1;
            } else if run == 15 {
                place += 16;
            } else {
                self.left = (1 << run) - 1 + bits.take(run);
                break;
            }
        }
        Some(())
    }
}

/// Adds a bit to the coefficients that are not 0 and reads those that become so.
#[inline(always)]
fn refine(
    bits: &mut Bits<'_>,
    codes: &Huffman,
    scan: &Scan,
    left: &mut u32,
    block: &mut Progress,
) -> Option<()> {
    let step = 1i16 << scan.low;
    let Progress { values, others } = block;
    let add_bit = |bits: &mut Bits<'_>, value: &mut i16| {
        if bits.bit() && *value & step == 0 {
            *value = value.wrapping_add(if *value < 0 { -step } else { step });
        }
    };
    let mut place = scan.first;
    while *left == 0 && place <= scan.last {
        bits.need(32);
        let symbol = codes.symbol(bits)?;
        let (mut run, size) = (symbol as usize >> 4, symbol & 15);
        let mut new = 0;
        match (size, run) {
            (1, _) => new = if bits.bit() { step } else { -step },
            (0, 15) => {}
            (0, _) => {
                *left = (1 << run) + bits.take(run as u32);
                break;
            }
            _ => return None,
        }
        // It comes behind `run` coefficients that are 0, and those between them that are not.
        loop {
            let zeros = (*others >> place).trailing_zeros() as usize;
            if run < zeros || place + zeros > scan.last {
                place += run.min(zeros);
                break;
            }
            place += zeros;
            run -= zeros;
            add_bit(bits, &mut values[place]);
            place += 1;
            if place > scan.last {
                break;
            }
        }
        if new != 0 && place <= scan.last {
            values[place] = new;
            *others |= 1 << place;
        }
        place += 1;
    }
    if *left > 0 {
        let rest = u64::MAX << place & u64::MAX >> (63 - scan.last);
        for place in places(*others & rest) {
            add_bit(bits, &mut values[place]);
        }
        *left -= 1;
    }
    Some(())
}
