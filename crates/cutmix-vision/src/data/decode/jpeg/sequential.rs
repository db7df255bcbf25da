//! Files that hold each block once.

use std::rc::Rc;

use super::Damage;
use super::bits::Bits;
use super::block::{Block, read_difference, read_rest, skip_rest};
use super::huffman::Huffman;
use super::plane::Plane;
use super::scan::{ReadBlocks, Scan};
use super::tables::Tables;

/// Reads a scan: the blocks that are wanted become samples, the others are skipped.
#[inline(always)]
pub fn read_scan(
    scan: &Scan,
    bits: &mut Bits<'_>,
    tables: &Tables,
    planes: &mut [Plane],
) -> Result<(), Damage> {
    let members = scan.members.iter().map(|member| {
        Ok(Member {
            component: member.component,
            dc: tables.dc(member.dc)?,
            ac: tables.ac(member.ac)?,
            value: 0,
        })
    });
    let members = members.collect::<Result<Vec<_>, Damage>>()?;
    let order = scan.order(planes);
    order.read(
        bits,
        tables.interval,
        &mut Reader {
            members,
            planes,
            block: [0; 64],
        },
    )
}

struct Member {
    component: usize,
    dc: Rc<Huffman>,
    ac: Rc<Huffman>,
    /// The first coefficient of the last block.
    value: i32,
}

struct Reader<'a> {
    members: Vec<Member>,
    planes: &'a mut [Plane],
    /// All 0 between two blocks.
    block: Block,
}

impl ReadBlocks for Reader<'_> {
    fn restart(&mut self) {
        for member in &mut self.members {
            member.value = 0;
        }
    }

    #[inline(always)]
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        member: usize,
        row: usize,
        column: usize,
    ) -> Option<()> {
        let member = &mut self.members[member];
        member.value = member
            .value
            .wrapping_add(read_difference(bits, &member.dc)?);
        let plane = &mut self.planes[member.component];
        if !plane.wants(row, column) {
            return skip_rest(bits, &member.ac, 0);
        }
        let highest = read_rest(bits, &member.ac, &plane.steps, plane.last, &mut self.block)?;
        self.block[0] = member.value.wrapping_mul(plane.steps[0]) as i16;
        plane.write(row, column, &self.block, highest);
        if highest > 0 {
            self.block = [0; 64];
        }
        Some(())
    }
}
