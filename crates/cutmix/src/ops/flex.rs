//! The operations on Burn's CPU backend, by the kernels of [`host`](super::host): in place where a
//! tensor is owned alone.

use burn::backend::flex::{FlexTensor, Layout as FlexLayout};
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{DType, Flex, FloatDType};
use burn::tensor::{BoolStore, Bytes, Element, Shape, bf16, f16};

use super::backend::{MixOps, Partners, Regions, Weights};
use super::host::kernel::{self, Change};
use super::host::{Area, Blend, Fill, FloatPixel, Grid, Layout, Paste, Pixel, Runs, are_boxes};

impl MixOps for Flex {
    fn float_paste(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> FloatTensor<Self> {
        paste(images, &partners, &regions)
    }

    fn int_paste(images: IntTensor<Self>, partners: Partners, regions: Regions) -> IntTensor<Self> {
        paste(images, &partners, &regions)
    }

    fn bool_paste(
        images: BoolTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> BoolTensor<Self> {
        paste(images, &partners, &regions)
    }

    fn float_blend(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> FloatTensor<Self> {
        blend(images, &partners, &regions, &weights)
    }

    fn int_blend(
        images: IntTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> IntTensor<Self> {
        blend(images, &partners, &regions, &weights)
    }

    fn float_fill(images: FloatTensor<Self>, regions: Regions, value: f64) -> FloatTensor<Self> {
        fill(images, &regions, value)
    }

    fn int_fill(images: IntTensor<Self>, regions: Regions, value: f64) -> IntTensor<Self> {
        fill(images, &regions, value)
    }

    fn mix_classes(
        classes: IntTensor<Self>,
        num_classes: usize,
        partners: Partners,
        weights: Weights,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        let classes = indices(&classes);
        let (float, dtype) = match dtype {
            // Flex stores it as f32.
            FloatDType::Flex32 => (dtype, DType::F32),
            _ => (dtype, DType::from(dtype)),
        };
        match float {
            FloatDType::F64 => rows::<f64>(&classes, num_classes, &partners, &weights, dtype),
            FloatDType::F16 => rows::<f16>(&classes, num_classes, &partners, &weights, dtype),
            FloatDType::BF16 => rows::<bf16>(&classes, num_classes, &partners, &weights, dtype),
            FloatDType::F32 | FloatDType::Flex32 => {
                rows::<f32>(&classes, num_classes, &partners, &weights, dtype)
            }
        }
    }
}

/// Runs a generic function for the element type of a tensor.
macro_rules! for_dtype {
    ($dtype:expr, $run:ident($($argument:expr),*)) => {
        match $dtype {
            DType::F64 => $run::<f64>($($argument),*),
            DType::F32 | DType::Flex32 => $run::<f32>($($argument),*),
            DType::F16 => $run::<f16>($($argument),*),
            DType::BF16 => $run::<bf16>($($argument),*),
            DType::I64 => $run::<i64>($($argument),*),
            DType::I32 => $run::<i32>($($argument),*),
            DType::I16 => $run::<i16>($($argument),*),
            DType::I8 => $run::<i8>($($argument),*),
            DType::U64 => $run::<u64>($($argument),*),
            DType::U32 => $run::<u32>($($argument),*),
            DType::U16 => $run::<u16>($($argument),*),
            DType::U8 | DType::Bool(BoolStore::Native | BoolStore::U8) => {
                $run::<u8>($($argument),*)
            }
            dtype => unreachable!("Flex has no images of {dtype:?}"),
        }
    };
}

fn paste(images: FlexTensor, partners: &[usize], regions: &Regions) -> FlexTensor {
    fn typed<E: Pixel + Element>(
        images: FlexTensor,
        partners: &[usize],
        regions: &Regions,
    ) -> FlexTensor {
        run::<E>(images, partners, regions, &Paste)
    }

    for_dtype!(images.dtype(), typed(images, partners, regions))
}

fn blend(
    images: FlexTensor,
    partners: &[usize],
    regions: &Regions,
    weights: &Weights,
) -> FlexTensor {
    fn typed<E: Pixel + Element>(
        images: FlexTensor,
        partners: &[usize],
        regions: &Regions,
        weights: &Weights,
    ) -> FlexTensor {
        let blend = Blend::<E>::weighted(weights.iter().copied());
        run(images, partners, regions, &blend)
    }

    for_dtype!(images.dtype(), typed(images, partners, regions, weights))
}

fn fill(images: FlexTensor, regions: &Regions, value: f64) -> FlexTensor {
    fn typed<E: Pixel + Element>(images: FlexTensor, regions: &Regions, value: f64) -> FlexTensor {
        let alone: Vec<_> = (0..images.layout().shape()[0]).collect();
        run(images, &alone, regions, &Fill(E::nearest(value)))
    }

    for_dtype!(images.dtype(), typed(images, regions, value))
}

/// Changes the regions of images, by the layout of boxes or of masks.
fn run<E: Pixel + Element>(
    images: FlexTensor,
    partners: &[usize],
    regions: &Regions,
    change: &impl Change<E>,
) -> FlexTensor {
    let layout = images.layout();
    let layout = Layout::new(
        layout.shape().as_slice(),
        layout.strides(),
        layout.start_offset(),
    )
    .expect("a tensor has a stride for each dimension");
    let changed = if are_boxes(regions) {
        apply(images, Grid::new(&layout, regions), partners, change)
    } else {
        apply(images, Runs::new(&layout, regions), partners, change)
    };
    changed.unwrap_or_else(|images| run::<E>(images.to_contiguous(), partners, regions, change))
}

/// Changes images in place where they are owned alone, and otherwise on the way into a new batch. It
/// returns the images as they were where they have to be contiguous for that.
fn apply<E: Pixel + Element, A: Area>(
    mut images: FlexTensor,
    area: Option<A>,
    partners: &[usize],
    change: &impl Change<E>,
) -> Result<FlexTensor, FlexTensor> {
    let Some(area) = area else {
        return Err(images);
    };
    if let Some(storage) = images.try_storage_mut::<E>() {
        kernel::in_place(storage, &area, partners, change);
        return Ok(images);
    }
    if !area.placement().is_dense {
        return Err(images);
    }
    let copy = kernel::copy(images.storage::<E>(), &area, partners, change);
    let layout = images.layout();
    let layout = FlexLayout::new(
        layout.shape().clone(),
        layout.strides().to_vec(),
        layout.start_offset() - area.placement().base,
    );
    Ok(FlexTensor::new(
        Bytes::from_elems(copy),
        layout,
        images.dtype(),
    ))
}

/// Reads class indices of any integer type.
fn indices(classes: &FlexTensor) -> Vec<i64> {
    let data = classes.to_contiguous().into_data();
    data.iter::<i64>().collect()
}

/// Mixed rows of class indices. The row of a class out of range is NaN.
fn rows<E: FloatPixel>(
    classes: &[i64],
    num_classes: usize,
    partners: &[usize],
    weights: &Weights,
    dtype: DType,
) -> FlexTensor {
    let mut targets = vec![E::zeroed(); classes.len() * num_classes];
    let column = |sample: usize| {
        usize::try_from(classes[sample])
            .ok()
            .filter(|&class| class < num_classes)
    };
    for (sample, row) in targets.chunks_exact_mut(num_classes).enumerate() {
        let [own, other] = weights[sample % weights.len()].map(E::nearest);
        match (column(sample), column(partners[sample])) {
            (Some(class), Some(partner)) => {
                row[class] = own;
                row[partner] = row[partner] + other;
            }
            _ => row.fill(E::nearest(f64::NAN)),
        }
    }
    let shape = Shape::new([classes.len(), num_classes]);
    FlexTensor::new(
        Bytes::from_elems(targets),
        FlexLayout::contiguous(shape),
        dtype,
    )
}
