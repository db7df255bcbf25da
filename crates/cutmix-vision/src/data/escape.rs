//! Names from files as text.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// The name as text that is safe to show and different for different names: bytes that are not
/// UTF-8, and those of control characters, become `\xE9`, and a backslash becomes two.
pub fn escape(name: impl AsRef<OsStr>) -> String {
    let mut text = String::new();
    for chunk in name.as_ref().as_encoded_bytes().utf8_chunks() {
        for char in chunk.valid().chars() {
            if char == '\\' {
                text.push_str(r"\\");
            } else if char.is_control() {
                push_bytes(&mut text, char.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(char);
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

/// Escaped name of a file: its path relative to `root` with `/` between the parts, or the whole path
/// where it is elsewhere.
pub fn relative_name(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(relative) => relative.iter().map(escape).collect::<Vec<_>>().join("/"),
        Err(_) => escape(path),
    }
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("Ankle boot é"), "Ankle boot é");
        assert_eq!(escape("a\u{1b}[31m\nb\u{85}"), r"a\x1B[31m\x0Ab\xC2\x85");
        assert_eq!(escape(r"a\x1B"), r"a\\x1B");
    }
}
