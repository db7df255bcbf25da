//! Tests of the recipes.

use clap::ValueEnum;

use super::RecipeName;
use crate::settings::Settings;

#[test]
fn every_recipe_is_of_settings_that_are_accepted() {
    for recipe in RecipeName::value_variants() {
        let table = recipe.settings();
        let settings: Settings = table.clone().try_into().unwrap();
        settings.check().unwrap();
        assert_ne!(settings, Settings::default(), "{recipe}");
        assert!(table.contains_key("duration"), "{recipe}");
        assert!(table.contains_key("learning-rate"), "{recipe}");
    }
}

#[test]
fn recipes_name_their_sources() {
    for recipe in RecipeName::value_variants() {
        let source = recipe.source();
        let place = source.rsplit([' ', ',']).next().unwrap();
        assert!(recipe.text().contains(place), "{recipe}: {source}");
    }
}
