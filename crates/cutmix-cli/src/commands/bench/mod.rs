//! `cutmix bench`: what the operations cost on a device, beside a plain copy on it.

mod measure;

use burn::tensor::kind::Numeric;
use burn::tensor::{DType, Distribution, Float, Int, Tensor, TensorData};
use clap::{ValueEnum, value_parser};
use cutmix::Targets;
use cutmix::functional::smooth_labels;
use cutmix::ops::{self, reference};
use cutmix::plan::{Mode, Plan, PlanSampler, Region, Stream};
use serde::Serialize;

use self::measure::{Copier, Meter, median};
use crate::device;
use crate::error::Error;
use crate::terminal::line;

const MODES: [Mode; 3] = [Mode::Batch, Mode::Pair, Mode::Sample];

/// Measure what mixing a batch costs on a device, beside a plain copy.
///
/// paste is CutMix, blend is MixUp and fill is CutOut, each with one box for the batch, one for each
/// pair of images and one for each image. All change a batch in place; `paste, shared` writes a new
/// one, because something else still holds the batch. `paste, reference` does the same in plain
/// tensor calls, `targets, smoothed` mixes and then smooths labels, and `targets, one-hot` uses two
/// one-hot matrices. On a GPU the plain copy is the kernel with which Burn assigns a slice, and extra
/// memory what is still in use after a call. On the CPU extra memory is what a call allocates; build
/// with --features count-allocations to have it.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Samples, channels, height and width of the batch
    #[arg(long, value_name = "NxCxHxW", default_value = "64x3x224x224")]
    shape: String,
    /// Type of the elements
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: ElementType,
    /// Number of classes of the targets
    #[arg(long, value_name = "K", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    classes: u32,
    /// Number of random plans to measure each operation with
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u32).range(1..=100_000))]
    plans: u32,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON, with the time of each plan
    #[arg(long)]
    json: bool,
}

/// The type of the elements of a batch.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum ElementType {
    F32,
    F16,
    Bf16,
    F64,
    U8,
}

impl ElementType {
    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
            Self::F64 => DType::F64,
            Self::U8 => DType::U8,
        }
    }
}

/// The largest batch: more does not fit into the memory of a device.
const MOST_BYTES: usize = 1 << 32;

/// The results of all operations.
#[derive(Serialize)]
struct Measurements {
    device: String,
    shape: [usize; 4],
    dtype: ElementType,
    classes: u32,
    plans: u32,
    rows: Vec<Row>,
}

/// The result of one operation. Numbers are medians over the plans that change something, and `None`
/// where no plan does.
#[derive(Serialize)]
struct Row {
    operation: &'static str,
    mode: Option<Mode>,
    milliseconds: Option<f64>,
    /// Bytes of the regions in a second; `None` where there are no regions.
    gigabytes_per_second: Option<f64>,
    /// The time of a plain copy of as many bytes over the operation's time.
    share_of_copy: Option<f64>,
    /// Memory that a call allocates, where that is known.
    extra_bytes: Option<u64>,
    /// Bytes of the regions and seconds, plan by plan.
    samples: Vec<(usize, f64)>,
}

impl Row {
    /// The result of an operation that was timed on plans: bytes of their regions, and seconds.
    fn new(operation: &'static str, mode: Option<Mode>, samples: Vec<(usize, f64)>) -> Self {
        let rate = |&(bytes, seconds): &(usize, f64)| 1e-9 * bytes as f64 / seconds;
        Self {
            operation,
            mode,
            milliseconds: median(samples.iter().map(|(_, seconds)| 1e3 * seconds)),
            gigabytes_per_second: median(samples.iter().map(rate)),
            share_of_copy: None,
            extra_bytes: None,
            samples,
        }
    }
}

/// Measures and prints.
pub fn run(args: BenchArgs) -> Result<(), Error> {
    let chosen = device::choose(&args.device)?;
    let shape = parse_shape(&args.shape)?;
    let dtype = args.dtype.dtype();
    if !chosen.device.supports_dtype(dtype) {
        let expected = format!("a type that {} computes with", chosen.describe());
        return Err(Error::option("dtype", dtype.name(), expected));
    }
    let bytes = shape
        .iter()
        .try_fold(dtype.size(), |n, &size| n.checked_mul(size));
    if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
        return Err(Error::option(
            "shape",
            &args.shape,
            "a batch of at most 4 GiB",
        ));
    }
    let bench = Bench {
        meter: Meter {
            device: chosen.device.clone(),
            is_cpu: chosen.name == "cpu",
        },
        shape,
        dtype,
        classes: args.classes as usize,
        plans: args.plans,
    };
    let rows = match dtype {
        DType::U8 => bench.rows::<Int>()?,
        _ => bench.rows::<Float>()?,
    };
    let report = Measurements {
        device: chosen.describe(),
        shape,
        dtype: args.dtype,
        classes: args.classes,
        plans: args.plans,
        rows,
    };
    if args.json {
        let json = serde_json::to_string_pretty(&report).expect("numbers and texts are JSON");
        json.lines().for_each(line);
    } else {
        report.print();
    }
    Ok(())
}

fn parse_shape(text: &str) -> Result<[usize; 4], Error> {
    let sizes: Option<Vec<usize>> = text
        .split('x')
        .map(|size| size.trim().parse().ok())
        .collect();
    let shape = sizes.and_then(|sizes| <[usize; 4]>::try_from(sizes).ok());
    shape.filter(|shape| !shape.contains(&0)).ok_or_else(|| {
        let expected = "samples, channels, height and width, each at least 1, such as 64x3x224x224";
        Error::option("shape", text, expected)
    })
}

impl Measurements {
    fn print(&self) {
        let [n, c, h, w] = self.shape;
        let dtype = self.dtype.dtype().name();
        line(format!("device  {}", self.device));
        line(format!(
            "batch   {n} x {c} x {h} x {w} {dtype}, {} classes",
            self.classes
        ));
        line(format!(
            "medians over {} random plans, alpha 1; GB/s and share of a plain copy count the bytes of \
             the boxes",
            self.plans
        ));
        line("");
        line("operation                         time        GB/s   of a copy   extra memory");
        for row in &self.rows {
            let time = row.milliseconds.map(|time| format!("{time:.3} ms"));
            let rate = row.gigabytes_per_second.map(|rate| format!("{rate:.1}"));
            let share = row
                .share_of_copy
                .map(|share| format!("{:.0} %", 100.0 * share));
            let mode = row.mode.map(|mode| mode.to_string());
            line(format!(
                "{:<16} {:<8} {:>13} {:>11} {:>11} {:>14}",
                row.operation,
                mode.unwrap_or_default(),
                time.unwrap_or_default(),
                rate.unwrap_or_default(),
                share.unwrap_or_default(),
                row.extra_bytes.map(size).unwrap_or_default(),
            ));
        }
    }
}

/// `1234` as `1.2 KB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The batch that is measured on.
struct Bench {
    meter: Meter,
    shape: [usize; 4],
    dtype: DType,
    classes: usize,
    plans: u32,
}

impl Bench {
    fn rows<K: Numeric>(&self) -> Result<Vec<Row>, Error> {
        let whole = [Region::whole(&self.shape[2..])];
        let boxes = |plan: &Plan| self.bytes(plan.regions());
        // A sample that is its own partner is left alone.
        let pasted = |plan: &Plan| {
            let moved = plan.partners().iter().enumerate().filter(|(i, p)| i != *p);
            let pixels: usize = moved.map(|(i, _)| plan.region(i).volume()).sum();
            self.dtype.size() * self.shape[1] * pixels
        };
        let paste = |images, plan: &Plan| ops::paste(images, plan);
        let blend =
            |images, plan: &Plan| ops::blend(images, plan.partners(), &whole, plan.lambdas());
        let fill = |images, plan: &Plan| ops::fill(images, plan.regions(), 0.0);
        let mut rows = vec![self.copy()?];
        for mode in MODES {
            rows.push(self.row::<K>("paste", mode, pasted, paste)?);
        }
        for mode in MODES {
            rows.push(self.row::<K>("blend", mode, |_| self.bytes(&whole), blend)?);
        }
        for mode in [Mode::Batch, Mode::Sample] {
            rows.push(self.row::<K>("fill", mode, boxes, fill)?);
        }
        rows.push(self.shared_row::<K>("paste, shared", pasted, paste)?);
        rows.push(
            self.row::<K>("paste, reference", Mode::Batch, pasted, |images, plan| {
                Ok(reference::paste(images, plan.partners(), plan.regions()))
            })?,
        );
        let labels: Vec<_> = (0..self.shape[0])
            .map(|i| (i % self.classes) as i64)
            .collect();
        let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &self.meter.device);
        rows.push(self.targets("targets", |plan| {
            Targets::from(labels.clone()).mix(self.classes, plan)
        })?);
        rows.push(self.targets("targets, smoothed", |plan| {
            let mixed = Targets::from(labels.clone()).mix(self.classes, plan)?;
            smooth_labels(mixed, self.classes, 0.1)
        })?);
        rows.push(self.targets("targets, one-hot", |plan| {
            let hot = reference::one_hot(labels.clone(), self.classes);
            let partners = reference::upload(plan.partners(), &self.meter.device);
            let other = hot.clone().select(0, partners);
            Ok(hot * plan.lambda(0) + other * (1.0 - plan.lambda(0)))
        })?);
        Ok(rows)
    }

    fn images<K: Numeric>(&self) -> Tensor<4, K> {
        let mut rng = Stream::new(1).at(0);
        let values = Distribution::Uniform(0.0, 255.0);
        let data = TensorData::random::<f32, _, _>(self.shape, values, &mut rng);
        let options = (&self.meter.device, self.dtype);
        Tensor::from_data(data.convert_dtype(self.dtype), options)
    }

    fn plan(&self, mode: Mode, step: u32) -> Result<Plan, Error> {
        let mut rng = Stream::new(0).at(step.into());
        let sampler = PlanSampler::new(1.0).with_mode(mode);
        Ok(sampler.draw(self.shape[0], &self.shape[2..], &mut rng)?)
    }

    fn copier(&self) -> Copier<'_> {
        self.meter
            .copier(self.bytes(&[Region::whole(&self.shape[2..])]))
    }

    /// Bytes of the regions of all samples.
    fn bytes(&self, regions: &[Region]) -> usize {
        let pixels: usize = regions.iter().map(Region::volume).sum();
        self.dtype.size() * self.shape[1] * pixels * (self.shape[0] / regions.len())
    }

    /// An operation on a batch that it owns alone.
    fn row<K: Numeric>(
        &self,
        operation: &'static str,
        mode: Mode,
        bytes: impl Fn(&Plan) -> usize,
        change: impl Fn(Tensor<4, K>, &Plan) -> Result<Tensor<4, K>, cutmix::Error>,
    ) -> Result<Row, Error> {
        let images = self.images::<K>();
        self.measure(operation, mode, bytes, images, &change, &change)
    }

    /// An operation per batch on a batch that something else holds too.
    fn shared_row<K: Numeric>(
        &self,
        operation: &'static str,
        bytes: impl Fn(&Plan) -> usize,
        change: impl Fn(Tensor<4, K>, &Plan) -> Result<Tensor<4, K>, cutmix::Error>,
    ) -> Result<Row, Error> {
        let shared = self.images::<K>();
        let call = |images: Tensor<4, K>, plan: &Plan| {
            change(images.clone(), plan)?;
            Ok(images)
        };
        let keep = |images: Tensor<4, K>, plan: &Plan| {
            let mixed = change(images.clone(), plan)?;
            Ok((images, mixed))
        };
        self.measure(operation, Mode::Batch, bytes, shared, call, keep)
    }

    /// Measures a call that turns images into the next ones over all plans, each beside a copy of as
    /// many bytes, and the memory of one that keeps what it makes.
    fn measure<K: Numeric, T>(
        &self,
        operation: &'static str,
        mode: Mode,
        bytes: impl Fn(&Plan) -> usize,
        mut images: Tensor<4, K>,
        call: impl Fn(Tensor<4, K>, &Plan) -> Result<Tensor<4, K>, cutmix::Error>,
        keep: impl FnOnce(Tensor<4, K>, &Plan) -> Result<T, cutmix::Error>,
    ) -> Result<Row, Error> {
        let mut copier = self.copier();
        let mut samples = Vec::new();
        let mut largest = (0, self.plan(mode, 0)?);
        // The first one warms up.
        for step in 0..=self.plans {
            let plan = self.plan(mode, step)?;
            let bytes = bytes(&plan);
            let (changed, seconds) = self.meter.time(images, |images| call(images, &plan))?;
            images = changed;
            let copy_seconds = copier.seconds(bytes)?;
            if step > 0 && bytes > 0 {
                samples.push((bytes, seconds, copy_seconds));
            }
            if bytes > largest.0 && !plan.is_identity() {
                largest = (bytes, plan);
            }
        }
        let (_, plan) = largest;
        let extra_bytes = self.meter.memory(|| keep(images, &plan))?;
        let timed = samples.iter().map(|&(bytes, seconds, _)| (bytes, seconds));
        Ok(Row {
            share_of_copy: median(samples.iter().map(|(_, seconds, copy)| copy / seconds)),
            extra_bytes,
            ..Row::new(operation, Some(mode), timed.collect())
        })
    }

    /// A plain copy of the bytes of the boxes of CutMix.
    fn copy(&self) -> Result<Row, Error> {
        let mut copier = self.copier();
        let mut samples = Vec::new();
        for step in 0..=self.plans {
            let bytes = self.bytes(self.plan(Mode::Batch, step)?.regions());
            let seconds = copier.seconds(bytes)?;
            if step > 0 && bytes > 0 {
                samples.push((bytes, seconds));
            }
        }
        Ok(Row::new("plain copy", None, samples))
    }

    /// Class indices to mixed targets, in one of two ways.
    fn targets(
        &self,
        operation: &'static str,
        mix: impl Fn(&Plan) -> Result<Tensor<2>, cutmix::Error>,
    ) -> Result<Row, Error> {
        let mut seconds = Vec::new();
        for step in 0..=self.plans {
            let plan = self.plan(Mode::Batch, step)?;
            let ((), time) = self.meter.time((), |()| mix(&plan).map(drop))?;
            seconds.push(1e3 * time);
        }
        let plan = self.plan(Mode::Batch, 0)?;
        Ok(Row {
            // The first one warms up.
            milliseconds: median(seconds.into_iter().skip(1)),
            extra_bytes: self.meter.memory(|| mix(&plan))?,
            ..Row::new(operation, Some(Mode::Batch), Vec::new())
        })
    }
}
