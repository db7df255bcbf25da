//! Text for people: lines on standard output and standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::error::Error;

/// Things of a kind that are listed as text; JSON has all.
const LISTED: usize = 10;

/// Whether this process writes nothing but errors.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Writes nothing from now on but errors: another process of the run writes the same.
pub fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

/// Whether another process writes.
fn is_silent() -> bool {
    IS_SILENT.load(Ordering::Relaxed)
}

/// Whether this process shows no bars.
static IS_PLAIN: AtomicBool = AtomicBool::new(false);

/// Shows no bars from now on: launchers give their first process a terminal also where they write to a
/// file.
pub fn show_no_bars() {
    IS_PLAIN.store(true, Ordering::Relaxed);
}

/// Whether bars may be shown on a terminal.
pub fn has_bars() -> bool {
    !IS_PLAIN.load(Ordering::Relaxed)
}

/// Writes a line on standard output. Unlike `println!` it does not panic where the reader has gone
/// (`cutmix eval runs/001 | head -1`).
pub fn line(text: impl Display) {
    if is_silent() {
        return;
    }
    let _ = writeln!(std::io::stdout(), "{}", escaped(&text.to_string()));
}

/// Writes a label, what there is, and the first of these things, unless there are none.
pub fn list<T>(label: &str, what: &str, all: &[T], text: impl Fn(&T) -> String) {
    if all.is_empty() {
        return;
    }
    line(format!("{label:<11} {what}"));
    all.iter()
        .take(LISTED)
        .for_each(|one| line(format!("            {}", text(one))));
    if all.len() > LISTED {
        line(format!(
            "            and {} more",
            grouped(all.len() - LISTED)
        ));
    }
}

/// Writes a line on standard error, beside the results of a command.
pub fn note(text: impl Display) {
    if is_silent() {
        return;
    }
    let _ = writeln!(std::io::stderr(), "{}", escaped(&text.to_string()));
}

/// Writes a warning on standard error.
pub fn warning(text: impl Display) {
    note(format!("warning: {text}"));
}

/// Warnings that are kept until nothing else writes on the terminal.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Keeps a warning.
    pub fn push(&self, text: String) {
        self.kept().push(text);
    }

    /// Writes the warnings on standard error.
    pub fn print(&self) {
        self.kept().iter().for_each(warning);
    }

    /// The warnings so far.
    pub fn kept(&self) -> MutexGuard<'_, Vec<String>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Writes the error that ends a command, on standard error.
pub fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "error: {}", escaped(&text.to_string()));
}

/// Writes a JSON document on standard output, in one line. It is no error that nobody reads it any more,
/// as in `cutmix eval runs/001 --format json | head -c 9`.
pub fn json(document: &impl Serialize) -> Result<(), Error> {
    match write_result(&json_line(document)) {
        Err(Error::Write { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A JSON document in one line, without characters that act on a terminal.
pub fn json_line(document: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(document).expect("texts, numbers and lists are JSON");
    // Such characters are in texts, where JSON has an escape of its own for them.
    let safe = with_escapes(&text, |letter| format!("\\u{:04x}", u32::from(letter)));
    (safe + "\n").into_bytes()
}

/// Writes a part of a result for other programs on standard output, where errors count: what is lost is no
/// result.
pub fn write_result(bytes: &[u8]) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    written.map_err(|error| Error::write("standard output".as_ref(), error))
}

/// `text` without characters that act on a terminal: control characters, line breaks, and those that
/// change the direction of writing. They become `\u{1b}`. Names of classes and files come from
/// elsewhere and may hold anything.
pub fn escaped(text: &str) -> String {
    with_escapes(text, |letter| letter.escape_default().to_string())
}

/// `text` with an escape for each character that acts on a terminal.
fn with_escapes(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        let changes_direction = matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        let breaks_line = matches!(letter, '\u{2028}' | '\u{2029}');
        if letter.is_control() || changes_direction || breaks_line {
            safe.push_str(&escape(letter));
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// `text`, escaped, with spaces behind it up to `width` columns of a terminal.
pub fn padded(text: &str, width: usize) -> String {
    let text = escaped(text);
    let spaces = width.saturating_sub(text.width());
    text + &" ".repeat(spaces)
}

/// The columns of a terminal that `text` takes, escaped.
pub fn width(text: &str) -> usize {
    escaped(text).width()
}

/// A path as a shell takes it: `'my run [1]'`.
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    // A path that starts with a dash would be taken for an option.
    let path = if path.starts_with('-') {
        format!("./{path}")
    } else {
        path
    };
    match shlex::try_quote(&path) {
        Ok(quoted) => quoted.into_owned(),
        // A path with a NUL byte, which no system has.
        Err(_) => path,
    }
}

/// `12345` as `12,345`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `0:42`, `3:07` or `1:02:03`.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `"1 image"`, `"2 images"`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// `a, b or c`.
pub fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
#[path = "../tests/unit/terminal.rs"]
mod tests;
