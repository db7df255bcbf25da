//! The place of a batch in a slice.

use crate::Error;

/// The shape of a batch and the places of its elements in a slice.
///
/// The element with the index `[i, j, ...]` is at `offset + i * strides[0] + j * strides[1] + ...`.
/// Strides count elements and may be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Vec<usize>,
    strides: Vec<isize>,
    offset: usize,
}

impl Layout {
    /// Creates the layout of a batch whose elements follow each other in row-major order.
    ///
    /// ```
    /// use cutmix::ops::host::Layout;
    ///
    /// let layout = Layout::contiguous([8, 3, 32, 32]);
    /// assert_eq!(layout.strides(), [3072, 1024, 32, 1]);
    /// ```
    pub fn contiguous(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as isize;
        }
        Self {
            shape,
            strides,
            offset: 0,
        }
    }

    /// Creates the layout of a batch with these strides, whose first element is at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is not one stride for each dimension.
    pub fn new(
        shape: impl Into<Vec<usize>>,
        strides: impl Into<Vec<isize>>,
        offset: usize,
    ) -> Result<Self, Error> {
        let (shape, strides) = (shape.into(), strides.into());
        if shape.len() != strides.len() {
            return Err(Error::argument(
                "strides",
                format!("{strides:?}"),
                format!("one stride for each dimension of the shape {shape:?}"),
            ));
        }
        Ok(Self {
            shape,
            strides,
            offset,
        })
    }

    /// The number of elements along each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The distance of neighbours along each dimension, in elements.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The place of the first element.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the batch has no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Checks that a slice of this length contains all elements.
    pub(super) fn check(&self, length: usize) -> Result<(), Error> {
        let refused = || {
            Error::argument(
                "layout",
                format!(
                    "of shape {:?} with strides {:?} and offset {}",
                    self.shape, self.strides, self.offset
                ),
                format!("elements in 0..{length}, the slice that was passed"),
            )
        };
        if self.is_empty() {
            return Ok(());
        }
        // The product of a size and a stride fits i128.
        let [mut first, mut last] = [self.offset as i128; 2];
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (size as i128 - 1) * stride as i128;
            let end = if reach < 0 { &mut first } else { &mut last };
            *end = end.checked_add(reach).ok_or_else(refused)?;
        }
        if first < 0 || last >= length as i128 {
            return Err(refused());
        }
        Ok(())
    }
}
