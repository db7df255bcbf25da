//! `cutmix train --dashboard` in a terminal of its own.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// The longest time that the program may take to show something.
const LIMIT: Duration = Duration::from_secs(120);

const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";

/// The program, seen from the keyboard and the screen.
struct Terminal {
    process: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// The program's side.
    device: File,
    shown: String,
}

impl Terminal {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        common::obey_signals();
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&device, size).unwrap();
        let side = || Stdio::from(device.try_clone().unwrap());
        // `setsid` makes the terminal that of the program, to which Ctrl-C goes.
        let process = Command::new("setsid")
            .arg("--ctty")
            .arg(env!("CARGO_BIN_EXE_cutmix"))
            .args(arguments)
            .current_dir(folder)
            .env("TERM", "xterm-256color")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match screen.read(&mut bytes) {
                    Ok(count) if count > 0 && sender.send(bytes[..count].into()).is_ok() => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        });
        Self {
            process,
            keyboard,
            screen: receiver,
            device,
            shown: String::new(),
        }
    }

    fn train(folder: &Path, duration: &str) -> Self {
        let options = "train --dashboard --device cpu --limit 64 --batch-size 16 --output run";
        let options = options.split(' ').chain(["--duration", duration]);
        Self::start(folder, &options.collect::<Vec<_>>())
    }

    /// Waits until something is on the screen.
    fn expect(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let bytes = self.screen.recv_timeout(LIMIT);
            let bytes = bytes.unwrap_or_else(|_| panic!("no {text:?} in {}", self.shown));
            self.shown += &String::from_utf8_lossy(&bytes);
        }
    }

    /// Waits until the dashboard has the terminal, and Ctrl-C gets through it.
    fn expect_dashboard(&mut self) {
        self.expect("Loss");
        let start = Instant::now();
        while self.modes() != [true, false] {
            assert!(self.process.try_wait().unwrap().is_none() && start.elapsed() < LIMIT);
            thread::yield_now();
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether Ctrl-C interrupts, and lines are edited by the terminal.
    fn modes(&self) -> [bool; 2] {
        let modes = tcgetattr(&self.device).unwrap().local_modes;
        [LocalModes::ISIG, LocalModes::ICANON].map(|mode| modes.contains(mode))
    }

    /// The exit code, and what is on the screen that was there before the dashboard.
    fn end(mut self) -> (Option<i32>, String) {
        self.expect(LEAVES);
        let code = self.process.wait().unwrap().code();
        assert_eq!(self.modes(), [true, true]);
        // The end of the output, after which there is nothing to wait for.
        self.device.write_all(b"<end>").unwrap();
        self.expect("<end>");
        assert!(self.shown.contains("\x1b[?25h"), "the cursor is gone");
        let (before, rest) = self.shown.split_once(ENTERS).unwrap();
        let (_, after) = rest.rsplit_once(LEAVES).unwrap();
        (code, format!("{before}{after}").replace('\r', ""))
    }
}

#[test]
fn a_run_is_drawn_and_its_reports_follow() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::train(folder.path(), "20ep");
    for text in [ENTERS, "Loss", "Accuracy", "Valid"] {
        terminal.expect(text);
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    for line in [
        "epoch 1  train loss ",
        "\nepoch 20  train loss ",
        "\ntrained on 1,280 images",
    ] {
        assert!(shown.contains(line), "{line} {shown}");
    }
    assert!(folder.path().join("run/model.safetensors").is_file());
}

#[test]
fn every_way_to_end_the_dashboard_restores_the_terminal_and_the_run_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let saved = "stopped and saved; resume with: cutmix train --resume run";

    let mut terminal = Terminal::train(path, "1000000ba");
    terminal.expect_dashboard();
    terminal.press("\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains(saved), "{shown}");

    let resume = || {
        let mut terminal = Terminal::start(path, &["train", "--resume", "run", "--dashboard"]);
        terminal.expect_dashboard();
        terminal
    };
    let mut terminal = resume();
    terminal.press("q");
    terminal.expect("Stop the training.");
    terminal.press("s");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("resumed    after batch "), "{shown}");
    assert!(shown.contains(saved), "{shown}");

    let mut terminal = resume();
    terminal.press("\x03\x03");
    assert_eq!(terminal.end().0, Some(130));

    let mut terminal = resume();
    terminal.press("q");
    terminal.expect("Kill the program.");
    terminal.press("k");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!shown.contains("panicked"), "{shown}");
}

#[test]
fn the_dashboard_is_refused_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cutmix"))
        .args(["train", "--dashboard"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("error: --dashboard needs a terminal"),
        "{message}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
