//! What the tests of decoding share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutmix_vision::{Content, DataError, Dataset, Label, Source, View};

/// The JPEG files that `scripts/make_jpeg_golden.py` made, in order.
pub fn jpeg_files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg_data");
    let paths = fs::read_dir(dir).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().unwrap() == "jpg")
        .collect();
    paths.sort();
    paths
}

/// A set of one image.
pub fn set_of(content: Content<'static>, view: View) -> Dataset {
    #[derive(Debug)]
    struct One(Content<'static>);

    impl Source for One {
        fn len(&self) -> usize {
            1
        }

        fn name(&self, _: usize) -> String {
            "file".into()
        }

        fn label(&self, _: usize) -> Label {
            Label::Class(0)
        }

        fn content(&self, _: usize) -> Result<Content<'_>, DataError> {
            Ok(self.0.clone())
        }
    }

    Dataset::from_source(vec!["a".into()], view, Arc::new(One(content))).unwrap()
}
