//! What all charts share.

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::picture::{FONT_FILE, INK, Result};

const FAMILY: &str = "sans-serif";

pub const GRID: RGBColor = RGBColor(228, 228, 232);
pub const BLUE: RGBColor = RGBColor(31, 119, 180);
pub const ORANGE: RGBColor = RGBColor(214, 92, 20);
pub const GREEN: RGBColor = RGBColor(44, 140, 60);
pub const VIOLET: RGBColor = RGBColor(130, 80, 170);

/// Makes the font known to plotters, before anything is drawn.
pub fn register() -> Result<()> {
    let font = register_font(FAMILY, FontStyle::Normal, FONT_FILE);
    font.map_err(|_| "the font is damaged".to_string())
}

/// Text of a size in pixels.
pub fn style(size: i32) -> TextStyle<'static> {
    (FAMILY, size).into_font().color(&INK)
}
