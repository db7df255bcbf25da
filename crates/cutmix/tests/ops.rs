//! The operations: the kernels of the CPU equal plain tensor calls bit for bit, on any shape,
//! memory layout, element type and plan; and what is refused.

mod common;

use burn::tensor::{DType, Device, Float, Int, Tensor};
use cutmix::ops;
use cutmix::plan::{Drawer, Mode, Plan, Region, Stream};
use proptest::prelude::*;

use common::kernels::case;
use common::{assert_refused, cases, values};

const FLOATS: [DType; 4] = [DType::F32, DType::F16, DType::BF16, DType::F64];
const INTS: [DType; 3] = [DType::U8, DType::I64, DType::I16];

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn images_equal_the_reference(case in case(4, 9, 12)) {
        let device = Device::flex();
        for dtype in FLOATS {
            case.paste::<4, Float>(&device, dtype);
            case.blend::<4>(&device, dtype);
            case.fill::<4, Float>(&device, dtype);
        }
        for dtype in INTS {
            case.paste::<4, Int>(&device, dtype);
            case.blend_int::<4>(&device, dtype);
            case.fill::<4, Int>(&device, dtype);
        }
        case.paste_bool::<4>(&device);
        case.targets(&device);
    }

    #[test]
    fn sequences_and_volumes_equal_the_reference(
        (sequence, volume) in (case(3, 9, 40), case(5, 6, 6))
    ) {
        let device = Device::flex();
        sequence.paste::<3, Float>(&device, DType::F32);
        sequence.blend::<3>(&device, DType::F16);
        sequence.fill::<3, Int>(&device, DType::U8);
        volume.paste::<5, Int>(&device, DType::U8);
        volume.blend::<5>(&device, DType::F32);
        volume.fill::<5, Float>(&device, DType::BF16);
    }

    #[test]
    fn gradients_equal_the_reference(case in case(4, 6, 7)) {
        case.gradients::<4>(&Device::flex());
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Large enough that threads share the work, with rows that are longer than a block.
    #[test]
    fn large_batches_equal_the_reference(
        (images, sequence) in (case(4, 40, 96), case(3, 12, 12_000))
    ) {
        let device = Device::flex();
        images.paste::<4, Float>(&device, DType::F32);
        images.blend::<4>(&device, DType::F32);
        images.fill::<4, Int>(&device, DType::U8);
        sequence.paste::<3, Int>(&device, DType::U8);
        sequence.blend::<3>(&device, DType::F32);
        sequence.fill::<3, Float>(&device, DType::F32);
    }
}

#[test]
fn permutations_of_every_kind_equal_the_reference() {
    let device = Device::flex();
    let n = 12;
    let cycle: Vec<_> = (0..n).map(|i| (i + 1) % n).collect();
    let backwards: Vec<_> = (0..n).map(|i| (i + n - 1) % n).collect();
    let pairs: Vec<_> = (0..n).map(|i| i ^ 1).collect();
    let flip: Vec<_> = (0..n).rev().collect();
    let mut fixed_points: Vec<_> = (0..n).collect();
    fixed_points.swap(3, 7);
    for partners in [cycle, backwards, pairs, flip, fixed_points] {
        let drawer = Drawer::new(1.0).partners(partners);
        for mode in [Mode::Batch, Mode::Sample] {
            for step in 0..20 {
                let mut rng = Stream::new(1).at(step);
                let drawer = drawer.clone().mode(mode);
                let plan = drawer.draw(n, &[11, 13], &mut rng).unwrap();
                let images = || {
                    let count = (n * 3 * 11 * 13) as i64;
                    Tensor::<1, Int>::arange(0..count, &device).reshape([n, 3, 11, 13])
                };
                let (partners, regions) = (plan.partners(), plan.regions());
                let expected = ops::reference::paste(images(), partners, regions);
                let mixed = ops::paste(images(), &plan).unwrap();
                assert!(mixed.into_data() == expected.into_data(), "{plan}");
            }
        }
    }
}

#[test]
fn a_tensor_that_is_owned_alone_is_changed_where_it_is() {
    for device in common::devices() {
        let images = Tensor::<4>::zeros([4, 3, 8, 8], &device);
        let address = |images: &Tensor<4>| {
            use burn::backend::{DispatchTensorKind, flex::FlexTensor};
            fn flex(kind: DispatchTensorKind) -> FlexTensor {
                match kind {
                    DispatchTensorKind::Flex(burn::backend::BackendTensor::Float(t)) => t,
                    DispatchTensorKind::Flex(tensor) => tensor.autodiff_inner(),
                    DispatchTensorKind::Autodiff(inner) => flex(*inner),
                }
            }
            flex(images.clone().into_dispatch().kind).bytes().as_ptr()
        };
        let before = address(&images);
        let plan = Plan::new(vec![1, 2, 3, 0], Region::new([1..5, 2..8]), vec![8, 8]).unwrap();
        let images = ops::paste(images, &plan).unwrap();
        let whole = [Region::whole(&[8, 8])];
        let images = ops::blend(images, plan.partners(), &whole, &[0.25]).unwrap();
        let images = ops::fill(images, plan.regions(), 1.0).unwrap();
        assert_eq!(address(&images), before);

        let shared = images.clone();
        let images = ops::paste(images, &plan).unwrap();
        assert_eq!(address(&shared), before);
        assert_ne!(address(&images), before);
    }
}

#[test]
fn an_integer_is_blended_to_the_nearest_one() {
    let device = Device::flex();
    let images =
        Tensor::<3, Int>::from_data([[[0u8, 255, 1]], [[255, 0, 2]]], (&device, DType::U8));
    let mixed = ops::blend(images, &[1, 0], &[Region::whole(&[3])], &[0.5]).unwrap();
    // 127.5 and 1.5 lie between two integers and go to the even one.
    assert_eq!(values::<u8, 3, _>(&mixed), [128, 128, 2, 128, 128, 2]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let images = || Tensor::<4>::zeros([2, 1, 4, 4], &Device::flex());
    let whole = [Region::whole(&[4, 4])];
    let blend = |partners: &[usize], regions: &[Region], lambdas: &[f64]| {
        ops::blend(images(), partners, regions, lambdas)
    };
    assert_refused(blend(&[0, 0], &whole, &[0.5]), &["`partners`", "[0, 0]"]);
    assert_refused(blend(&[0], &whole, &[0.5]), &["`partners`", "2 samples"]);
    assert_refused(blend(&[1, 0], &[], &[0.5]), &["`regions`", "0"]);
    assert_refused(
        blend(&[1, 0], &vec![whole[0].clone(); 3], &[0.5]),
        &["`regions`", "3"],
    );
    assert_refused(blend(&[1, 0], &whole, &[]), &["`lambdas`", "0"]);
    assert_refused(
        blend(&[1, 0], &whole, &[0.5, 1.5]),
        &["`lambdas`", "1.5", "0..=1"],
    );
    assert_refused(blend(&[1, 0], &whole, &[f64::NAN]), &["`lambdas`", "NaN"]);
    assert_refused(
        blend(&[1, 0], &[common::kernels::wrong_region()], &[0.5]),
        &["`region`", "0..5"],
    );
    let line = [Region::new([])];
    assert_refused(
        ops::fill(images(), &line, 0.0),
        &["`regions`", "0 dimensions"],
    );
    let volume = [Region::whole(&[2, 1, 4, 4])];
    assert_refused(
        ops::fill(images(), &volume, 0.0),
        &["`regions`", "4 dimensions"],
    );
    assert_refused(
        ops::fill(images(), &[common::kernels::wrong_region()], 0.0),
        &["`region`"],
    );
}
