//! The files of a data set in shards.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::index::may_be_shard;
use crate::data::sources::sets::{files, key, split_in};
use crate::data::{DataError, Split};

const SUFFIXES: [&str; 3] = [".tar", ".tar.gz", ".tgz"];
/// Number of shards that a pattern may name.
const MAX_SHARDS: usize = 1 << 20;

/// Whether a path is a shard, a pattern of shards or a folder that has some.
pub fn are_at(path: &Path) -> bool {
    if path.is_dir() {
        let shards = files(path, &SUFFIXES);
        shards.is_ok_and(|shards| shards.first().is_some_and(|(first, _)| may_be_shard(first)))
    } else {
        let name = path.to_string_lossy().to_lowercase();
        let is_named = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        is_named && (path.is_file() || is_pattern(&name))
    }
}

/// The shards at a path, each with its set. Of files that are named one by one and are all of one
/// set, it is the training set.
pub fn at(path: &Path) -> Result<Vec<(PathBuf, Split)>, DataError> {
    if path.is_dir() {
        return files(path, &SUFFIXES);
    }
    let shards = named(path)?;
    let set = |shard: &PathBuf| {
        let names = [shard.file_name(), shard.parent().and_then(Path::file_name)];
        let mut names = names
            .into_iter()
            .flatten()
            .map(|name| name.to_string_lossy());
        names
            .find_map(|name| split_in(&name))
            .unwrap_or(Split::Train)
    };
    let sets: Vec<_> = shards.iter().map(set).collect();
    let is_one = sets.iter().all(|set| *set == sets[0]);
    let sets = sets
        .into_iter()
        .map(|set| if is_one { Split::Train } else { set });
    let mut shards: Vec<_> = shards.into_iter().zip(sets).collect();
    shards.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(shards)
}

/// The files that a path or pattern names.
fn named(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let pattern = path
        .to_str()
        .filter(|pattern| is_pattern(pattern) && !path.exists());
    let Some(pattern) = pattern else {
        return Ok(vec![path.into()]);
    };
    let mut shards = Vec::new();
    for expanded in braces(pattern)? {
        shards.extend(stars(Path::new(&expanded))?);
    }
    if shards.is_empty() {
        return Err(DataError::NotFound { path: path.into() });
    }
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['{', '*', '?'])
}

/// The texts for which a pattern with `{000..012}` and `{a,b}` stands.
fn braces(pattern: &str) -> Result<Vec<String>, DataError> {
    let mut done = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside, after)) = first_braces(rest) {
        let parts = match range(inside) {
            Some(range) => range?,
            None => inside.split(',').map(String::from).collect(),
        };
        check_count(pattern, done.len().saturating_mul(parts.len()))?;
        let longer = |start: &String| {
            let start = format!("{start}{before}");
            parts
                .iter()
                .map(move |part| format!("{start}{part}"))
                .collect::<Vec<_>>()
        };
        done = done.iter().flat_map(longer).collect();
        rest = after;
    }
    Ok(done.into_iter().map(|start| start + rest).collect())
}

/// What is before, in and after the first pair of braces.
fn first_braces(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

/// The numbers of a range `000..012`, with as many digits as its start.
fn range(inside: &str) -> Option<Result<Vec<String>, DataError>> {
    let (start, end) = inside.split_once("..")?;
    let digits = start.len();
    let (start, end): (usize, usize) = (start.parse().ok()?, end.parse().ok()?);
    let count = end.saturating_sub(start);
    let numbers = || {
        (start..=end)
            .map(|number| format!("{number:0digits$}"))
            .collect()
    };
    Some(check_count(inside, count).map(|()| numbers()))
}

fn check_count(pattern: &str, count: usize) -> Result<(), DataError> {
    if count <= MAX_SHARDS {
        return Ok(());
    }
    let expected = format!("a pattern of at most {MAX_SHARDS} files");
    Err(DataError::argument("path", pattern, expected))
}

/// The files for which a path with `*` and `?` stands; the path itself where it has none.
fn stars(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let pattern = part.as_os_str().to_string_lossy();
        let is_pattern = matches!(part, Component::Normal(_)) && pattern.contains(['*', '?']);
        let mut next = Vec::new();
        for start in found {
            if is_pattern {
                next.extend(matching(&start, &pattern)?);
            } else {
                next.push(start.join(part));
            }
        }
        found = next;
    }
    Ok(found)
}

/// The entries of a folder whose names match a pattern.
fn matching(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let here = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    // A folder that a star stands for may be a file.
    if !here.is_dir() {
        return Ok(Vec::new());
    }
    let io = |error| DataError::io(here, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(here).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if matches(pattern.as_bytes(), name.as_encoded_bytes()) {
            found.push(dir.join(name));
        }
    }
    Ok(found)
}

/// Whether a name matches a pattern in which `*` stands for any bytes and `?` for one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last star is, and how much of the name it stands for.
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match &mut star {
                Some((star, taken)) => {
                    *taken += 1;
                    (at, read) = (*star + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_numbers_and_words() {
        let expand = |pattern| braces(pattern).unwrap();
        assert_eq!(
            expand("a-{08..11}.tar"),
            ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
        );
        assert_eq!(expand("{x,y}{1..2}"), ["x1", "x2", "y1", "y2"]);
        assert_eq!(expand("plain{"), ["plain{"]);
        assert!(braces("{0..9999999}").is_err());
        assert!(braces("{0..99999}{0..99999}").is_err());
    }

    #[test]
    fn stars_stand_for_any_bytes() {
        let fits = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
        assert!(fits("*.tar", "a.tar") && fits("a*b*c", "a-b-bc") && fits("??", "ab"));
        assert!(!fits("*.tar", "a.tar.gz") && !fits("a?", "a") && fits("*", ""));
    }
}
