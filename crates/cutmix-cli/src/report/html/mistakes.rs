//! The most confident mistakes, each as a picture of the image and what the network saw in it.

use maud::{Markup, html};

use super::{data_uri, percent};
use crate::picture::color;
use crate::report::evaluation::{ImagePrediction, SingleLabel, StoredEvaluation};

/// The most confident mistakes of an evaluation.
pub fn section(evaluated: &StoredEvaluation, result: &SingleLabel) -> Markup {
    let pictures = &evaluated.mistakes;
    if pictures.is_empty() {
        return html! {};
    }
    let all = result.mistakes.len();
    let shown = pictures.len().min(all);
    html! {
        h3 { "Most confident mistakes" }
        p.faint {
            (shown) " of " (all) ", each with its class activation map: bright places spoke for the class that was \
            predicted."
        }
        p.key {
            "little" i style=(format!("background:linear-gradient(to right,{})", gradient())) {} "much, on a scale \
            of its own for each picture"
        }
        ul.mistakes {
            @for (mistake, picture) in result.mistakes.iter().zip(pictures) {
                li { (figure(mistake, picture)) }
            }
        }
    }
}

fn figure(mistake: &ImagePrediction, picture: &[u8]) -> Markup {
    let ImagePrediction {
        name,
        class,
        predicted,
        ..
    } = mistake;
    html! {
        figure {
            img src=(data_uri("image/jpeg", picture))
                alt={ "Image " (name) ", and its activation map for " (predicted) };
            figcaption {
                strong { (predicted) } " " (percent(mistake.probability)) br;
                "labelled " (class) br;
                (name)
            }
        }
    }
}

/// The colours of the maps in CSS.
fn gradient() -> String {
    let colors = (0..=8).map(|step| {
        let [red, green, blue] = color(step as f32 / 8.0);
        format!("#{red:02x}{green:02x}{blue:02x}")
    });
    colors.collect::<Vec<_>>().join(",")
}
