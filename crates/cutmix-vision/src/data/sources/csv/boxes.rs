//! The boxes of objects in a table.

use super::table::{Row, Table, quoted};
use crate::data::{DataError, Rect};

/// Names of the columns of boxes.
const CORNERS: [&str; 4] = ["x0", "y0", "x1", "y1"];
/// What a header may have of them.
pub const COLUMNS: &str = "all of x0, y0, x1 and y1, or none of them";

/// The columns of [`CORNERS`], in that order.
pub type Corners = [usize; 4];

/// The columns of boxes among the names of all columns. The error is what there is where some are
/// missing. One of these names alone is that of something else.
pub fn corners(names: &[String]) -> Result<Option<Corners>, String> {
    let position = |corner: &str| names.iter().position(|name| name == corner);
    let found = CORNERS.map(position);
    if let [Some(left), Some(top), Some(right), Some(bottom)] = found {
        return Ok(Some([left, top, right, bottom]));
    }
    let named = CORNERS.iter().zip(found);
    let named: Vec<_> = named
        .filter_map(|(corner, at)| at.map(|_| quoted(corner)))
        .collect();
    if named.len() < 2 {
        Ok(None)
    } else {
        Err(format!("the columns {} alone", named.join(", ")))
    }
}

/// The box in a row; `None` where all of its cells are empty.
pub fn read_box(table: &Table, corners: Corners, row: &Row) -> Result<Option<[u32; 4]>, DataError> {
    let texts = corners.map(|column| row.get(column));
    if texts.iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    let wrong = |corner: usize, expected: String| {
        let text = match texts[corner] {
            "" => "empty".into(),
            text => quoted(text),
        };
        let name = quoted(CORNERS[corner]);
        let found = format!("{text} in line {}, column {name}", row.line);
        table.wrong("box", found, expected)
    };
    let mut values = [0; 4];
    for (corner, text) in texts.iter().enumerate() {
        // Programs write the whole numbers of a column with empty cells as `12.0`.
        let number = text.strip_suffix(".0").unwrap_or(text).parse();
        values[corner] = number.map_err(|_| {
            let expected = "a whole number of pixels from 0, or all four columns empty";
            wrong(corner, expected.into())
        })?;
    }
    let is_before = |axis: usize| values[axis] < values[axis + 2];
    match [0, 1].into_iter().find(|&axis| !is_before(axis)) {
        None => Ok(Some(values)),
        Some(axis) => {
            let expected = format!("above {}, {}", CORNERS[axis], values[axis]);
            Err(wrong(axis + 2, expected))
        }
    }
}

/// The boxes of samples, in the order of [`CORNERS`]. There may be millions of samples, so each box is
/// small: one of no pixel is that of a sample without a box.
#[derive(Debug, Default)]
pub struct Boxes(Vec<[u32; 4]>);

impl Boxes {
    pub fn push(&mut self, corners: Option<[u32; 4]>) {
        self.0.push(corners.unwrap_or_default());
    }

    pub fn get(&self, index: usize) -> Option<Rect> {
        let [left, top, right, bottom] = self.0.get(index)?.map(|corner| corner as usize);
        (left < right).then(|| Rect {
            top,
            left,
            height: bottom - top,
            width: right - left,
        })
    }

    /// The boxes of these samples alone; none are kept where no sample has one.
    pub fn select(self, kept: &[u32]) -> Self {
        if (0..self.0.len()).all(|index| self.get(index).is_none()) {
            return Self::default();
        }
        Self(kept.iter().map(|&at| self.0[at as usize]).collect())
    }
}
