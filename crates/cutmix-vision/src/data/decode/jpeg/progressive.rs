//! Files that refine their blocks from scan to scan (ITU-T T.81, annex G).

use super::Damage;
use super::bits::Bits;
use super::block::{Block, ZIGZAG, read_difference};
use super::huffman::Huffman;
use super::plane::Plane;
use super::scan::{ReadBlocks, Scan};
use super::tables::Tables;

/// The coefficients of a component.
pub struct Coefficients {
    blocks: Vec<Block>,
    /// Number of blocks in a row.
    columns: usize,
}

/// The number of blocks of a component, with those beyond the image that a minimum coded unit may
/// have.
fn extent(plane: &Plane) -> [usize; 2] {
    [&plane.down, &plane.across].map(|axis| axis.blocks.next_multiple_of(axis.sampling))
}

impl Coefficients {
    pub fn new(plane: &Plane) -> Self {
        let [rows, columns] = extent(plane);
        Self {
            blocks: vec![[0; 64]; rows * columns],
            columns,
        }
    }

    /// Number of bytes that they take.
    pub fn size(plane: &Plane) -> usize {
        let [rows, columns] = extent(plane);
        rows * columns * size_of::<Block>()
    }

    /// Makes the samples of the plane.
    #[inline(always)]
    pub fn write(&self, plane: &mut Plane) {
        let mut steps = [0; 64];
        for (&place, &step) in ZIGZAG.iter().zip(&plane.steps) {
            steps[usize::from(place)] = step;
        }
        for row in plane.down.wanted.clone() {
            for column in plane.across.wanted.clone() {
                let block = &self.blocks[row * self.columns + column];
                let highest = u32::from(block[1..].iter().any(|&value| value != 0));
                let block = std::array::from_fn(|at| (i32::from(block[at]) * steps[at]) as i16);
                plane.write(row, column, &block, highest);
            }
        }
    }
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
    let order = scan.order(planes);
    let values = vec![0; scan.members.len()];
    match (scan.first, scan.high) {
        (0, 0) => {
            let codes = scan.members.iter().map(|member| tables.dc(member.dc));
            let codes = codes.collect::<Result<_, _>>()?;
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
    codes: Vec<&'a Huffman>,
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
        *value = value.wrapping_add(read_difference(bits, self.codes[member])?);
        let coefficients = &mut self.coefficients[self.scan.members[member].component];
        let block = &mut coefficients.blocks[row * coefficients.columns + column];
        block[0] = value.wrapping_shl(self.scan.low) as i16;
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
        let block = &mut coefficients.blocks[row * coefficients.columns + column];
        block[0] |= i16::from(bits.bit()) << self.scan.low;
        Some(())
    }
}

/// Reads other coefficients, or adds a bit to them.
struct Rest<'a> {
    scan: &'a Scan,
    codes: &'a Huffman,
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
        let block = &mut self.blocks.blocks[row * self.blocks.columns + column];
        if self.is_refined {
            return refine(bits, self.codes, self.scan, &mut self.left, block);
        }
        if self.left > 0 {
            self.left -= 1;
            return Some(());
        }
        let mut place = self.scan.first as u32;
        while place <= self.scan.last as u32 {
            bits.need(32);
            let symbol = self.codes.symbol(bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size > 0 {
                place += run;
                if place > self.scan.last as u32 {
                    return None;
                }
                block[usize::from(ZIGZAG[place as usize])] =
                    (bits.signed(size) << self.scan.low) as i16;
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
    block: &mut Block,
) -> Option<()> {
    let step = 1i16 << scan.low;
    let mut places = ZIGZAG[scan.first..=scan.last]
        .iter()
        .map(|&place| usize::from(place));
    let add_bit = |bits: &mut Bits<'_>, value: &mut i16| {
        if bits.bit() && *value & step == 0 {
            *value = value.wrapping_add(if *value < 0 { -step } else { step });
        }
    };
    while *left == 0 && places.len() > 0 {
        bits.need(32);
        let symbol = codes.symbol(bits)?;
        let (mut run, size) = (symbol >> 4, symbol & 15);
        let mut new = 0;
        match (size, run) {
            (1, _) => new = if bits.bit() { step } else { -step },
            (0, 15) => {}
            (0, _) => {
                *left = (1 << run) + bits.take(run);
                break;
            }
            _ => return None,
        }
        for place in places.by_ref() {
            let value = &mut block[place];
            if *value != 0 {
                add_bit(bits, value);
            } else if run == 0 {
                *value = new;
                break;
            } else {
                run -= 1;
            }
        }
    }
    if *left > 0 {
        for place in places {
            if block[place] != 0 {
                add_bit(bits, &mut block[place]);
            }
        }
        *left -= 1;
    }
    Some(())
}
