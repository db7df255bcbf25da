//! What the program shows on a terminal while it works.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::{images, output, scratch};

/// Everything that a command that succeeds writes on a terminal.
fn on_terminal(folder: &Path, arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutmix"));
    let mut child = command
        .args(arguments)
        .current_dir(folder)
        .env("TERM", "xterm")
        .env_remove("CI")
        .stdin(Stdio::null())
        .stdout(device)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The last handle on the terminal is now that of the process, with which reading ends, by an error.
    drop(command);
    let mut shown = Vec::new();
    let _ = File::from(terminal).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn evaluation_shows_how_far_it_is() {
    let folder = scratch();
    let path = folder.path();
    for set in ["train", "val", "test"] {
        images(&path.join("pets").join(set).join("cat"), 8);
        images(&path.join("pets").join(set).join("dog"), 8);
    }
    let train =
        "train --data pets --size 8 --batch-size 8 --duration 2ba --device cpu --output run";
    let shown = on_terminal(path, &train.split(' ').collect::<Vec<_>>());
    assert!(shown.contains("/16 images, evaluating test"), "{shown}");
    let eval = ["eval", "run", "--split", "train", "--device", "cpu"];
    let shown = on_terminal(path, &eval);
    assert!(shown.contains("/16 images, evaluating train"), "{shown}");
    // Nothing of it is written to a file.
    assert!(!output(path, &eval).contains("evaluating"));
}
