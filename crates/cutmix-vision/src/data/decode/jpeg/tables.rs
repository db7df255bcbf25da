//! The tables that a file gives between its scans.

use std::cell::RefCell;
use std::rc::Rc;

use super::Damage;
use super::block::Quantization;
use super::file::kind;
use super::huffman::Huffman;

/// The tables as they are at one place of a file.
#[derive(Default)]
pub struct Tables<'a> {
    steps: [Option<Quantization>; 4],
    /// The bytes of the Huffman tables. Tables are made of those that a scan uses.
    dc: [Option<&'a [u8]>; 4],
    ac: [Option<&'a [u8]>; 4],
    /// Number of minimum coded units between two restart markers; 0 where there are none.
    pub interval: usize,
}

impl<'a> Tables<'a> {
    /// Takes what a segment gives, if it gives tables.
    pub fn update(&mut self, kind: u8, content: &'a [u8]) -> Result<(), Damage> {
        match kind {
            kind::QUANTIZATION => self
                .read_quantization(content)
                .ok_or(Damage("a quantization table is broken")),
            kind::HUFFMAN => self
                .read_codes(content)
                .ok_or(Damage("a Huffman table is broken")),
            kind::INTERVAL => {
                let interval = content
                    .first_chunk()
                    .ok_or(Damage("a restart interval is broken"))?;
                self.interval = u16::from_be_bytes(*interval).into();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_quantization(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = content.split_first() {
            let steps = self.steps.get_mut(usize::from(head & 15))?.insert([0; 64]);
            let width = if head >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * width)?;
            for (step, bytes) in steps.iter_mut().zip(values.chunks_exact(width)) {
                *step = bytes
                    .iter()
                    .fold(0, |value, &byte| value << 8 | i32::from(byte));
            }
            content = rest;
        }
        Some(())
    }

    fn read_codes(&mut self, mut content: &'a [u8]) -> Option<()> {
        while let Some((&head, rest)) = content.split_first() {
            let counts = rest.first_chunk::<16>()?;
            let symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (codes, rest) = rest.split_at_checked(16 + symbols)?;
            let is_ac = head >> 4 == 1;
            let tables = if is_ac { &mut self.ac } else { &mut self.dc };
            *tables.get_mut(usize::from(head & 15))? = Some(codes);
            content = rest;
        }
        Some(())
    }

    pub fn steps(&self, number: usize) -> Result<&Quantization, Damage> {
        self.steps[number]
            .as_ref()
            .ok_or(Damage("a quantization table is missing"))
    }

    pub fn dc(&self, number: usize) -> Result<Rc<Huffman>, Damage> {
        table(self.dc[number], false)
    }

    pub fn ac(&self, number: usize) -> Result<Rc<Huffman>, Damage> {
        table(self.ac[number], true)
    }
}

fn table(codes: Option<&[u8]>, is_ac: bool) -> Result<Rc<Huffman>, Damage> {
    let codes = codes.ok_or(Damage("a Huffman table is missing"))?;
    recent(codes, is_ac).ok_or(Damage("a Huffman table is broken"))
}

/// Number of tables that a thread keeps.
const RECENT: usize = 16;

/// A table, with the bytes that it was made of.
struct Known {
    codes: Box<[u8]>,
    is_ac: bool,
    table: Rc<Huffman>,
}

thread_local! {
    /// The tables that were used last, the very last one at the end. Most files have the same four, which the standard suggests.
    static TABLES: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// The table of these numbers of codes and symbols.
fn recent(codes: &[u8], is_ac: bool) -> Option<Rc<Huffman>> {
    TABLES.with_borrow_mut(|tables| {
        let is_same = |known: &Known| *known.codes == *codes && known.is_ac == is_ac;
        if let Some(at) = tables.iter().position(is_same) {
            tables[at..].rotate_left(1);
            return tables.last().map(|known| known.table.clone());
        }
        let (counts, symbols) = codes.split_first_chunk()?;
        let table = Rc::new(Huffman::new(counts, symbols, is_ac)?);
        if tables.len() == RECENT {
            tables.remove(0);
        }
        tables.push(Known {
            codes: codes.into(),
            is_ac,
            table: table.clone(),
        });
        Some(table)
    })
}
