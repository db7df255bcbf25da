//! Which repository is meant, and which of its files has the weights.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use hf_hub::{Repo, RepoType};

use super::HubError;

/// The revision of a repository where none is given.
const MAIN: &str = "main";

/// Name and revision of a repository with weights: `owner/name` or `owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl FromStr for Repository {
    type Err = HubError;

    fn from_str(id: &str) -> Result<Self, HubError> {
        let (name, revision) = id.split_once('@').unwrap_or((id, MAIN));
        let is_name = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(is_plain) && !part.contains("..") && part != "."
        };
        let is_pair = name.split('/').count() == 2 && name.split('/').all(is_name);
        // A revision such as `refs/pr/1` has several parts.
        if is_pair && revision.split('/').all(is_name) {
            Ok(Self {
                name: name.into(),
                revision: revision.into(),
            })
        } else {
            Err(HubError::Id { id: id.into() })
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            MAIN => f.write_str(&self.name),
            revision => write!(f, "{}@{revision}", self.name),
        }
    }
}

impl Repository {
    /// The repository as `hf_hub` knows it.
    pub fn repo(&self) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, self.revision.clone())
    }

    /// The one of `files` that has the weights. Files in folders are not looked at.
    pub fn weights<'a>(&self, files: &'a [String]) -> Result<&'a str, HubError> {
        let ends = |file: &str, ends: &[&str]| ends.iter().any(|end| file.ends_with(end));
        let top: Vec<_> = files.iter().filter(|file| is_file_name(file)).collect();
        for known in ["model.safetensors", "pytorch_model.bin"] {
            if let Some(file) = top.iter().find(|file| **file == known) {
                return Ok(file);
            }
        }
        // The list of the parts is there wherever there are several.
        let is_list = |file: &str| ends(file, &[".safetensors.index.json", ".bin.index.json"]);
        if let Some(file) = top.iter().find(|file| is_list(file)) {
            return Err(HubError::Sharded {
                repository: self.to_string(),
                file: file.to_string(),
            });
        }
        let mut others = (top.iter()).filter(|file| ends(file, &[".safetensors", ".pth", ".pt"]));
        match (others.next(), others.next()) {
            (Some(file), None) => Ok(file),
            _ => Err(HubError::NoWeights {
                repository: self.to_string(),
                files: files.to_vec(),
            }),
        }
    }
}

/// Whether a text of a hub is the name of a file, without a folder, that fits into one line.
pub(super) fn is_file_name(text: &str) -> bool {
    let name = Path::new(text).file_name();
    name.is_some_and(|name| name == text) && !text.chars().any(char::is_control)
}
