//! `report.html`: a run in one file, which loads nothing from elsewhere and runs no script.

mod curves;
mod evaluation;
mod measures;
mod mistakes;
mod result;
mod run;
mod settings;
pub mod study;
mod svg;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::run_folder::{RunFolder, write_whole};
use crate::terminal::warning;

use run::Run;

const STYLE: &str = include_str!("style.css");

/// Writes the report of a run from the files in its folder. Its network has so many parameters. A
/// report that cannot be made is a warning.
pub fn write(folder: &RunFolder, parameters: usize) {
    let written = Run::read(folder, parameters)
        .and_then(|run| write_whole(&folder.report(), page(&run).into_string().as_bytes()));
    if let Err(error) = written {
        warning(format!("there is no new report.html: {error}"));
    }
}

fn page(run: &Run) -> Markup {
    let title = result::title(run);
    let body = html! {
        header {
            h1 { (title) }
            p.path { (run.path.display()) }
            (result::summary(run))
        }
        main {
            (result::evaluations(run))
            (curves::section(run))
            (curves::logged(run))
            @for one in &run.evaluations { (evaluation::section(one)) }
            (settings::section(run))
            (settings::repeat(run))
        }
    };
    document(&title, body)
}

/// A page of this title.
fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "cutmix " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                footer { "Written by cutmix " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    }
}

/// A file as the address of a picture.
fn data_uri(mime: &str, bytes: &[u8]) -> String {
    format!("data:{mime};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// A share in 0..=1 in percent, as the program prints it.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A number with three digits that count, for sentences.
fn short(value: f64) -> String {
    let magnitude = value.abs().log10().floor();
    if value == 0.0 || !value.is_finite() {
        value.to_string()
    } else if magnitude < -4.0 {
        format!("{value:.2e}")
    } else {
        let places = (2.0 - magnitude).max(0.0) as usize;
        format!("{value:.places$}")
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/report.rs"]
mod tests;
