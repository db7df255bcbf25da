//! The samples of a shard.

use std::collections::HashSet;
use std::path::Path;

use image::ImageFormat;

use super::archive::{Archive, Member};
use super::tags;
use crate::data::DataError;
use crate::data::escape::escape;
use crate::data::sources::labels::Tags;

/// Largest file that has a label, in bytes.
const MAX_LABEL: u64 = 16 << 20;

/// An image in a shard. There may be millions, so it is small.
#[derive(Debug)]
pub struct Image {
    pub name: Box<str>,
    /// Number of bytes of the unpacked shard before the image.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// The samples of a shard.
#[derive(Debug)]
pub struct Index {
    pub images: Vec<Image>,
    pub labels: Vec<Tags>,
    pub is_packed: bool,
}

/// Files of one key, while they are read.
#[derive(Default)]
struct Sample {
    key: String,
    image: Option<Member>,
    /// From a file `.cls`, which goes before a JSON file.
    class: Option<Tags>,
    json: Option<Tags>,
}

/// What a file of a sample has, by its suffix.
enum Part {
    Image,
    Class,
    Json,
    Other,
}

impl Index {
    /// Reads all headers and labels of a shard.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let mut archive = Archive::open(path)?;
        let mut index = Self {
            images: Vec::new(),
            labels: Vec::new(),
            is_packed: archive.is_packed(),
        };
        let mut sample = Sample::default();
        while let Some(member) = archive.next()? {
            let Some((key, suffix)) = split(&member.name) else {
                continue;
            };
            if key != sample.key {
                let key = key.to_owned();
                let done = std::mem::replace(
                    &mut sample,
                    Sample {
                        key,
                        ..Sample::default()
                    },
                );
                index.push(path, done)?;
            }
            sample.add(path, &mut archive, Part::of(suffix), member)?;
        }
        index.push(path, sample)?;
        index.check_names(path)?;
        index.images.shrink_to_fit();
        Ok(index)
    }

    fn push(&mut self, path: &Path, sample: Sample) -> Result<(), DataError> {
        let Some(image) = sample.image else {
            return Ok(());
        };
        let Some(label) = sample.class.or(sample.json) else {
            let found = format!("missing for {}", escape(&image.name));
            let key = escape(&sample.key);
            let expected = format!("a file {key}.cls, or {key}.json with a field `label`");
            return Err(DataError::format(path, "label", found, expected));
        };
        self.labels.push(label);
        self.images.push(Image {
            name: escape(image.name.trim_start_matches("./")).into(),
            offset: image.offset,
            bytes: image.bytes,
        });
        Ok(())
    }

    fn check_names(&self, path: &Path) -> Result<(), DataError> {
        let mut names = HashSet::new();
        match self.images.iter().find(|image| !names.insert(&image.name)) {
            None => Ok(()),
            Some(image) => {
                let found = format!("twice in the shard, {}", image.name);
                Err(DataError::format(
                    path,
                    "sample",
                    found,
                    "the files of a sample side by side",
                ))
            }
        }
    }
}

impl Sample {
    fn add(
        &mut self,
        path: &Path,
        archive: &mut Archive,
        part: Part,
        member: Member,
    ) -> Result<(), DataError> {
        match part {
            Part::Image if self.image.is_none() => self.image = Some(member),
            Part::Class | Part::Json => {
                let wrong = |found: String, expected: String| {
                    let found = format!("{found} in {}", escape(&member.name));
                    DataError::format(path, "label", found, expected)
                };
                if member.bytes > MAX_LABEL {
                    let found = format!("{} bytes", member.bytes);
                    return Err(wrong(found, format!("at most {MAX_LABEL}")));
                }
                let bytes = archive.read(&member)?;
                let start: String = String::from_utf8_lossy(&bytes).chars().take(20).collect();
                let wrong = |expected| wrong(format!("`{}`", escape(start)), expected);
                if matches!(part, Part::Class) {
                    self.class = Some(tags::of_text(&bytes).map_err(wrong)?);
                } else {
                    self.json = tags::of_json(&bytes).map_err(wrong)?;
                }
            }
            Part::Image | Part::Other => {}
        }
        Ok(())
    }
}

impl Part {
    fn of(suffix: &str) -> Self {
        let suffix = suffix.to_lowercase();
        match suffix.rsplit('.').next() {
            Some("cls") => Self::Class,
            Some("json") => Self::Json,
            Some(last) if ImageFormat::from_extension(last).is_some() => Self::Image,
            _ => Self::Other,
        }
    }
}

/// Whether an archive begins with an image and its label. An archive that cannot be read may.
pub fn may_be_shard(path: &Path) -> bool {
    /// Files that are looked at.
    const FILES: usize = 16;
    let look = || -> Result<bool, DataError> {
        let mut archive = Archive::open(path)?;
        let (mut last, mut image, mut label) = (String::new(), false, false);
        for _ in 0..FILES {
            let Some(member) = archive.next()? else {
                break;
            };
            let Some((key, suffix)) = split(&member.name) else {
                continue;
            };
            if key != last {
                (image, label) = (false, false);
                last = key.to_owned();
            }
            match Part::of(suffix) {
                Part::Image => image = true,
                Part::Class | Part::Json => label = true,
                Part::Other => {}
            }
            if image && label {
                return Ok(true);
            }
        }
        Ok(false)
    };
    look().unwrap_or(true)
}

/// The key of a file and its suffix: what is before and after the first dot of its name, the key with
/// its folder. `None` for what is no file of a sample.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_start_matches("./");
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name + path[name..].find('.')?;
    (dot > name).then(|| (&path[..dot], &path[dot + 1..]))
}
