//! Segmentation: images and their maps of classes, augmented together and mixed by CutMix.
//!
//! ```sh
//! cargo run --release -p cutmix-vision --example segmentation [IMAGE.jpg MAP.png]
//! ```
//!
//! Without files it draws discs. The maps of a real data set are read by `load_class_map`.

use burn::tensor::Device;
use cutmix::functional::cutmix_segmentation;
use cutmix::plan::Stream;
use cutmix_vision::data::augment::{Augment, Frame};
use cutmix_vision::data::{load_class_map, maps_to_tensor};
use cutmix_vision::{
    ClassMap, DataError, DecodeConfig, Image, Normalize, Size, View, load_image, to_tensor,
};

/// Samples in a batch, and the side of the images that the network takes.
const BATCH: usize = 8;
const SIDE: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let augment: Augment = "random-resized-crop:scale=0.5..1|flip|rotate:degrees=10".parse()?;
    let stream = Stream::new(42);
    let (mut images, mut maps) = (Vec::new(), Vec::new());
    for sample in 0..BATCH {
        let (image, map) = match files.as_slice() {
            [image, map] => {
                let map = load_class_map(map, 255)?;
                let Size { height, width } = map.size();
                let view = View::new([3, height, width]);
                (load_image(image, &view, &DecodeConfig::new())?, map)
            }
            _ => disc(20 + 5 * sample)?,
        };
        // Drawn once, applied to both: the disc of the map stays that of the image.
        let frame = Frame {
            size: image.size(),
            target: Size::new(SIDE, SIDE),
            mean: [124, 116, 104],
        };
        let transforms = augment.draw(frame, &mut stream.at(sample as u64));
        let image = transforms
            .iter()
            .try_fold(image, |image, one| one.apply(image))?;
        let map = transforms
            .iter()
            .try_fold(map, |map, one| one.apply_to_map(map))?;
        images.push(image);
        maps.push(map);
    }
    let device = Device::default();
    let images = to_tensor(&images, &Normalize::imagenet(), &device)?;
    let maps = maps_to_tensor(&maps, &device)?;
    let (images, maps, plan) = cutmix_segmentation(images, maps, 1.0, &mut stream.at(100))?;
    println!("{:?} {:?}", images.dims(), maps.dims());
    println!("{plan}");
    Ok(())
}

/// A bright disc of class 1 on a dark ground of class 0.
fn disc(radius: usize) -> Result<(Image, ClassMap), DataError> {
    let size = Size::new(120, 160);
    let inside = |at: usize| {
        let (row, column) = (at / size.width, at % size.width);
        let (down, right) = (row.abs_diff(60), column.abs_diff(80));
        down * down + right * right < radius * radius
    };
    let all = 0..size.area();
    let colors = all.clone().flat_map(|at| {
        if inside(at) {
            [230, 200, 40]
        } else {
            [20, 30, 60]
        }
    });
    let image = Image::new(size, 3, colors.collect())?;
    let map = ClassMap::new(size, all.map(|at| u16::from(inside(at))).collect(), 255)?;
    Ok((image, map))
}
