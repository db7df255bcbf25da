//! Names from files as text.

use std::ffi::OsStr;
use std::fmt::Write;

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
