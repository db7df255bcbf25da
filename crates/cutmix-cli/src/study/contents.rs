//! Digests of what a study is of: its data, and the files that its settings name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cutmix_vision::{Dataset, Manifest, Splits};
use toml::Table;

use crate::class_weights::BALANCED;
use crate::digest::sha256;
use crate::error::Error;
use crate::settings::Settings;

/// Images of each set whose content is compared. Reading all of them could take longer than a run.
const IMAGES: usize = 1000;

/// Digests of the files that these settings name, by the settings; a repository of weights by its name.
pub fn of_files(given: &Table) -> Result<BTreeMap<String, String>, Error> {
    let text = |name: &str| given.get(name).and_then(toml::Value::as_str);
    let read = |path: &Path| fs::read(path).map_err(|error| Error::read(path, error));
    let mut contents = BTreeMap::new();
    if let Some(weights) = text("weights") {
        let path = Path::new(weights);
        let content = if path.is_dir() {
            sha256(&read(&path.join("model.safetensors"))?)
        } else if path.is_file() {
            sha256(&read(path)?)
        } else {
            weights.into()
        };
        contents.insert("weights".into(), content);
    }
    if let Some(weights) = text("class-weights").filter(|weights| *weights != BALANCED) {
        contents.insert("class-weights".into(), sha256(&read(Path::new(weights))?));
    }
    Ok(contents)
}

/// The digest of all data of these settings, before a seed divides them; where `with_boxes`, also of the boxes
/// of their objects.
pub fn of_data(given: &Table, with_boxes: bool) -> Result<String, Error> {
    let splits = Settings::from_given(given.clone())?.open_whole_data()?;
    let digest = of_images(&Manifest::of(&splits), &splits);
    if !with_boxes {
        return Ok(digest);
    }
    let mut boxes = digest;
    for set in splits.sets() {
        boxes += &boxes_of(set)?;
    }
    Ok(sha256(boxes.as_bytes()))
}

/// The digest of images whose classes do not count; one of them may have the name of the folder.
pub fn of_unlike(images: Dataset) -> String {
    let splits = Splits::new(images);
    let mut manifest = Manifest::of(&splits);
    manifest.classes.clear();
    of_images(&manifest, &splits)
}

/// The digest of a manifest, and of the content of some of its images.
fn of_images(manifest: &Manifest, splits: &Splits) -> String {
    let contents = splits.sets().map(|set| set.content_digest(IMAGES));
    let digests: String = [manifest.digest()].into_iter().chain(contents).collect();
    sha256(digests.as_bytes())
}

fn boxes_of(set: &Dataset) -> Result<String, Error> {
    let mut text = String::new();
    for index in 0..set.len() {
        text += &format!("{:?};", set.object_box(index)?);
    }
    Ok(text)
}
