//! The settings of a run, and how to repeat it.

use maud::{Markup, html};

use super::run::Run;
use crate::terminal::quoted;

/// Two lists: what was given, and what was filled in.
pub fn section(run: &Run) -> Markup {
    let all = run.settings.to_table();
    let is_given = |key: &str| {
        run.given
            .as_ref()
            .is_some_and(|given| given.contains_key(key))
    };
    let (given, filled): (Vec<_>, Vec<_>) = all.iter().partition(|(key, _)| is_given(key));
    html! {
        section {
            h2 { "Settings" }
            @if run.given.is_some() {
                h3 { "Given" }
                (list(&given, "None: the run has the settings of the program."))
                h3 { "Filled in: defaults, and what follows from data and network" }
            }
            (list(&filled, "None."))
        }
    }
}

fn list(settings: &[(&String, &toml::Value)], nothing: &str) -> Markup {
    if settings.is_empty() {
        return html! { p.faint { (nothing) } };
    }
    html! {
        dl.settings {
            @for (key, value) in settings { div { dt { (key) } dd { (text(value)) } } }
        }
    }
}

/// A value without the marks of TOML.
fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) if values.is_empty() => "none".into(),
        toml::Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The command that repeats the run, and what it depends on.
pub fn repeat(run: &Run) -> Markup {
    let config = run.path.join("config.toml");
    html! {
        section {
            h2 { "How to repeat it" }
            pre { code { "cutmix train --config " (quoted(&config)) } }
            dl {
                @if let Some(version) = &run.version { dt { "Program" } dd { "cutmix " (version) } }
                dt { "Seed" } dd { (run.settings.seed) }
                dt { "Data" } dd { (run.settings.data_name()) }
                dt { "Digest of the data" } dd { code { (run.manifest.digest()) } }
            }
            p.faint {
                "The digest is that of manifest.json: the names, sizes, labels and sets of all images. On the same \
                machine and device the run gives the same weights."
            }
        }
    }
}
