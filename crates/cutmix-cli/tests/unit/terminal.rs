//! Tests of text for terminals.

use super::*;

#[test]
fn numbers_are_grouped_and_times_have_minutes() {
    assert_eq!(grouped(7), "7");
    assert_eq!(grouped(75_290), "75,290");
    assert_eq!(grouped(11_689_512), "11,689,512");
    assert_eq!(clock(42.4), "0:42");
    assert_eq!(clock(3723.0), "1:02:03");
    assert_eq!(count(1, "image"), "1 image");
    assert_eq!(count(2, "image"), "2 images");
}

#[test]
fn characters_that_act_on_a_terminal_are_escaped() {
    let name = "cat\x1b[2J\u{9b}31m\r\n\u{202e}dog\u{2028}";
    let safe = "cat\\u{1b}[2J\\u{9b}31m\\r\\n\\u{202e}dog\\u{2028}";
    assert_eq!(escaped(name), safe);
    assert_eq!(escaped("Käfer 猫"), "Käfer 猫");
}

#[test]
fn wide_characters_take_two_columns() {
    assert_eq!(padded("猫", 4), "猫  ");
    assert_eq!(padded("cat", 4), "cat ");
    assert_eq!(width("\x1b"), 6);
}

#[test]
fn paths_are_quoted_where_a_shell_would_change_them() {
    assert_eq!(quoted(Path::new("runs/001")), "runs/001");
    assert_eq!(quoted(Path::new("my run [1]")), "'my run [1]'");
    assert_eq!(quoted(Path::new("-x")), "./-x");
}
