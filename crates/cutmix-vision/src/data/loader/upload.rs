//! From the pixels of a batch to a tensor.

use std::borrow::Borrow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use crate::data::{DataError, Image, Normalize};

/// The images of a batch before they are a tensor, one after another, each as rows of pixels.
pub(crate) enum Images {
    /// Normalised, for a device that computes in the memory of the host.
    Normalized(Vec<f32>),
    /// As they are, for a device with a memory of its own: a quarter of the bytes to copy.
    Pixels(Vec<u8>),
}

/// Whether a device computes in the memory of the host.
pub(crate) fn is_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    {
        device.clone().without_autodiff() == Device::flex()
    }
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

impl Images {
    /// Room for `len` values of images that go to `device`.
    pub fn new(len: usize, device: &Device) -> Self {
        if is_host(device) {
            Self::Normalized(vec![0.0; len])
        } else {
            // Four pixels are a word.
            Self::Pixels(vec![0; len.next_multiple_of(4)])
        }
    }

    /// Makes an image of each input, in parallel, and writes it to its place.
    pub fn fill<T: Send, E: Send, I: Borrow<Image>>(
        &mut self,
        uploader: &Uploader,
        inputs: Vec<T>,
        make: impl Fn(T) -> Result<I, E> + Sync,
    ) -> Vec<Result<(), E>> {
        // One takes longer than another by far.
        let (len, inputs) = (uploader.len(), inputs.into_par_iter().with_max_len(1));
        match self {
            Self::Normalized(values) => (inputs.zip(values.par_chunks_exact_mut(len)))
                .map(|(input, values)| {
                    uploader.normalize(make(input)?.borrow().pixels(), values);
                    Ok(())
                })
                .collect(),
            Self::Pixels(values) => (inputs.zip(values.par_chunks_exact_mut(len)))
                .map(|(input, values)| {
                    values.copy_from_slice(make(input)?.borrow().pixels());
                    Ok(())
                })
                .collect(),
        }
    }

    /// Keeps these images of `len` values, in rising order, and moves them together.
    pub fn keep(&mut self, images: &[usize], len: usize) {
        for (to, &from) in images.iter().enumerate() {
            let from = from * len..(from + 1) * len;
            match self {
                Self::Normalized(values) => values.copy_within(from, to * len),
                Self::Pixels(values) => values.copy_within(from, to * len),
            }
        }
    }
}

/// How images of one shape become tensors.
#[derive(Debug)]
pub(crate) struct Uploader {
    /// `[C, H, W]`.
    shape: [usize; 3],
    normalize: Normalize,
    /// The number for each value of each channel.
    table: Vec<[f32; 256]>,
}

impl Uploader {
    pub fn new(shape: [usize; 3], normalize: &Normalize) -> Result<Self, DataError> {
        Ok(Self {
            table: normalize.table(shape[0])?,
            normalize: normalize.clone(),
            shape,
        })
    }

    /// Number of values of an image.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Writes the normalised pixels of an image.
    pub fn normalize(&self, pixels: &[u8], values: &mut [f32]) {
        match self.table.as_slice() {
            [red, green, blue] => {
                let pairs = values.as_chunks_mut::<3>().0.iter_mut();
                for (to, from) in pairs.zip(pixels.as_chunks::<3>().0) {
                    *to = [
                        red[from[0] as usize],
                        green[from[1] as usize],
                        blue[from[2] as usize],
                    ];
                }
            }
            table => {
                let grey = &table[0];
                let pairs = values.iter_mut().zip(pixels);
                pairs.for_each(|(to, &from)| *to = grey[from as usize]);
            }
        }
    }

    /// The tensor of shape `[N, C, H, W]` of `count` images.
    pub fn upload(&self, images: Images, count: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        if count == 0 {
            // Devices make no part of nothing.
            return Tensor::zeros([0, channels, height, width], device);
        }
        let shape = [count, height, width, channels];
        let images: Tensor<4> = match images {
            Images::Normalized(mut values) => {
                values.truncate(count * self.len());
                Tensor::from_data(TensorData::new(values, shape), device)
            }
            Images::Pixels(mut pixels) => {
                pixels.truncate((count * self.len()).next_multiple_of(4));
                let values = unpacked(&pixels, count * self.len(), device);
                self.normalized(values.reshape(shape))
            }
        };
        if channels == 1 {
            images.reshape([count, 1, height, width])
        } else {
            images.permute([0, 3, 1, 2])
        }
    }

    /// Normalises on the device, by the formula of [`Normalize::table`].
    fn normalized(&self, values: Tensor<4>) -> Tensor<4> {
        let device = values.device();
        let channels = [1, 1, 1, self.shape[0]];
        let of_channels = |numbers: &[f32]| {
            Tensor::from_data(TensorData::new(numbers.to_vec(), channels), &device)
        };
        let mean = of_channels(&self.normalize.mean);
        (values.div_scalar(255.0) - mean) / of_channels(&self.normalize.std)
    }
}

/// Copies bytes to a device, four in a word, since not every device has a type of one byte, and makes
/// a number of each of the first `len`.
fn unpacked(bytes: &[u8], len: usize, device: &Device) -> Tensor<1> {
    let words = bytes.as_chunks::<4>().0.iter();
    let words: Vec<_> = words.map(|&word| i32::from_le_bytes(word)).collect();
    let count = words.len();
    let words = Tensor::<1, Int>::from_data(TensorData::new(words, [count]), device);
    let byte = |at: usize| {
        let shifted = words.clone().bitwise_right_shift_scalar(8 * at as i32);
        shifted.bitwise_and_scalar(255).float()
    };
    let bytes = Tensor::stack::<2>((0..4).map(byte).collect(), 1);
    bytes.reshape([4 * count]).narrow(0, 0, len)
}
