//! Comparisons of the kernels of a device with the operations in plain tensor calls.

use std::fmt::Debug;

use burn::tensor::kind::{Basic, Numeric};
use burn::tensor::{Bool, DType, Device, Int, Slice, Tensor, TensorData};
use cutmix::ops::{self, reference};
use cutmix::plan::{Mode, Plan, PlanSampler, Region, Stream};
use proptest::prelude::*;

use super::plans;

/// The memory layout of the images.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    Contiguous,
    /// The order of memory is `[N, spatial..., C]`.
    ChannelsLast,
    /// The order of memory is `[C, spatial..., N]`.
    BatchLast,
    /// The order of memory is `[C, N, spatial...]`.
    ChannelsFirst,
    /// Every dimension is in reverse order.
    Flipped,
    /// The images are a part of a larger batch of larger images.
    Part,
    /// The images are every other element along every dimension. Only the CPU is tested with it.
    Strided,
    /// All channels share their memory.
    Expanded,
}

/// A batch, the operations on it, and whether another tensor shares its memory.
#[derive(Clone, Debug)]
pub struct Case {
    pub plan: Plan,
    pub channels: usize,
    pub lambdas: Vec<f64>,
    pub memory: Memory,
    pub is_shared: bool,
}

pub fn case(rank: usize, batch: usize, size: usize) -> impl Strategy<Value = Case> {
    use Memory::*;
    let memories = [
        Contiguous,
        ChannelsLast,
        BatchLast,
        ChannelsFirst,
        Flipped,
        Part,
        Expanded,
    ];
    let memory = prop::sample::select(memories.to_vec());
    let lambdas = proptest::collection::vec(0.0..=1.0, batch);
    (
        plans(batch, rank - 2, size),
        1..4usize,
        lambdas,
        any::<bool>(),
        memory,
        any::<bool>(),
    )
        .prop_map(
            |(plan, channels, mut lambdas, per_sample, memory, is_shared)| {
                lambdas.truncate(if per_sample { plan.batch() } else { 1 });
                Case {
                    plan,
                    channels,
                    lambdas,
                    memory,
                    is_shared,
                }
            },
        )
}

/// Whether the results of sums are the same. CUDA's compiler makes one operation of a product and a sum,
/// which rounds once instead of twice.
fn same_sums(result: &TensorData, expected: &TensorData) -> bool {
    let digits = match result.dtype() {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 2f64.powi(-10),
        _ => 2f64.powi(-7),
    };
    let mut pairs = result.iter::<f64>().zip(expected.iter::<f64>());
    result == expected
        || cfg!(feature = "cuda")
            && pairs.all(|(a, b)| (a - b).abs() <= digits * a.abs().max(b.abs()))
}

impl Case {
    fn images<const R: usize, K: Basic>(&self, dtype: DType, device: &Device) -> Tensor<R, K> {
        let mut dims = [self.plan.batch(); R];
        dims[1] = self.channels;
        dims[2..].copy_from_slice(self.plan.spatial());
        let make = |dims: [usize; R]| {
            let count = dims.iter().product::<usize>();
            // Neighbours differ, and their sums have digits to round.
            let values: Vec<_> = (0..count)
                .map(|i| (i * 37 % 251) as f64 + 1.0 / 3.0)
                .collect();
            let data = if dtype.is_bool() {
                let bools = values.iter().map(|value| (*value as u8).is_multiple_of(3));
                TensorData::new(bools.collect(), dims)
            } else {
                TensorData::new(values, dims).convert_dtype(dtype)
            };
            Tensor::<R, K>::from_data(data, (device, dtype))
        };
        // Stores the dimensions in this order, and permutes them back.
        let permuted = |order: Vec<usize>| {
            let mut back = [0; R];
            let mut stored = dims;
            for (place, &dim) in order.iter().enumerate() {
                stored[place] = dims[dim];
                back[dim] = place;
            }
            make(stored).permute(back.map(|place| place as isize))
        };
        match self.memory {
            Memory::Contiguous => make(dims),
            Memory::ChannelsLast => permuted([0].into_iter().chain(2..R).chain([1]).collect()),
            Memory::BatchLast => permuted((1..R).chain([0]).collect()),
            Memory::ChannelsFirst => permuted([1, 0].into_iter().chain(2..R).collect()),
            Memory::Flipped => make(dims).flip(std::array::from_fn::<_, R, _>(|dim| dim as isize)),
            Memory::Part => {
                let larger = make(dims.map(|size| size + 3));
                larger.slice(dims.map(|size| 2..size + 2))
            }
            Memory::Strided => {
                let larger = make(dims.map(|size| 2 * size));
                larger.slice(dims.map(|size| Slice::new(0, Some(2 * size as isize), 2)))
            }
            Memory::Expanded => {
                let mut one = dims;
                one[1] = 1;
                make(one).expand(dims)
            }
        }
    }

    /// Runs the reference and the kernel on two batches, so that the kernel may own its batch alone.
    #[track_caller]
    fn compare<const R: usize, K: Basic>(
        &self,
        device: &Device,
        dtype: DType,
        equals: impl Fn(&TensorData, &TensorData) -> bool,
        reference: impl Fn(Tensor<R, K>) -> Tensor<R, K>,
        kernel: impl Fn(Tensor<R, K>) -> Tensor<R, K>,
    ) where
        Tensor<R, K>: Debug,
    {
        let expected = reference(self.images(dtype, device)).into_data();
        let images = self.images::<R, K>(dtype, device);
        let other = self.is_shared.then(|| images.clone());
        let result = kernel(images);
        assert_eq!(result.dtype(), dtype);
        let result = result.into_data();
        assert!(
            equals(&result, &expected),
            "{dtype:?}: {self:?}\n{result}\nis not\n{expected}"
        );
        if let Some(other) = other {
            let before = self.images::<R, K>(dtype, device).into_data();
            assert!(
                other.into_data() == before,
                "changed what another tensor holds"
            );
        }
    }

    pub fn paste<const R: usize, K: Basic>(&self, device: &Device, dtype: DType) {
        let plan = &self.plan;
        self.compare::<R, K>(
            device,
            dtype,
            TensorData::eq,
            |images| reference::paste(images, plan.partners(), plan.regions()),
            |images| ops::paste(images, plan).unwrap(),
        );
    }

    pub fn paste_bool<const R: usize>(&self, device: &Device) {
        let dtype = Tensor::<1, Bool>::empty([1], device).dtype();
        self.paste::<R, Bool>(device, dtype);
    }

    pub fn blend<const R: usize>(&self, device: &Device, dtype: DType) {
        let (partners, regions) = (self.plan.partners(), self.plan.regions());
        let weights: Vec<_> = self.lambdas.iter().map(|&l| [l, 1.0 - l]).collect();
        self.compare::<R, burn::tensor::Float>(
            device,
            dtype,
            same_sums,
            |images| reference::blend(images, partners, regions, &weights),
            |images| ops::blend(images, partners, regions, &self.lambdas).unwrap(),
        );
    }

    pub fn blend_int<const R: usize>(&self, device: &Device, dtype: DType) {
        let (partners, regions) = (self.plan.partners(), self.plan.regions());
        let weights: Vec<_> = self.lambdas.iter().map(|&l| [l, 1.0 - l]).collect();
        self.compare::<R, Int>(
            device,
            dtype,
            TensorData::eq,
            |images| reference::blend_int(images, partners, regions, &weights),
            |images| ops::blend(images, partners, regions, &self.lambdas).unwrap(),
        );
    }

    pub fn fill<const R: usize, K: Numeric>(&self, device: &Device, dtype: DType) {
        let regions = self.plan.regions();
        // Every type has one of these values, and the reference does not round them.
        let value = if dtype.is_float() { -7.25 } else { 7.0 };
        self.compare::<R, K>(
            device,
            dtype,
            TensorData::eq,
            |images| reference::fill(images, regions, value),
            |images| ops::fill(images, regions, value).unwrap(),
        );
    }

    /// Compares the dense targets of class indices and of one-hot rows.
    pub fn targets(&self, device: &Device) {
        let classes = 5;
        let labels: Vec<_> = (0..self.plan.batch())
            .map(|i| (i * 7 % classes) as i64)
            .collect();
        let labels = Tensor::<1, Int>::from_data(labels.as_slice(), device);
        let lambdas = self.plan.lambdas();
        let weights: Vec<_> = lambdas.iter().map(|&l| [l, 1.0 - l]).collect();
        let hot = reference::one_hot(labels.clone(), classes);
        let expected = if self.plan.is_identity() {
            hot.clone()
        } else {
            reference::mix_classes(labels.clone(), classes, self.plan.partners(), &weights)
        };
        let expected = expected.into_data();
        for targets in [cutmix::Targets::from(labels), cutmix::Targets::from(hot)] {
            let mixed = targets.mix(classes, &self.plan).unwrap().into_data();
            assert!(mixed == expected, "{self:?}\n{mixed}\nis not\n{expected}");
        }
    }

    /// Compares the gradients of the images.
    pub fn gradients<const R: usize>(&self, device: &Device) {
        let device = device.clone().autodiff();
        let (partners, regions) = (self.plan.partners(), self.plan.regions());
        let weights: Vec<_> = self.lambdas.iter().map(|&l| [l, 1.0 - l]).collect();
        let gradient = |change: &dyn Fn(Tensor<R>) -> Tensor<R>| {
            let images = self.images::<R, _>(DType::F32, &device).require_grad();
            let factors = self.images::<R, _>(DType::F32, &device) + 1.0;
            let gradients = (change(images.clone()) * factors).sum().backward();
            images.grad(&gradients).unwrap().into_data()
        };
        let pairs: [[&dyn Fn(Tensor<R>) -> Tensor<R>; 2]; 3] = [
            [
                &|images| reference::paste(images, partners, regions),
                &|images| ops::paste(images, &self.plan).unwrap(),
            ],
            [
                &|images| reference::blend(images, partners, regions, &weights),
                &|images| ops::blend(images, partners, regions, &self.lambdas).unwrap(),
            ],
            [&|images| reference::fill(images, regions, 7.0), &|images| {
                ops::fill(images, regions, 7.0).unwrap()
            }],
        ];
        for [expected, kernel] in pairs {
            let (expected, result) = (gradient(expected), gradient(kernel));
            // Burn adds the parts of the gradient of a blend in another order.
            result.assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::relative(1e-6));
        }
    }
}

/// A box that leaves an image of 4 x 4 pixels.
pub fn wrong_region() -> Region {
    Region::new([0..5, 0..2])
}

/// Compares the kernels for every kind of permutation.
pub fn permutations(device: &Device) {
    let n = 12;
    let cycle: Vec<_> = (0..n).map(|i| (i + 1) % n).collect();
    let backwards: Vec<_> = (0..n).map(|i| (i + n - 1) % n).collect();
    let pairs: Vec<_> = (0..n).map(|i| i ^ 1).collect();
    let flip: Vec<_> = (0..n).rev().collect();
    let mut fixed_points: Vec<_> = (0..n).collect();
    fixed_points.swap(3, 7);
    for partners in [cycle, backwards, pairs, flip, fixed_points] {
        for mode in [Mode::Batch, Mode::Sample] {
            for step in 0..10 {
                let sampler = PlanSampler::new(1.0)
                    .with_partners(partners.clone())
                    .with_mode(mode);
                let plan = sampler.draw(n, &[11, 13], &mut Stream::new(1).at(step));
                let case = Case {
                    plan: plan.unwrap(),
                    channels: 3,
                    lambdas: vec![0.3],
                    memory: Memory::Contiguous,
                    is_shared: step % 2 == 0,
                };
                case.paste::<4, burn::tensor::Float>(device, DType::F32);
                case.blend::<4>(device, DType::F32);
            }
        }
    }
}
