//! Rows of small images with captions.

use std::path::Path;

use super::{FAINT, INK, Page, Picture, Result, Scale, fit, text_width};

/// The side of a tile, about.
const TILE: usize = 140;
const MARGIN: usize = 20;
const GAP: usize = 12;
const TITLE: usize = 20;
const CAPTION: usize = 16;
const LINE: usize = 18;
/// Between a tile and its caption.
const PAD: usize = 6;

/// A titled picture of rows of tiles of the same shape.
#[derive(Clone, Debug)]
pub struct Grid {
    pub title: String,
    pub rows: Vec<Row>,
}

/// Tiles side by side, with a word for all of them at their left.
#[derive(Clone, Debug)]
pub struct Row {
    pub label: &'static str,
    pub tiles: Vec<Tile>,
}

/// An image and the lines under it.
#[derive(Clone, Debug)]
pub struct Tile {
    pub picture: Picture,
    pub caption: Vec<String>,
}

impl Grid {
    /// Writes the picture as a PNG file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let Some(first) = self.rows.iter().flat_map(|row| &row.tiles).next() else {
            return Err("there is nothing to draw".into());
        };
        let [_, height, width] = first.picture.shape;
        let scale = Scale::to(TILE, height.max(width));
        let (tile_width, tile_height) = (scale.of(width), scale.of(height));
        let columns = self
            .rows
            .iter()
            .map(|row| row.tiles.len())
            .max()
            .unwrap_or(0);
        let labels = self
            .rows
            .iter()
            .map(|row| text_width(CAPTION, row.label))
            .max();
        let left = match labels.unwrap_or(0) {
            0 => MARGIN,
            label => MARGIN + label + GAP,
        };
        let lines = |row: &Row| {
            row.tiles
                .iter()
                .map(|tile| tile.caption.len())
                .max()
                .unwrap_or(0)
        };
        let row_height = |row: &Row| tile_height + PAD + LINE * lines(row) + GAP;
        // Wide captions need room that narrow images do not give.
        let column = tile_width.max(TILE);

        let titles: Vec<_> = self.title.lines().collect();
        let top = MARGIN + titles.len() * (TITLE + 8) + 4;
        let content = left + columns * (column + GAP) - GAP;
        let title_width = titles
            .iter()
            .map(|line| text_width(TITLE, line))
            .max()
            .unwrap_or(0);
        let page_width = content.max(MARGIN + title_width) + MARGIN;
        let page_height = top + self.rows.iter().map(row_height).sum::<usize>() + MARGIN - GAP;
        let mut page = Page::new(page_width, page_height);

        for (index, line) in titles.iter().enumerate() {
            let at = (MARGIN, MARGIN + index * (TITLE + 8));
            page.text(at, TITLE, INK, line);
        }
        let mut y = top;
        for row in &self.rows {
            let middle = y + tile_height.saturating_sub(CAPTION) / 2;
            page.text((MARGIN, middle), CAPTION, FAINT, row.label);
            for (index, tile) in row.tiles.iter().enumerate() {
                let x = left + index * (column + GAP);
                page.picture((x + (column - tile_width) / 2, y), &tile.picture, scale);
                for (line, text) in tile.caption.iter().enumerate() {
                    let text = fit(CAPTION, column, text);
                    let indent = (column - text_width(CAPTION, &text)) / 2;
                    let at = (x + indent, y + tile_height + PAD + line * LINE);
                    page.text(at, CAPTION, INK, &text);
                }
            }
            y += row_height(row);
        }
        page.write(path)
    }
}
