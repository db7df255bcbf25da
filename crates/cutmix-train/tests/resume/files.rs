//! The files of checkpoints: what is read, told apart, removed and locked.

use std::io::Write;
use std::process::Command;

use cutmix_train::{AtomicFile, FolderLock};
use sha2::{Digest, Sha256};

use super::*;

/// A run of 3 saved batches that was killed, and the paths of its checkpoints.
fn killed() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let killed = plain("9ba", folder.path()).callback(kill_at(Event::BatchStart, 3));
    killed.fit().unwrap_err();
    let paths = [1, 2, 3].map(|batch| path(folder.path(), batch));
    (folder, paths)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Gives a checkpoint the version of another format, with the right digest.
fn set_version(path: &Path, version: u32) {
    change(path, |bytes| {
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let end = bytes.len() - 32;
        let digest = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&digest);
    });
}

fn resume(folder: &Path, checkpoint: Checkpoint) -> Result<Fit<Tiny>, Error> {
    plain("9ba", folder).resume(checkpoint).fit()
}

#[test]
fn the_reasons_why_a_file_cannot_be_used_are_told_apart() {
    let _alone = alone();
    let (folder, [first, second, third]) = killed();
    let problem = |path: &Path| problem(Checkpoint::read(path).unwrap_err()).1;

    let missing = folder.path().join("batch-00000099.checkpoint");
    assert!(matches!(
        problem(&missing),
        CheckpointProblem::Unreadable(_)
    ));
    for foreign in [
        "",
        "PK\u{3}\u{4}",
        "CUTMIXCP",
        "a note of mine, not a checkpoint at all",
    ] {
        fs::write(&first, foreign).unwrap();
        assert!(
            matches!(problem(&first), CheckpointProblem::NotACheckpoint),
            "{foreign}"
        );
    }
    fs::write(&first, "cutmix 1 and the rest of an old checkpoint").unwrap();
    let old = problem(&first);
    assert!(
        matches!(
            old,
            CheckpointProblem::Version {
                found: 1,
                supported: 3
            }
        ),
        "{old:?}"
    );
    set_version(&second, 7);
    let newer = problem(&second);
    assert!(
        matches!(newer, CheckpointProblem::Version { found: 7, .. }),
        "{newer:?}"
    );

    let whole = fs::read(&third).unwrap();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(12),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        },
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        change(&third, damage);
        assert!(matches!(problem(&third), CheckpointProblem::Damaged));
        fs::write(&third, &whole).unwrap();
    }
    assert_eq!(Checkpoint::read(&third).unwrap().batches(), 3);
}

#[test]
fn a_folder_without_a_checkpoint_is_told_from_one_that_cannot_be_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    assert!(!Checkpoint::exists(folder.path()));
    let (named, missing) = problem(Checkpoint::latest(folder.path()).unwrap_err());
    assert_eq!(named, folder.path());
    assert!(matches!(missing, CheckpointProblem::Missing));
    let nowhere = folder.path().join("nowhere");
    let (_, unreadable) = problem(Checkpoint::latest(&nowhere).unwrap_err());
    assert!(matches!(unreadable, CheckpointProblem::Unreadable(_)));
}

#[test]
fn damaged_checkpoints_are_named_and_the_one_before_them_is_used() {
    let _alone = alone();
    let (folder, [first, second, third]) = killed();
    change(&third, |bytes| bytes.truncate(bytes.len() / 2));
    let latest = Checkpoint::latest(folder.path()).unwrap();
    assert_eq!(latest.checkpoint.path(), second);
    let named: Vec<_> = latest
        .damaged
        .into_iter()
        .map(|error| problem(error).0)
        .collect();
    assert_eq!(named, std::slice::from_ref(&third));

    for path in [&first, &second] {
        change(path, |bytes| bytes.push(0));
    }
    // Where none is whole, the newest is named.
    let (named, damaged) = problem(Checkpoint::latest(folder.path()).unwrap_err());
    assert_eq!(named, third);
    assert!(matches!(damaged, CheckpointProblem::Damaged));
}

#[test]
fn the_newest_checkpoint_is_found_while_it_is_replaced() {
    let _alone = alone();
    let (folder, paths) = killed();
    let bytes = fs::read(&paths[2]).unwrap();
    paths[..2]
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    let folder = folder.path();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut old = paths[2].clone();
            for batch in 100..400 {
                let new = path(folder, batch);
                let temporary = folder.join("new");
                fs::write(&temporary, &bytes).unwrap();
                fs::rename(temporary, &new).unwrap();
                fs::remove_file(old).unwrap();
                old = new;
            }
        });
        while !writer.is_finished() {
            let latest = Checkpoint::latest(folder).unwrap();
            assert_eq!(latest.damaged.len(), 0, "{:?}", latest.damaged);
        }
    });
}

#[cfg(unix)]
#[test]
fn a_link_to_a_checkpoint_that_is_gone_cannot_be_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let link = path(folder.path(), 3);
    std::os::unix::fs::symlink("gone", &link).unwrap();
    let (found, problem) = problem(Checkpoint::latest(folder.path()).unwrap_err());
    assert_eq!(found, link);
    assert!(matches!(problem, CheckpointProblem::Unreadable(_)));
}

#[test]
fn a_checkpoint_of_a_newer_version_is_neither_skipped_nor_removed() {
    let _alone = alone();
    let (folder, [_, second, third]) = killed();
    set_version(&third, 7);
    let newer = fs::read(&third).unwrap();
    let (named, found) = problem(Checkpoint::latest(folder.path()).unwrap_err());
    assert_eq!(named, third);
    assert!(matches!(found, CheckpointProblem::Version { found: 7, .. }));
    // Somebody who resumes from the one before it does not lose it, although the run writes a
    // checkpoint of that batch.
    let checkpoint = Checkpoint::read(&second).unwrap();
    plain("9ba", folder.path())
        .checkpoints(every_batch(folder.path()).with_keep(1))
        .resume(checkpoint)
        .fit()
        .unwrap();
    let kept = files(folder.path()).into_iter().any(|name| {
        let path = folder.path().join(name);
        fs::read(path).unwrap() == newer
    });
    assert!(kept, "{:?}", files(folder.path()));
    assert_eq!(latest(folder.path()).batches(), 9);
}

#[test]
fn resume_from_an_older_checkpoint_keeps_newer_files() {
    let _alone = alone();
    let (folder, [first, second, third]) = killed();
    let before = [&second, &third].map(|path| fs::read(path).unwrap());
    let to = Checkpoints::new(folder.path())
        .with_save_interval(duration("100ba"))
        .with_keep(1);
    let killed = plain("9ba", folder.path()).checkpoints(to);
    let killed = killed.resume(Checkpoint::read(&first).unwrap());
    killed
        .callback(kill_at(Event::BatchStart, 2))
        .fit()
        .unwrap_err();
    assert_eq!(
        [&second, &third].map(|path| fs::read(path).unwrap()),
        before
    );

    // It ends like the run that it was, with its newest checkpoint.
    let whole = tempfile::tempdir().unwrap();
    let expected = plain("9ba", whole.path()).fit().unwrap();
    let fit = resume(folder.path(), Checkpoint::read(&first).unwrap()).unwrap();
    assert_eq!(fit.model.weights(), expected.model.weights());
    assert_eq!(latest(folder.path()).batches(), 9);
}

#[test]
fn an_older_checkpoint_with_few_to_keep_removes_only_what_is_older() {
    let _alone = alone();
    let (folder, [first, second, third]) = killed();
    let to = || every_batch(folder.path()).with_keep(1);
    let resumed = plain("9ba", folder.path()).checkpoints(to());
    let resumed = resumed.resume(Checkpoint::read(&first).unwrap());
    // Killed after the checkpoint of batch 2 was written.
    resumed
        .callback(kill_at(Event::BatchStart, 2))
        .fit()
        .unwrap_err();
    assert!(!first.exists() && second.exists() && third.exists());
}

#[test]
fn old_checkpoints_are_removed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let to = Checkpoints::new(folder.path()).with_save_interval(duration("2ba"));
    plain("8ba", folder.path()).checkpoints(to).fit().unwrap();
    assert_eq!(files(folder.path()), batches(&[6, 8]));
}

#[test]
fn files_that_a_run_did_not_write_are_never_removed() {
    let _alone = alone();
    let (folder, _) = killed();
    let other = tempfile::tempdir().unwrap();
    plain("1ba", other.path()).fit().unwrap();
    let foreign = [
        "notes.part",
        "batch-00000000.checkpoint",
        "batch-00000007.part",
        ".0123-abc.tmp",
        "batch-x.checkpoint",
    ];
    for name in foreign {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    // A checkpoint of another run, older than any of this one.
    let of_other = fs::read(path(other.path(), 1)).unwrap();
    fs::write(path(folder.path(), 1), &of_other).unwrap();
    plain("9ba", folder.path())
        .checkpoints(every_batch(folder.path()).with_keep(1))
        .resume(at(folder.path(), 3))
        .fit()
        .unwrap();
    for name in foreign {
        assert_eq!(
            fs::read_to_string(folder.path().join(name)).unwrap(),
            "mine",
            "{name}"
        );
    }
    assert_eq!(fs::read(path(folder.path(), 1)).unwrap(), of_other);
    assert!(!path(folder.path(), 2).exists());
}

#[test]
fn a_file_of_another_run_in_the_place_of_a_checkpoint_is_moved_aside() {
    let _alone = alone();
    let (folder, [_, _, third]) = killed();
    let next = path(folder.path(), 4);
    fs::write(&next, "mine").unwrap();
    resume(folder.path(), Checkpoint::read(&third).unwrap()).unwrap();
    assert_eq!(at(folder.path(), 4).batches(), 4);
    let contents = files(folder.path()).into_iter().map(|name| {
        let path = folder.path().join(name);
        fs::read(path).unwrap()
    });
    assert!(contents.into_iter().any(|content| content == b"mine"));
}

#[test]
fn what_a_killed_process_left_half_written_is_removed() {
    let _alone = alone();
    let (folder, _) = killed();
    let header = String::from_utf8_lossy(&fs::read(path(folder.path(), 3)).unwrap()).into_owned();
    // The identity of the run: 32 hexadecimal digits at the start of the header.
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let run = header
        .split(|c| !is_digit(c))
        .find(|text| text.len() == 32)
        .unwrap();
    let half = folder.path().join(format!(".{run}-abc.tmp"));
    fs::write(&half, "half").unwrap();
    resume(folder.path(), latest(folder.path())).unwrap();
    assert!(!half.exists());
}

#[test]
fn no_temporary_file_is_left() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    plain("3ba", folder.path()).fit().unwrap();
    assert_eq!(files(folder.path()), batches(&[1, 2, 3]));
}

#[test]
fn a_new_run_does_not_touch_the_checkpoints_of_another_one() {
    let _alone = alone();
    let (folder, paths) = killed();
    let before = paths.each_ref().map(|path| fs::read(path).unwrap());
    let (argument, value) = argument(plain("9ba", folder.path()).fit().unwrap_err());
    assert_eq!(argument, "checkpoints");
    assert!(
        value.starts_with(folder.path().to_str().unwrap()),
        "{value}"
    );
    assert_eq!(paths.map(|path| fs::read(path).unwrap()), before);
    // Not even damaged ones.
    let folder = tempfile::tempdir().unwrap();
    fs::write(path(folder.path(), 5), "spoiled").unwrap();
    assert_eq!(
        super::argument(plain("9ba", folder.path()).fit().unwrap_err()).0,
        "checkpoints"
    );
}

#[test]
fn a_run_holds_a_lock_on_its_folder() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().to_path_buf();
    let path = inside.clone();
    let fit = plain("2ba", folder.path())
        .callback(move |event: Event, _: &cutmix_train::State<Tiny>| {
            if event == Event::BatchEnd {
                let second = plain("2ba", &inside).fit().unwrap_err();
                assert!(matches!(second, Error::Locked { path } if path == inside));
            }
            Ok(())
        })
        .fit();
    fit.unwrap();
    // The lock ends with the run.
    let lock = FolderLock::acquire(&path).unwrap();
    assert!(matches!(
        FolderLock::acquire(&path),
        Err(Error::Locked { .. })
    ));
    let error = resume(&path, latest(&path)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    drop(lock);
    assert!(resume(&path, latest(&path)).unwrap().is_complete);
}

/// Run by the test below in another process, which gives the folder in a variable.
#[test]
#[ignore = "needs a folder"]
fn is_refused_by_the_lock() {
    let _alone = alone();
    let folder = PathBuf::from(std::env::var_os("CUTMIX_TEST_FOLDER").unwrap());
    let error = plain("2ba", &folder).fit().unwrap_err();
    assert!(matches!(error, Error::Locked { path } if path == folder));
}

#[test]
fn another_process_is_refused_by_the_lock() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let _lock = FolderLock::acquire(folder.path()).unwrap();
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["files::is_refused_by_the_lock", "--exact", "--ignored"])
        .env("CUTMIX_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    assert!(other.status.success(), "{other:?}");
    assert!(String::from_utf8_lossy(&other.stdout).contains("1 passed"));
}

#[test]
fn atomic_files_have_names_that_cannot_be_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let names = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let mut first = AtomicFile::create(&path, ".a-").unwrap();
    let second = AtomicFile::create(&path, ".a-").unwrap();
    let temporary = names();
    assert_eq!(temporary.len(), 2);
    for name in &temporary {
        // Six random letters or more between the prefix and the suffix.
        assert!(name.starts_with(".a-") && name.len() >= ".a-".len() + 6 + ".tmp".len());
    }
    drop(second);
    first.write_all(b"new").unwrap();
    assert!(!path.exists());
    first.commit().unwrap();
    assert_eq!(names(), ["file"]);
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[cfg(unix)]
#[test]
fn an_atomic_file_keeps_the_permissions_of_the_one_that_it_replaces() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    AtomicFile::create(&path, ".a-").unwrap().commit().unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn files_left_over_are_removed_by_their_prefix_alone() {
    let folder = tempfile::tempdir().unwrap();
    let names = [".a-1234.tmp", ".b-1234.tmp", ".a-1234", "a.tmp"];
    for name in names {
        fs::write(folder.path().join(name), "").unwrap();
    }
    AtomicFile::remove_left_over(folder.path(), ".a-").unwrap();
    let exists = names.map(|name| folder.path().join(name).exists());
    assert_eq!(exists, [false, true, true, true]);
}
