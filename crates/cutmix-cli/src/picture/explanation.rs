//! The picture of what speaks for the classes of an image.

use cutmix_vision::{Image, Size};

use super::heat::{Heat, color};
use super::{FAINT, INK, Page, Scale, fit, rgb, text_width};

/// The side of an image in pixels, about.
const TILE: usize = 280;
/// The number of images in a row.
const COLUMNS: usize = 4;
const MARGIN: usize = 20;
const GAP: usize = 16;
const TITLE: usize = 18;
const CAPTION: usize = 16;
const LINE: usize = 22;
/// The distance between an image and its caption.
const PAD: usize = 6;
/// The colours of the key.
const KEY: Size = Size::new(12, 160);

const EXPLANATION: &str = "how much a place speaks for the class, in units of its logit";

/// An image and maps of what speaks for some of its classes, all in one scale of colours.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub title: String,
    /// The image as the network sees it.
    pub image: Image,
    /// Lines under the map, and the map, of each class.
    pub maps: Vec<(Vec<String>, Heat)>,
}

impl Explanation {
    /// Draws the image and the maps over it side by side, and the key of the colours.
    pub fn draw(&self) -> Page {
        let image = shown(&self.image, TILE);
        let Size { height, width } = image.size();
        let highest = highest(self.maps.iter().map(|(_, heat)| heat));
        let column = width.max(TILE / 2) + GAP;
        let lines = self.maps.iter().map(|(caption, _)| caption.len()).max();
        let row = height + PAD + LINE * lines.unwrap_or(0).max(1) + GAP;
        let tiles = self.maps.len() + 1;
        let key = KEY.width + 2 * GAP + text_width(CAPTION, &end(highest)).max(40);
        let content = tiles.min(COLUMNS) * column - GAP;
        let content = content.max(key);
        let top = MARGIN + TITLE + GAP;
        let foot = top + tiles.div_ceil(COLUMNS) * row;
        let mut page = Page::new(content + 2 * MARGIN, foot + 2 * LINE + MARGIN);

        let title = fit(TITLE, content, &self.title);
        page.text((MARGIN, MARGIN), TITLE, INK, &title);
        let plain = (vec!["as the network sees it".to_string()], image.clone());
        let over = self.maps.iter();
        let over = over.map(|(caption, heat)| (caption.clone(), heat.over(&image, highest)));
        for (index, (caption, picture)) in std::iter::once(plain).chain(over).enumerate() {
            let left = MARGIN + index % COLUMNS * column;
            let top = top + index / COLUMNS * row;
            page.image((left, top), &picture, Scale::Up(1));
            for (line, text) in caption.iter().enumerate() {
                let text = fit(CAPTION, column - GAP, text);
                let at = (left, top + height + PAD + line * LINE);
                page.text(at, CAPTION, if index == 0 { FAINT } else { INK }, &text);
            }
        }
        draw_key(&mut page, (MARGIN, foot), content, highest);
        page
    }
}

/// The highest value of maps that share a scale of colours.
pub fn highest<'a>(maps: impl Iterator<Item = &'a Heat>) -> f32 {
    maps.map(Heat::highest).fold(0.0, f32::max)
}

/// An image brought close to a side of `side` pixels, with each of its pixels as a square.
pub fn shown(image: &Image, side: usize) -> Image {
    let size = image.size();
    let scale = Scale::to(side, size.height.max(size.width));
    let [height, width] = [size.height, size.width].map(|side| scale.of(side).max(1));
    let rows = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let pixels = rows.flat_map(|(row, column)| rgb(image, scale.source(row), scale.source(column)));
    Image::new(Size::new(height, width), 3, pixels.collect())
        .expect("no side is longer than that of the image or the one that is wanted")
}

/// The text at the upper end of the key.
fn end(highest: f32) -> String {
    format!("{highest:.1}")
}

fn draw_key(page: &mut Page, (left, top): (usize, usize), width: usize, highest: f32) {
    let share = |at: usize| color((at % KEY.width) as f32 / (KEY.width - 1) as f32);
    let pixels = (0..KEY.area()).flat_map(share).collect();
    let bar = Image::new(KEY, 3, pixels).expect("there are three bytes for each pixel");
    let zero = text_width(CAPTION, "0") + PAD;
    page.text((left, top), CAPTION, INK, "0");
    page.image((left + zero, top + 4), &bar, Scale::Up(1));
    let right = left + zero + KEY.width + PAD;
    page.text((right, top), CAPTION, INK, &end(highest));
    let text = fit(CAPTION, width, EXPLANATION);
    page.text((left, top + LINE), CAPTION, FAINT, &text);
}
