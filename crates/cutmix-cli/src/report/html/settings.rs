//! The settings of a run, and how to repeat it.

use maud::{Markup, html};
use toml::Table;

use super::run::Run;
use crate::settings::RecipeName;
use crate::terminal::quoted;

/// Three lists: what was given, what is from a recipe, and what was filled in.
pub fn section(run: &Run) -> Markup {
    let all = run.settings.to_table();
    let Some(given) = &run.given else {
        return html! { section { h2 { "Settings" } (list(&all.iter().collect::<Vec<_>>())) } };
    };
    let recipe = RecipeName::of(given);
    let of_recipe = recipe.map_or_else(Table::new, |recipe| recipe.settings_for(given));
    let (given, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|(key, _)| given.contains_key(*key));
    // What the data have changed, such as the size of batches, is not of the recipe any more.
    let (of_recipe, filled): (Vec<_>, Vec<_>) =
        (others.into_iter()).partition(|(key, value)| of_recipe.get(*key) == Some(*value));
    html! {
        section {
            h2 { "Settings" }
            h3 { "Given on the command line or in a configuration file" }
            (list(&given))
            @if let Some(recipe) = recipe {
                h3 { "From the recipe " (recipe) ": " (recipe.source()) }
                (list(&of_recipe))
            }
            h3 { "Filled in: defaults, and what follows from data and network" }
            (list(&filled))
        }
    }
}

fn list(settings: &[(&String, &toml::Value)]) -> Markup {
    if settings.is_empty() {
        return html! { p.faint { "None." } };
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
                "The digest covers what manifest.json lists: the names, sizes, labels and sets of all images. On the \
                CPU of the same machine, the run ends with the same weights, unless it was extended or its duration \
                is a time."
            }
        }
    }
}
