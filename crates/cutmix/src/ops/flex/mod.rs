//! The operations on the CPU: memory copies, in place where a tensor is owned alone.

mod grid;
mod kernel;
mod pixel;

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{DType, Flex, FloatDType};
use burn::tensor::{BoolStore, Bytes, Shape, bf16, f16};
use bytemuck::Pod;

use self::grid::{Grid, Strip};
use self::kernel::Inside;
use self::pixel::Pixel;
use super::backend::{MixOps, Partners, Regions, Weights};

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
        match dtype {
            FloatDType::F64 => rows::<f64>(&classes, num_classes, &partners, &weights),
            FloatDType::F16 => rows::<f16>(&classes, num_classes, &partners, &weights),
            FloatDType::BF16 => rows::<bf16>(&classes, num_classes, &partners, &weights),
            // Flex32 is stored as f32.
            FloatDType::F32 | FloatDType::Flex32 => {
                rows::<f32>(&classes, num_classes, &partners, &weights)
            }
        }
    }
}

/// Runs a generic function for the type of a tensor's elements.
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
    struct Paste;

    impl<E: Pod> Inside<E> for Paste {
        const TAKES: bool = true;
        const KEEPS_ITSELF: bool = true;

        fn rows(&self, _sample: usize, own: &mut [E], at: Strip, other: &[E], from: Strip) {
            kernel::copy_rows(own, at, other, from);
        }
    }

    fn typed<E: Pixel>(images: FlexTensor, partners: &[usize], regions: &Regions) -> FlexTensor {
        run::<E, _>(images, partners, regions, &Paste)
    }

    for_dtype!(images.dtype(), typed(images, partners, regions))
}

fn blend(
    images: FlexTensor,
    partners: &[usize],
    regions: &Regions,
    weights: &Weights,
) -> FlexTensor {
    /// The weights of each sample, or one pair for all.
    struct Blend<E: Pixel>(Vec<[E::Weight; 2]>);

    impl<E: Pixel> Inside<E> for Blend<E> {
        // Even with itself: the weighted sum may differ in the last bit.
        const TAKES: bool = true;

        fn rows(&self, sample: usize, own: &mut [E], at: Strip, other: &[E], from: Strip) {
            let weights = self.0[sample % self.0.len()];
            for (own, other) in at.rows_mut(own).zip(from.rows(other)) {
                E::blend(own, other, weights);
            }
        }
    }

    fn typed<E: Pixel>(
        images: FlexTensor,
        partners: &[usize],
        regions: &Regions,
        weights: &Weights,
    ) -> FlexTensor {
        let weights = weights.iter().map(|weights| weights.map(E::Weight::value));
        run::<E, _>(images, partners, regions, &Blend::<E>(weights.collect()))
    }

    for_dtype!(images.dtype(), typed(images, partners, regions, weights))
}

fn fill(images: FlexTensor, regions: &Regions, value: f64) -> FlexTensor {
    struct Fill<E>(E);

    impl<E: Copy + Sync> Inside<E> for Fill<E> {
        const TAKES: bool = false;

        fn rows(&self, _sample: usize, own: &mut [E], at: Strip, _other: &[E], _from: Strip) {
            at.rows_mut(own).for_each(|row| row.fill(self.0));
        }
    }

    fn typed<E: Pixel>(images: FlexTensor, regions: &Regions, value: f64) -> FlexTensor {
        let alone: Vec<_> = (0..images.layout().shape()[0]).collect();
        run::<E, _>(images, &alone, regions, &Fill(E::value(value)))
    }

    for_dtype!(images.dtype(), typed(images, regions, value))
}

/// In place where the images are owned alone, else on the way into a new batch.
fn run<E: Pixel, I: Inside<E>>(
    mut images: FlexTensor,
    partners: &[usize],
    regions: &Regions,
    inside: &I,
) -> FlexTensor {
    let Some(grid) = Grid::new(images.layout(), regions) else {
        return run(images.to_contiguous(), partners, regions, inside);
    };
    if let Some(storage) = images.try_storage_mut::<E>() {
        kernel::in_place(storage, &grid, partners, inside);
        return images;
    }
    if !grid.is_dense {
        return run(images.to_contiguous(), partners, regions, inside);
    }
    let copy = kernel::copy(images.storage::<E>(), &grid, partners, inside);
    let layout = images.layout();
    let layout = Layout::new(
        layout.shape().clone(),
        layout.strides().to_vec(),
        layout.start_offset() - grid.base,
    );
    FlexTensor::new(Bytes::from_elems(copy), layout, images.dtype())
}

/// Class indices of any integer type.
fn indices(classes: &FlexTensor) -> Vec<i64> {
    let data = classes.to_contiguous().into_data();
    data.iter::<i64>().collect()
}

fn rows<E: Pixel<Weight = E> + std::ops::Add<Output = E>>(
    classes: &[i64],
    num_classes: usize,
    partners: &[usize],
    weights: &Weights,
) -> FlexTensor {
    let mut targets = vec![E::zeroed(); classes.len() * num_classes];
    let column = |sample: usize| {
        usize::try_from(classes[sample])
            .ok()
            .filter(|&k| k < num_classes)
    };
    for (sample, row) in targets.chunks_exact_mut(num_classes).enumerate() {
        let [own, other] = weights[sample % weights.len()].map(E::value);
        match (column(sample), column(partners[sample])) {
            (Some(k), Some(partner)) => {
                row[k] = own;
                row[partner] = row[partner] + other;
            }
            _ => row.fill(E::value(f64::NAN)),
        }
    }
    let shape = Shape::new([classes.len(), num_classes]);
    FlexTensor::new(
        Bytes::from_elems(targets),
        Layout::contiguous(shape),
        E::dtype(),
    )
}
