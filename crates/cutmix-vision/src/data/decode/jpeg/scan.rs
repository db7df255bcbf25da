//! Scans: runs through the blocks of one component or several (ITU-T T.81, A.2 and E.2).

use super::bits::Bits;
use super::file::{File, kind};
use super::plane::Plane;
use super::{DAMAGED, Damage};

/// What a scan holds.
pub struct Scan {
    pub members: Vec<Member>,
    /// First and last frequency.
    pub first: usize,
    pub last: usize,
    /// The bit before the ones that this scan adds; 0 where it is the first one.
    pub high: u32,
    /// The lowest bit that this scan adds.
    pub low: u32,
}

/// A component of a scan.
pub struct Member {
    /// Its number in the frame.
    pub component: usize,
    /// Numbers of its tables of codes.
    pub dc: usize,
    pub ac: usize,
}

/// What reads the blocks of a scan.
pub trait ReadBlocks {
    /// Begins anew: at the start and at restart markers.
    fn restart(&mut self);

    /// Reads a block of a component. `None` where the data is damaged.
    fn read(&mut self, bits: &mut Bits<'_>, member: usize, row: usize, column: usize)
    -> Option<()>;
}

impl Scan {
    /// Reads the content of the segment.
    pub fn new(content: &[u8], file: &File<'_>) -> Result<Self, Damage> {
        let broken = Damage("the header of a scan is broken");
        let (&count, rest) = content.split_first().ok_or(broken)?;
        let (members, rest) = rest
            .split_at_checked(2 * usize::from(count))
            .ok_or(broken)?;
        let member = |&[id, tables]: &[u8; 2]| {
            let component = file.components.iter().position(|one| one.id == id)?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            (dc < 4 && ac < 4).then_some(Member { component, dc, ac })
        };
        let members: Option<Vec<_>> = members.as_chunks().0.iter().map(member).collect();
        let members = members.filter(|all| {
            !all.is_empty() && all.is_sorted_by(|one, next| one.component < next.component)
        });
        let (&[first, last, bits], _) = rest.split_first_chunk().ok_or(broken)?;
        Ok(Self {
            members: members.ok_or(broken)?,
            first: first.into(),
            last: last.into(),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
        })
    }

    /// The order of its blocks.
    pub fn order(&self, planes: &[Plane]) -> Order {
        // A scan of several components has a minimum coded unit of blocks of each in turn.
        let is_interleaved = self.members.len() > 1;
        let unit = |member: &Member| {
            let Plane { down, across, .. } = &planes[member.component];
            if is_interleaved {
                [down.sampling, across.sampling]
            } else {
                [1, 1]
            }
        };
        let units: Vec<_> = self.members.iter().map(unit).collect();
        let Plane { down, across, .. } = &planes[self.members[0].component];
        let [rows, columns] = units[0];
        Order {
            rows: down.blocks.div_ceil(rows),
            columns: across.blocks.div_ceil(columns),
            units,
        }
    }
}

/// The order of the blocks of a scan.
pub struct Order {
    rows: usize,
    columns: usize,
    /// Rows and columns of blocks of each member in a minimum coded unit.
    units: Vec<[usize; 2]>,
}

impl Order {
    /// Reads all blocks. There is a restart marker after each `interval` units, or none where that
    /// is 0.
    #[inline(always)]
    pub fn read(
        &self,
        bits: &mut Bits<'_>,
        interval: usize,
        reader: &mut impl ReadBlocks,
    ) -> Result<(), Damage> {
        let mut left = interval;
        let mut marker = 0;
        reader.restart();
        for row in 0..self.rows {
            for column in 0..self.columns {
                if interval > 0 {
                    if left == 0 {
                        restart(bits, marker)?;
                        reader.restart();
                        marker = (marker + 1) % 8;
                        left = interval;
                    }
                    left -= 1;
                }
                for (member, &[rows, columns]) in self.units.iter().enumerate() {
                    for down in 0..rows {
                        for across in 0..columns {
                            let (row, column) = (rows * row + down, columns * column + across);
                            reader.read(bits, member, row, column).ok_or(DAMAGED)?;
                        }
                    }
                }
            }
            if bits.is_beyond_end() {
                return Err(Damage("it ends early, or a part of it is missing"));
            }
        }
        Ok(())
    }
}

/// Goes on behind the restart marker with this number.
#[cold]
#[inline(never)]
fn restart(bits: &mut Bits<'_>, number: u8) -> Result<(), Damage> {
    let next = bits
        .next_marker()
        .filter(|&(_, kind)| kind == kind::RESTART + number);
    let (position, _) = next
        .filter(|_| !bits.is_beyond_end())
        .ok_or(Damage("a part of it is missing"))?;
    bits.restart(position + 2);
    Ok(())
}
