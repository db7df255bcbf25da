//! The operations on every GPU, for regions that are boxes: one kernel launch after one upload of a few
//! numbers.

mod kernel;

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::ops::IntTensorOps;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{DType, FloatDType, TensorMetadata};
use burn::tensor::{Shape, TensorData, bf16, f16};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::CubeCountSelection;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};

use self::kernel::{Inside, Variant};
use super::axes::{self, Axes, around};
use super::backend::{MixOps, Partners, Regions, Weights};
use crate::plan::Region;

impl MixOps for CubeBackend {
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
        run(images, Inside::Blend, &partners, &regions, &weights, 0.0)
    }

    fn int_blend(
        images: IntTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> IntTensor<Self> {
        run(
            images,
            Inside::BlendRounded,
            &partners,
            &regions,
            &weights,
            0.0,
        )
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
        let (client, device) = (classes.client.clone(), classes.device.clone());
        let dtype = DType::from(dtype);
        let batch = partners.len();
        let targets = empty_device_contiguous_dtype(
            client.clone(),
            device.clone(),
            Shape::new([batch, num_classes]),
            dtype,
        );
        let mut table: Vec<_> = partners.iter().map(|&partner| partner as u32).collect();
        push_weights(&mut table, &weights, dtype);
        let elements = batch * num_classes;
        let dim = CubeDim::new(&client, elements);
        // A type that is wide enough for every class.
        let wide = match classes.dtype {
            DType::I64 | DType::U64 | DType::U32 => DType::I64,
            _ => DType::I32,
        };
        let types = [dtype, classes.dtype, wide].map(dtype_to_storage_type);
        kernel::mix_classes::launch(
            &client,
            cube_count(&client, elements.div_ceil(dim.num_elems() as usize)),
            dim,
            targets.required_address_type(),
            classes.into_tensor_arg(),
            targets.clone().into_tensor_arg(),
            upload(table, &device).into_buffer_arg(),
            InputScalar::new(f64::NAN, types[0]),
            num_classes,
            num_classes,
            batch,
            dtype == DType::F64,
            types,
        );
        targets
    }
}

fn paste(images: CubeTensor, partners: &[usize], regions: &[Region]) -> CubeTensor {
    run(images, Inside::Paste, partners, regions, &[], 0.0)
}

fn fill(images: CubeTensor, regions: &[Region], value: f64) -> CubeTensor {
    let alone: Vec<_> = (0..images.shape()[0]).collect();
    run(images, Inside::Fill, &alone, regions, &[], value)
}

/// Changes images in place where they are owned alone, and otherwise on the way into a new batch.
fn run(
    images: CubeTensor,
    inside: Inside,
    partners: &[usize],
    regions: &[Region],
    weights: &[[f64; 2]],
    value: f64,
) -> CubeTensor {
    let shape = images.shape();
    let strides: Vec<_> = (images.meta.strides().iter())
        .map(|&stride| stride as isize)
        .collect();
    let in_place = images.can_mut();
    let axes = Axes::new(&shape, &strides, 0, regions);
    // A copy gets the memory layout of the batch, unless that is a small part of something larger.
    let Some(axes) = axes.filter(|axes| in_place || axes.span < 2 * shape.num_elements()) else {
        let images = into_contiguous(images);
        return run(images, inside, partners, regions, weights, value);
    };
    let (client, device, dtype) = (images.client.clone(), images.device.clone(), images.dtype);
    let width = width(&images, &axes, inside);
    let window = Window::new(&axes, width, in_place);
    if window.places == 0 {
        return images;
    }
    let follows = in_place && inside != Inside::Fill;
    let entries = if follows {
        cycles(partners, inside == Inside::Paste)
    } else {
        let pairs = partners.iter().copied().enumerate();
        pairs
            .map(|(sample, partner)| [sample, partner, 0])
            .collect()
    };
    let mut table = table(&entries, &axes, regions.len());
    push_weights(&mut table, weights, dtype);

    // Where there are few places, several units share the samples of each place.
    let rows = [8, 4, 2]
        .into_iter()
        .find(|&rows| rows <= entries.len() && window.places * rows <= UNITS);
    let rows = rows.unwrap_or(1);
    let dim = CubeDim::new_2d((CUBE / rows) as u32, rows as u32);
    let cubes = cube_count(&client, window.places.div_ceil(CUBE / rows));
    // The stride of a single sample is never taken.
    let sample_stride = if axes.batch > 1 {
        axes.sample_stride
    } else {
        0
    };
    let address = images.required_address_type();
    let storage = dtype_to_storage_type(dtype);
    let (target, target_arg) = if in_place {
        (images.clone(), images.as_tensor_alias(0))
    } else {
        let target = like(&images, axes.span);
        (target.clone(), target.into_tensor_arg())
    };
    kernel::mix::launch(
        &client,
        cubes,
        dim,
        address,
        width,
        images.into_tensor_arg(),
        target_arg,
        upload(table, &device).into_buffer_arg(),
        scalar(value, dtype),
        window.lengths.iter().copied().collect(),
        window.starts.iter().copied().collect(),
        window.strides.iter().copied().collect(),
        sample_stride / width,
        window.places,
        entries.len(),
        Variant {
            inside,
            in_place,
            per_sample: regions.len() > 1,
            wide_weights: dtype == DType::F64,
        },
        storage,
    );
    target
}

/// The largest number of elements in a vector for which every access to the batch is aligned.
fn width(images: &CubeTensor, axes: &Axes, inside: Inside) -> usize {
    let size = images.dtype.size();
    let all = axes.all();
    let [others @ .., row] = all.as_slice() else {
        unreachable!("images have spatial dimensions");
    };
    let offset = images.handle.offset_start.unwrap_or(0) as usize;
    // The kernel computes in f32, where an element takes four bytes whatever it takes in memory.
    let widest = if inside == Inside::BlendRounded {
        4
    } else {
        usize::MAX
    };
    let fits = |&width: &usize| {
        let mut strides = others.iter().map(|axis| axis.stride);
        width <= widest
            && row.stride == 1
            && row.size.is_multiple_of(width)
            && strides.all(|stride| stride.is_multiple_of(width))
            && (axes.batch == 1 || axes.sample_stride.is_multiple_of(width))
            && offset.is_multiple_of(width * size)
    };
    let widths = images.client.io_optimized_vector_sizes(size);
    widths.filter(fits).max().unwrap_or(1)
}

/// The places of a sample that the units of the kernel change: a box, in vectors.
struct Window {
    lengths: Vec<usize>,
    starts: Vec<usize>,
    strides: Vec<usize>,
    places: usize,
}

impl Window {
    /// Creates the box around all regions, or around all of a sample for a copy.
    fn new(axes: &Axes, width: usize, in_place: bool) -> Self {
        let all = axes.all();
        let mut window = Self {
            lengths: Vec::new(),
            starts: Vec::new(),
            strides: Vec::new(),
            places: 1,
        };
        for (index, axis) in all.iter().enumerate() {
            let mut range = if in_place {
                around(axis.ranges.iter())
            } else {
                0..axis.size
            };
            let mut stride = axis.stride;
            if width > 1 {
                // The stride of the row stays 1.
                stride = stride.div_ceil(width);
                if index + 1 == all.len() {
                    range = range.start / width..range.end.div_ceil(width);
                }
            }
            window.lengths.push(range.len());
            window.starts.push(range.start);
            window.strides.push(stride);
            window.places *= range.len();
        }
        window
    }
}

/// The samples in the order of the cycles of the permutation, each with its partner and the first
/// sample of its cycle.
fn cycles(partners: &[usize], skip_fixed_points: bool) -> Vec<[usize; 3]> {
    axes::cycles(partners, skip_fixed_points)
        .iter()
        .flat_map(|cycle| {
            cycle
                .iter()
                .map(|&sample| [sample, partners[sample], cycle[0]])
        })
        .collect()
}

/// The table that the kernel reads: the samples that change, their partners, the first samples of
/// their cycles, then the bounds of each region along each axis.
fn table(entries: &[[usize; 3]], axes: &Axes, regions: usize) -> Vec<u32> {
    let all = axes.all();
    let columns = (0..3).flat_map(|column| entries.iter().map(move |entry| entry[column]));
    let bounds = (0..regions).flat_map(|region| {
        let ranges = all.iter().map(move |axis| &axis.ranges[region]);
        ranges.flat_map(|range| [range.start, range.end])
    });
    columns.chain(bounds).map(|number| number as u32).collect()
}

/// Adds the number of pairs of weights and the weights, rounded to the type that uses them.
fn push_weights(table: &mut Vec<u32>, weights: &[[f64; 2]], dtype: DType) {
    table.push(weights.len() as u32);
    for &weight in weights.as_flattened() {
        let single = weight as f32;
        match dtype {
            DType::F64 => {
                let bits = weight.to_bits();
                table.extend([bits as u32, (bits >> 32) as u32]);
            }
            DType::F16 => table.push(f16::from_f32(single).to_f32().to_bits()),
            DType::BF16 => table.push(bf16::from_f32(single).to_f32().to_bits()),
            _ => table.push(single.to_bits()),
        }
    }
}

/// A value of the type of the tensor.
fn scalar(value: f64, dtype: DType) -> InputScalar {
    let storage = dtype_to_storage_type(dtype);
    match dtype {
        DType::F64 => InputScalar::new(value, storage),
        DType::I64 => InputScalar::new(value as i64, storage),
        DType::I32 => InputScalar::new(value as i32, storage),
        DType::I16 => InputScalar::new(value as i16, storage),
        DType::I8 => InputScalar::new(value as i8, storage),
        DType::U64 => InputScalar::new(value as u64, storage),
        DType::U32 => InputScalar::new(value as u32, storage),
        DType::U16 => InputScalar::new(value as u16, storage),
        DType::U8 => InputScalar::new(value as u8, storage),
        _ => InputScalar::new(value as f32, storage),
    }
}

fn upload(table: Vec<u32>, device: &CubeDevice) -> CubeTensor {
    let length = table.len();
    CubeBackend::int_from_data(TensorData::new(table, [length]), device)
}

fn cube_count(client: &Client, cubes: usize) -> CubeCount {
    CubeCountSelection::new(client, cubes as u32).cube_count()
}

/// The number of units in a cube.
const CUBE: usize = 256;
/// The number of units that keep a large GPU busy.
const UNITS: usize = 1 << 18;

/// Creates an uninitialised tensor of the same shape and memory layout.
fn like(images: &CubeTensor, span: usize) -> CubeTensor {
    let memory = empty_device_contiguous_dtype(
        images.client.clone(),
        images.device.clone(),
        Shape::new([span]),
        images.dtype,
    );
    CubeTensor::new(
        memory.client,
        memory.handle,
        *images.meta.clone(),
        memory.device,
        memory.dtype,
    )
}
