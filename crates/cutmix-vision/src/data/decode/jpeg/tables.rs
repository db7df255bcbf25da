//! The tables that a file gives between its scans.

use std::rc::Rc;

use super::Damage;
use super::block::Quantization;
use super::file::kind;
use super::huffman::Huffman;

/// The tables as they are at one place of a file.
#[derive(Default)]
pub struct Tables {
    steps: [Option<Quantization>; 4],
    dc: [Option<Rc<Huffman>>; 4],
    ac: [Option<Rc<Huffman>>; 4],
    /// Number of units between two marks of a scan; 0 for none.
    pub interval: usize,
}

impl Tables {
    /// Takes what a segment gives, if it gives tables.
    pub fn update(&mut self, kind: u8, content: &[u8]) -> Result<(), Damage> {
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
                    .ok_or(Damage("an interval is broken"))?;
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

    fn read_codes(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let is_ac = head >> 4 == 1;
            let tables = if is_ac { &mut self.ac } else { &mut self.dc };
            let table = Huffman::new(counts, symbols, is_ac)?;
            *tables.get_mut(usize::from(head & 15))? = Some(Rc::new(table));
            content = rest;
        }
        Some(())
    }

    pub fn steps(&self, number: usize) -> Result<&Quantization, Damage> {
        self.steps[number]
            .as_ref()
            .ok_or(Damage("a quantization table is missing"))
    }

    pub fn dc(&self, number: usize) -> Result<&Huffman, Damage> {
        self.dc[number]
            .as_deref()
            .ok_or(Damage("a Huffman table is missing"))
    }

    pub fn ac(&self, number: usize) -> Result<&Huffman, Damage> {
        self.ac[number]
            .as_deref()
            .ok_or(Damage("a Huffman table is missing"))
    }
}
