//! The operations on plain slices of the host's memory.
//!
//! The module knows no tensor and no backend: a batch is a slice of elements and a [`Layout`]. The
//! operations change it in place. They check their arguments before they touch an element.
//!
//! Along the cycles of the permutation, every element of a region is read once and written once, and
//! the extra memory is a tile of at most 8192 elements for each thread. Strides may be any, as long as
//! elements do not share their memory and dimensions do not interleave.
//!
//! ```
//! use cutmix::ops::host::{self, Layout};
//! use cutmix::plan::{Plan, Region};
//!
//! // Two rows of three elements swap their last two.
//! let mut elements = [0u8, 0, 0, 1, 1, 1];
//! let plan = Plan::new(vec![1, 0], Region::new([1..3]), vec![3])?;
//! host::paste(&mut elements, &Layout::contiguous([2, 3]), &plan)?;
//! assert_eq!(elements, [0, 1, 1, 1, 0, 0]);
//! # Ok::<(), cutmix::Error>(())
//! ```

mod area;
mod change;
mod grid;
pub(super) mod kernel;
mod layout;
mod pixel;
mod runs;

use self::kernel::Change;
use super::check::{check_blend, check_plan, check_regions};
use crate::Error;
use crate::plan::{Mixture, Plan, Region};

pub use self::layout::Layout;
pub use self::pixel::{FloatPixel, Pixel};

pub(super) use self::area::Area;
pub(super) use self::change::{Blend, Fill, Paste};
pub(super) use self::grid::Grid;
pub(super) use self::runs::Runs;

/// Replaces the region of each sample by that of its partner: [`ops::paste`](super::paste) in place.
///
/// `layout` has the shape `[N, ..., spatial...]`.
///
/// # Errors
///
/// [`Error::Argument`] if the batch is not of the plan's size and spatial shape, if the layout leaves
/// the slice, or if elements share their memory or dimensions interleave.
pub fn paste<E: Pixel>(elements: &mut [E], layout: &Layout, plan: &Plan) -> Result<(), Error> {
    check_plan("layout", layout.shape(), plan)?;
    layout.check(elements.len())?;
    if plan.is_identity() || layout.is_empty() {
        return Ok(());
    }
    change(elements, layout, plan.partners(), plan.regions(), &Paste)
}

/// Blends each sample with its partner inside the regions: [`ops::blend`](super::blend) in place.
///
/// `layout` has the shape `[N, ..., spatial...]`. `regions` is one region for the batch or one for
/// each sample, and `lambdas` likewise the shares that samples keep.
///
/// # Errors
///
/// [`Error::Argument`] if partners, regions or lambdas do not fit the batch, and those of [`paste`].
pub fn blend<E: Pixel>(
    elements: &mut [E],
    layout: &Layout,
    partners: &[usize],
    regions: &[Region],
    lambdas: &[f64],
) -> Result<(), Error> {
    check_blend(layout.shape(), partners, regions, lambdas)?;
    layout.check(elements.len())?;
    if layout.is_empty() || regions.iter().all(Region::is_empty) {
        return Ok(());
    }
    change(elements, layout, partners, regions, &Blend::new(lambdas))
}

/// Fills the regions with a value: [`ops::fill`](super::fill) in place.
///
/// `layout` has the shape `[N, ..., spatial...]`. `regions` is one region for the batch or one for
/// each sample.
///
/// # Errors
///
/// [`Error::Argument`] if the regions do not fit the batch, and those of [`paste`].
pub fn fill<E: Pixel>(
    elements: &mut [E],
    layout: &Layout,
    regions: &[Region],
    value: E,
) -> Result<(), Error> {
    check_regions(layout.shape(), regions)?;
    layout.check(elements.len())?;
    if layout.is_empty() || regions.iter().all(Region::is_empty) {
        return Ok(());
    }
    let alone: Vec<_> = (0..layout.shape()[0]).collect();
    change(elements, layout, &alone, regions, &Fill(value))
}

/// Mixes dense targets: each row becomes `lambda` times itself plus `1 - lambda` times the row of the
/// partner.
///
/// `layout` has the shape `[N, num_classes]`.
///
/// # Errors
///
/// [`Error::Argument`] if the batch is not of the mixture's size, and those of [`paste`].
pub fn mix_targets<E: FloatPixel>(
    targets: &mut [E],
    layout: &Layout,
    mixture: &Mixture,
) -> Result<(), Error> {
    check_targets(targets, layout, mixture)?;
    if layout.is_empty() || mixture.is_identity() {
        return Ok(());
    }
    let whole = [Region::whole(&layout.shape()[1..])];
    let change_rows = Blend::new(mixture.lambdas());
    change(targets, layout, mixture.partners(), &whole, &change_rows)
}

/// Writes the dense targets of class indices that are mixed: `lambda` at the class of a sample plus
/// `1 - lambda` at the class of its partner, and 0 elsewhere.
///
/// `layout` has the shape `[N, num_classes]`, and `classes` one index in `0..num_classes` for each
/// sample.
///
/// # Errors
///
/// [`Error::Argument`] if a class is out of range, if the batch is not of the mixture's size, if the
/// layout leaves the slice, or if elements share their memory or dimensions interleave.
pub fn mix_classes<E: FloatPixel>(
    classes: &[i64],
    targets: &mut [E],
    layout: &Layout,
    mixture: &Mixture,
) -> Result<(), Error> {
    check_targets(targets, layout, mixture)?;
    let num_classes = layout.shape()[1];
    if classes.len() != mixture.batch() {
        return Err(Error::argument(
            "classes",
            format!("a list of {}", classes.len()),
            format!("one for each of the {} samples", mixture.batch()),
        ));
    }
    let is_wrong = |class: &&i64| !(0..num_classes as i64).contains(*class);
    if let Some(class) = classes.iter().find(is_wrong) {
        return Err(Error::argument(
            "classes",
            class,
            format!("classes in 0..{num_classes}"),
        ));
    }
    // Shares no memory and interleaves nothing, or this fails.
    fill(
        targets,
        layout,
        &[Region::whole(&[num_classes])],
        E::nearest(0.0),
    )?;
    let place = |sample: usize, class: i64| {
        let [row, column] = [sample as isize, class as isize];
        let [down, across] = [layout.strides()[0], layout.strides()[1]];
        layout
            .offset()
            .wrapping_add_signed(row * down + column * across)
    };
    for (sample, &partner) in mixture.partners().iter().enumerate() {
        let [own, other] = [mixture.lambda(sample), 1.0 - mixture.lambda(sample)].map(E::nearest);
        targets[place(sample, classes[sample])] = own;
        let at = place(sample, classes[partner]);
        targets[at] = targets[at] + other;
    }
    Ok(())
}

fn check_targets<E>(targets: &[E], layout: &Layout, mixture: &Mixture) -> Result<(), Error> {
    let batch = mixture.batch();
    if layout.shape().len() != 2 || layout.shape()[0] != batch {
        return Err(Error::argument(
            "layout",
            format!("of shape {:?}", layout.shape()),
            format!("[{batch}, num_classes], as in the mixture"),
        ));
    }
    layout.check(targets.len())
}

/// Changes the regions of a batch in place.
fn change<E: Pixel>(
    elements: &mut [E],
    layout: &Layout,
    partners: &[usize],
    regions: &[Region],
    change: &impl Change<E>,
) -> Result<(), Error> {
    if try_change(elements, layout, partners, regions, change) {
        return Ok(());
    }
    Err(Error::argument(
        "strides",
        format!("{:?}", layout.strides()),
        format!(
            "strides by which the elements of the shape {:?} do not share memory or interleave",
            layout.shape()
        ),
    ))
}

/// Changes the regions of a batch in place. It returns `false`, and changes nothing, where elements
/// share their memory or dimensions interleave.
fn try_change<E: Pixel>(
    elements: &mut [E],
    layout: &Layout,
    partners: &[usize],
    regions: &[Region],
    change: &impl Change<E>,
) -> bool {
    if are_boxes(regions) {
        let Some(grid) = Grid::new(layout, regions) else {
            return false;
        };
        kernel::in_place(elements, &grid, partners, change);
    } else {
        let Some(runs) = Runs::new(layout, regions) else {
            return false;
        };
        kernel::in_place(elements, &runs, partners, change);
    }
    true
}

/// Whether all regions are boxes, for which the kernels have shorter ways than for masks.
pub(super) fn are_boxes(regions: &[Region]) -> bool {
    regions.iter().all(|region| region.as_box().is_some())
}
