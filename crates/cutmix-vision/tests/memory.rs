//! The memory that a compressed file can take, in a process of its own so that nothing else counts.

#[cfg(target_os = "linux")]
#[test]
fn a_file_takes_no_more_memory_than_its_header_promises_and_its_bytes_fill() {
    use std::fs;
    use std::io::{Read, Write};

    use cutmix_vision::DataError;
    use cutmix_vision::data::sources::idx;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// The most memory that this process has had, in bytes.
    fn peak() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        1024 * kib.parse::<u64>().unwrap()
    }

    let dir = tempfile::tempdir().unwrap();
    // Two images of 3 x 3 by its header, followed by 256 MiB of zeros.
    let images = fs::File::create(dir.path().join("train-images-idx3-ubyte.gz")).unwrap();
    let mut images = GzEncoder::new(images, Compression::fast());
    images
        .write_all(&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3])
        .unwrap();
    std::io::copy(&mut std::io::repeat(0).take(256 << 20), &mut images).unwrap();
    images.finish().unwrap();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();

    let before = peak();
    let error = idx(dir.path()).unwrap_err();
    assert!(matches!(error, DataError::Format { .. }), "{error}");
    assert!(peak() - before < 16 << 20, "{} bytes", peak() - before);

    // A plain file of a few bytes whose header promises 3 TB.
    let other = tempfile::tempdir().unwrap();
    let mut images = vec![0, 0, 8, 3];
    for size in [u32::MAX, 28, 28] {
        images.extend(size.to_be_bytes());
    }
    images.extend([0; 9]);
    fs::write(other.path().join("train-images-idx3-ubyte"), images).unwrap();
    fs::write(other.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    let error = idx(other.path()).unwrap_err();
    assert!(matches!(error, DataError::Format { .. }), "{error}");
    assert!(peak() - before < 16 << 20, "{} bytes", peak() - before);
}
