//! The memory that a large folder takes, in a process of its own so that nothing else counts.

#[cfg(target_os = "linux")]
#[test]
fn a_sample_takes_at_most_200_bytes_before_the_first_batch() {
    use std::fs;
    use std::path::Path;

    use burn::tensor::Device;
    use cutmix_train::Loader;
    use cutmix_vision::{
        Augment, DataConfig, ImageLoader, LoaderConfig, Manifest, Normalize, open,
    };

    const SAMPLES: u64 = 40_000;

    /// The most memory that this process has had, in bytes.
    fn peak() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        1024 * kib.parse::<u64>().unwrap()
    }

    /// A folder of so many links to one small image, under names as long as those of ImageNet.
    fn folder(dir: &Path, samples: u64) {
        for class in 0..20 {
            fs::create_dir_all(dir.join(format!("n0144{class:04}"))).unwrap();
        }
        let image = dir.join("n01440000/first.JPEG");
        image::RgbImage::new(32, 24)
            .save_with_format(&image, image::ImageFormat::Jpeg)
            .unwrap();
        for sample in 0..samples {
            let name = format!("n0144{0:04}/n0144{0:04}_{sample:08}.JPEG", sample % 20);
            fs::hard_link(&image, dir.join(name)).unwrap();
        }
    }

    /// What the program does before a run has its first batch.
    fn start(dir: &Path) {
        let splits = open(dir, &DataConfig::new().with_size(32)).unwrap();
        let splits = splits.split_val(0.1, 0).unwrap();
        let normalize = Normalize::of(&splits.train).unwrap();
        let config = LoaderConfig::new(32, normalize)
            .with_augment(Augment::standard())
            .with_cache(1 << 20);
        let loader = ImageLoader::train(splits.train.clone(), config).unwrap();
        let manifest = Manifest::of(&splits);
        let file = fs::File::create(dir.join("manifest.json")).unwrap();
        serde_json::to_writer(std::io::BufWriter::new(file), &manifest).unwrap();
        drop(manifest);
        let batch = loader.batches(0, 0, &Device::default()).next();
        assert_eq!(batch.unwrap().unwrap().size(), 32);
    }

    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(small.path(), 2_000);
    folder(large.path(), SAMPLES + 2_000);
    start(small.path());
    let before = peak();
    start(large.path());
    let each = (peak() - before) as f64 / SAMPLES as f64;
    println!("{each:.0} bytes");
    assert!(each <= 200.0, "{each}");
}
