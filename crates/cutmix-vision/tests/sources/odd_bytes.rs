//! Files with any bytes: reading them is an error or gives samples, and always ends.

use std::fs;
use std::io::Write;
use std::path::Path;

use cutmix_vision::data::{DataConfig, DataError, load_class_map, open};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::tempdir;

use super::{odd, save};

/// A change to the bytes of a file.
#[derive(Clone, Debug)]
enum Change {
    /// Another byte at this share of the file.
    Flip(f64, u8),
    /// The end of the file at this share of it.
    Cut(f64),
    /// So many bytes less at this share of the file.
    Remove(f64, usize),
    /// A number of 32 bits at this share of the file.
    Number(f64, u32),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        8 => (0.0..1.0, any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        1 => (0.0..1.0).prop_map(Change::Cut),
        1 => (0.0..1.0, 1usize..600).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (0.0..1.0, any::<u32>()).prop_map(|(at, number)| Change::Number(at, number)),
    ];
    vec(change, 1..6)
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let at = |share: f64| (share * bytes.len() as f64) as usize;
    match *change {
        Change::Flip(share, byte) => {
            let at = at(share);
            bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|old| *old = byte);
        }
        Change::Cut(share) => bytes.truncate(at(share)),
        Change::Remove(share, count) => {
            let at = at(share);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Number(share, number) => {
            let at = at(share);
            let new = number.to_le_bytes();
            bytes
                .iter_mut()
                .skip(at)
                .zip(new)
                .for_each(|(old, new)| *old = new);
        }
    }
}

/// Opens data and reads all their images, from the last to the first.
fn read(path: &Path) -> Result<usize, DataError> {
    let splits = open(path, &DataConfig::new())?;
    let sets = [Some(splits.train), splits.val, splits.test];
    let mut good = 0;
    for set in sets.iter().flatten() {
        let indices = (0..set.len()).rev().take(100);
        good += indices.filter(|&index| set.image(index).is_ok()).count();
    }
    Ok(good)
}

/// Reads a file after changes, under the same name.
fn read_changed(file: &str, changes: &[Change]) {
    let dir = tempdir().unwrap();
    let mut bytes = fs::read(odd(file)).unwrap();
    changes.iter().for_each(|change| apply(&mut bytes, change));
    let path = dir.path().join(Path::new(file).file_name().unwrap());
    fs::write(&path, bytes).unwrap();
    if let Err(error) = read(&path) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// Reads the IDX files of `emnist-letters` after changes of one of them.
fn read_changed_idx(file: usize, changes: &[Change]) {
    let dir = tempdir().unwrap();
    let names = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "mapping.txt",
    ];
    for (at, name) in names.into_iter().enumerate() {
        let name = format!("emnist-letters-{name}");
        let mut bytes = fs::read(odd("emnist").join(&name)).unwrap();
        if at == file {
            changes.iter().for_each(|change| apply(&mut bytes, change));
        }
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    if let Err(error) = read(dir.path()) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

fn read_table(text: &[u8]) {
    let dir = tempdir().unwrap();
    save(dir.path(), "a.png", [1, 2, 3]);
    save(dir.path(), "b/c.png", [1, 2, 3]);
    let path = dir.path().join("labels.csv");
    fs::write(&path, text).unwrap();
    for path in [&path, dir.path()] {
        if let Err(error) = read(path) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

/// Reads bytes as a map of classes. A map has as many classes as its size says.
fn read_map(bytes: &[u8]) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("map.png");
    fs::write(&path, bytes).unwrap();
    match load_class_map(&path, 255) {
        Ok(map) => assert_eq!(map.classes().len(), map.size().area()),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

/// A PNG of these sizes, depth, kind of colours and interlacing, whose checksums are right.
fn png([width, height]: [u32; 2], kind: [u8; 3], palette: &[u8], rows: &[u8]) -> Vec<u8> {
    let mut rows_packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    rows_packed.write_all(rows).unwrap();
    let [depth, colors, interlacing] = kind;
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, colors, 0, 0, interlacing]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [
        (b"IHDR", header.as_slice()),
        (b"PLTE", palette),
        (b"IDAT", &rows_packed.finish().unwrap()),
        (b"IEND", &[]),
    ] {
        if name == b"PLTE" && content.is_empty() {
            continue;
        }
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(content);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(name);
        bytes.extend(content);
        bytes.extend(sum.sum().to_be_bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(64, |cases| cases.parse().unwrap_or(64)),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_changed_shard_is_read_or_refused(changes in changes(), file in 0usize..4) {
        let files = [
            "shards/train-0000.tar",
            "shards/train-0001.tar.gz",
            "odd_shards/long_names_gnu.tar",
            "odd_shards/long_names_pax.tar",
        ];
        read_changed(files[file], &changes);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn a_changed_parquet_file_is_read_or_refused(changes in changes(), file in 0usize..3) {
        let files = [
            "hf/data/train-00000-of-00002.parquet",
            "odd_parquet/several.parquet",
            "odd_parquet/names.parquet",
        ];
        read_changed(files[file], &changes);
    }

    #[test]
    fn changed_idx_files_are_read_or_refused(changes in changes(), file in 0usize..3) {
        read_changed_idx(file, &changes);
    }

    #[test]
    fn any_bytes_are_a_table_or_refused(text in vec(any::<u8>(), 0..200)) {
        read_table(&text);
    }

    #[test]
    fn any_cells_are_a_table_or_refused(
        cells in vec(vec("a\\.png|c|b/c|b\\\\c\\.png|x|y|0|1|1\\.0|x\\|y|train|test|\"|\"x|", 0..4), 0..6),
        header in "path,label|id,labels|image,split,class|path,x,y|",
        separator in "[,;\t]",
    ) {
        let rows = cells.iter().map(|row| row.join(&separator));
        let header = header.replace(',', &separator);
        let text = std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n");
        read_table(text.as_bytes());
    }

    #[test]
    fn a_changed_map_of_classes_is_read_or_refused(changes in changes(), file in 0usize..3) {
        let files = ["palette_and_transparency", "values_of_12_bits", "grey_and_alpha"];
        let mut bytes = fs::read(odd(&format!("images/{}.png", files[file]))).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        read_map(&bytes);
    }

    #[test]
    fn a_png_of_any_header_and_rows_is_a_map_of_classes_or_refused(
        size in prop_oneof![8 => [0u32..20, 0u32..20], 1 => any::<[u32; 2]>()],
        kind in prop_oneof![
            8 => (0u32..5, 0u8..2).prop_map(|(bits, interlacing)| [1 << bits, 0, interlacing]),
            4 => (0u32..4, 0u8..2).prop_map(|(bits, interlacing)| [1 << bits, 3, interlacing]),
            1 => any::<[u8; 3]>(),
        ],
        palette in vec(any::<u8>(), 0..60),
        rows in vec(0u8..5, 0..900),
    ) {
        read_map(&png(size, kind, &palette, &rows));
    }

    #[test]
    fn any_bytes_under_the_name_of_a_shard_are_refused(bytes in vec(any::<u8>(), 0..2000)) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.tar");
        fs::write(&path, bytes).unwrap();
        prop_assert!(read(&path).is_err());
    }
}
