//! The files of checkpoints.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Bytes;
use sha2::{Digest, Sha256};

use super::{Checkpoint, Header};
use crate::{AtomicFile, CheckpointProblem};

/// The first bytes of a checkpoint, before the version of its format.
const MAGIC: &[u8; 8] = b"CUTMIXCP";
/// The first bytes of checkpoints of version 1.
const FIRST_MAGIC: &[u8; 8] = b"cutmix 1";
const VERSION: u32 = 3;
const DIGEST: usize = 32;
const EXTENSION: &str = "checkpoint";
/// Magic, version and the length of the header.
const PREFIX: usize = 8 + 4 + 8;
/// The longest header that is read without its digest.
const LONGEST_HEADER: u64 = 1 << 28;

/// The path of the checkpoint after `batch` batches.
pub(super) fn path(folder: &Path, batch: u64) -> PathBuf {
    folder.join(format!("batch-{batch:08}.{EXTENSION}"))
}

/// The batches of the checkpoints in a folder, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut batches = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_checkpoint = path.extension().is_some_and(|found| found == EXTENSION);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let batch = stem.and_then(|stem| stem.strip_prefix("batch-")?.parse::<u64>().ok());
        batches.extend(batch.filter(|_| is_checkpoint));
    }
    batches.sort_unstable();
    Ok(batches)
}

/// Reads a checkpoint and verifies its digest.
pub(super) fn read(path: &Path) -> Result<Checkpoint, CheckpointProblem> {
    let bytes = fs::read(path).map_err(CheckpointProblem::Unreadable)?;
    check_prefix(&bytes)?;
    parse(path, &bytes).ok_or(CheckpointProblem::Damaged)
}

/// Tells apart what is no checkpoint and what has another version.
fn check_prefix(bytes: &[u8]) -> Result<(), CheckpointProblem> {
    if bytes.starts_with(FIRST_MAGIC) {
        return Err(CheckpointProblem::Version {
            found: 1,
            supported: VERSION,
        });
    }
    let version = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.first_chunk());
    let Some(version) = version else {
        return Err(CheckpointProblem::NotACheckpoint);
    };
    let found = u32::from_le_bytes(*version);
    if found == VERSION {
        Ok(())
    } else {
        Err(CheckpointProblem::Version {
            found,
            supported: VERSION,
        })
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Option<Checkpoint> {
    let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let length = content.get(PREFIX - 8..)?.first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, mut rest) = content.get(PREFIX..)?.split_at_checked(length)?;
    let header: Header = ciborium::from_reader(header).ok()?;
    let mut take = |length: &u64| {
        let (taken, left) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
        rest = left;
        Some(taken.to_vec())
    };
    let mut sections = header.lengths.iter().map(&mut take);
    let (model, optimizer) = (sections.next()??, sections.next()??);
    let ema_model = sections.next().flatten();
    Some(Checkpoint {
        path: path.into(),
        header,
        model,
        optimizer,
        ema_model,
    })
}

/// The identity of the run that wrote a checkpoint, read without the rest of the file.
pub(super) fn run_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut prefix = [0; PREFIX];
    file.read_exact(&mut prefix).ok()?;
    check_prefix(&prefix).ok()?;
    let length = u64::from_le_bytes(*prefix.last_chunk()?);
    let mut header = Vec::new();
    file.take(length.min(LONGEST_HEADER))
        .read_to_end(&mut header)
        .ok()?;
    let header: Header = ciborium::from_reader(header.as_slice()).ok()?;
    Some(header.record.run)
}

/// The start of the names of temporary files of a run.
pub(super) fn temporary_prefix(run: &str) -> String {
    format!(".{run}-")
}

/// Writes a checkpoint whole or not at all, also after a power failure.
pub(super) fn write(folder: &Path, header: &Header, sections: &[Bytes]) -> io::Result<PathBuf> {
    let path = path(folder, header.counts.batches);
    let mut encoded = Vec::new();
    ciborium::into_writer(header, &mut encoded).map_err(io::Error::other)?;
    let (version, length) = (VERSION.to_le_bytes(), (encoded.len() as u64).to_le_bytes());
    let start: [&[u8]; 4] = [MAGIC, &version, &length, &encoded];

    let mut file = AtomicFile::create(&path, &temporary_prefix(&header.record.run))?;
    let mut digest = Sha256::new();
    for piece in start
        .into_iter()
        .chain(sections.iter().map(|bytes| &**bytes))
    {
        digest.update(piece);
        file.write_all(piece)?;
    }
    file.write_all(&digest.finalize())?;
    move_aside(&path, &header.record.run)?;
    file.commit()?;
    Ok(path)
}

/// Renames the file in the place of a new checkpoint where the run did not write it.
fn move_aside(path: &Path, run: &str) -> io::Result<()> {
    if !path.exists() || run_of(path).is_some_and(|found| found == run) {
        return Ok(());
    }
    let mut names = (1u64..).map(|number| path.with_added_extension(number.to_string()));
    let free = names.find(|name| !name.exists());
    free.map_or(Ok(()), |free| fs::rename(path, free))
}

/// Removes the checkpoints of this run but the last `keep` up to that of batch `now`, and that of
/// the batch `best`.
pub(super) fn prune(
    folder: &Path,
    run: &str,
    now: u64,
    keep: usize,
    best: Option<u64>,
) -> io::Result<()> {
    let mut own = list(folder)?;
    own.retain(|&batch| {
        batch <= now && run_of(&path(folder, batch)).is_some_and(|found| found == run)
    });
    let old = own.len().saturating_sub(keep);
    for &batch in own[..old].iter().filter(|&&batch| Some(batch) != best) {
        fs::remove_file(path(folder, batch))?;
    }
    Ok(())
}
