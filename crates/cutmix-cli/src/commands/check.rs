//! `cutmix check`.

use std::path::PathBuf;

use cutmix_vision::data::{Check, Place, SetCheck, check};
use cutmix_vision::{Size, SkippedImage, Splits};
use serde_json::Value;

use super::Format;
use crate::data;
use crate::embedded::data_parser;
use crate::error::{Error, with_option};
use crate::progress::counted;
use crate::settings::{Bytes, Settings};
use crate::terminal::{count, grouped, json, line, list};

/// Look at every image of a data set: what is there, what is bad, and what is there twice.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Images, as for `cutmix train --data`
    #[arg(value_parser = data_parser())]
    data: PathBuf,
    /// Memory that all threads together may take to decode images, as for `cutmix train`; an image
    /// that takes more by itself is bad
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    decode_memory: Bytes,
    /// How to print what was found
    #[arg(
        long,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    format: Format,
}

/// Classes that are counted by name.
const LISTED: usize = 10;

/// Looks at every image and prints what was found.
pub fn run(args: CheckArgs) -> Result<(), Error> {
    let mut settings = Settings {
        data: Some(args.data.clone()),
        decode_memory: args.decode_memory,
        ..Settings::default()
    };
    let splits = settings.open_whole_data()?;
    let total: usize = splits.sets().map(|set| set.len()).sum();
    let mut found = counted("images", total, |progress| check(&splits, || progress(1)))?;
    for image in found.sets.iter_mut().flat_map(|set| &mut set.bad) {
        image.reason = with_option(&image.reason);
    }
    if args.format == Format::Json {
        return json(&as_json(&found, &splits));
    }
    print(&settings, &data::name(Some(&args.data)), &found, &splits);
    Ok(())
}

fn as_json(found: &Check, splits: &Splits) -> Value {
    let unused = splits.unused.iter().map(|(reason, count, first)| {
        serde_json::json!({ "reason": reason.to_string(), "count": count, "first": first })
    });
    let mut value = serde_json::json!(found);
    value["unused"] = unused.collect();
    value["unlabelled-folder"] = serde_json::json!(splits.unlabelled);
    value["leaks"] = serde_json::json!(found.leaks().collect::<Vec<_>>());
    value
}

fn print(settings: &Settings, name: &str, found: &Check, splits: &Splits) {
    line(name);
    for set in &found.sets {
        print_set(set, &found.classes);
    }
    if !splits.unused.is_empty() {
        line(format!("not used    {}", splits.unused));
    }
    if let Some(folder) = &splits.unlabelled {
        line(format!(
            "not used    {}: its images have no labels",
            folder.display()
        ));
    }
    let bad: Vec<_> = found.bad().collect();
    list(
        "bad",
        &count(bad.len(), "image"),
        &bad,
        |SkippedImage { reason, .. }| reason.clone(),
    );
    let all: Vec<_> = found.duplicates.iter().collect();
    list(
        "duplicates",
        &(count(all.len(), "image") + " with copies"),
        &all,
        |places| places_text(places),
    );
    let leaks: Vec<_> = found.leaks().collect();
    let what = count(leaks.len(), "image") + " in the training set and in another one";
    list("leaks", &what, &leaks, |places| places_text(places));
    let contradictions: Vec<_> = found.contradictions().collect();
    let what = count(contradictions.len(), "image") + " with copies under different labels";
    list("doubtful", &what, &contradictions, |places| {
        places_text(places)
    });
    let good = found
        .sets
        .iter()
        .map(|set| set.images - set.bad.len())
        .sum();
    let val = if splits.val.is_none() && !splits.train.is_empty() {
        let share = 100.0 * settings.val_fraction;
        format!("; {share:.0} % of those to train would validate")
    } else {
        String::new()
    };
    line(format!("would use   {}{val}", count(good, "image")));
}

fn print_set(set: &SetCheck, classes: &[String]) {
    let counts = set.class_counts.iter().zip(classes);
    let mut counts: Vec<_> = counts.map(|(number, class)| (*number, class)).collect();
    let (shown, rest) = (
        counts.len().min(LISTED),
        counts.len().saturating_sub(LISTED),
    );
    if rest > 0 {
        counts.sort_by_key(|(number, _)| usize::MAX - number);
    }
    let counts = counts[..shown].iter();
    let mut counts: Vec<_> = counts
        .map(|(number, class)| format!("{class} {}", grouped(*number)))
        .collect();
    if rest > 0 {
        counts.push(format!("and {rest} smaller ones"));
    }
    if set.unlabelled > 0 {
        counts.push(format!("none {}", grouped(set.unlabelled)));
    }
    line(format!(
        "{:<11} {}: {}",
        set.split,
        count(set.images, "image"),
        counts.join(", ")
    ));
    let formats = set.formats.iter();
    let mut formats: Vec<_> = formats
        .map(|(format, number)| format!("{} {format}", grouped(*number)))
        .collect();
    if set.grey > 0 {
        formats.push(format!("{} of them grey", grouped(set.grey)));
    }
    if let Some(sizes) = sizes(&set.sizes) {
        line(format!("            {}; {sizes}", formats.join(", ")));
    }
}

/// The range of sizes, and the most frequent one.
fn sizes(sizes: &[(Size, usize)]) -> Option<String> {
    let (most, number) = sizes.first()?;
    let all = || sizes.iter().map(|(size, _)| size);
    let smallest = all().min_by_key(|size| size.area())?;
    let largest = all().max_by_key(|size| size.area())?;
    Some(if sizes.len() == 1 {
        format!("all {most} pixels")
    } else {
        format!(
            "from {smallest} to {largest} pixels, most often {most} ({})",
            grouped(*number)
        )
    })
}

fn places_text(places: &[Place]) -> String {
    let names: Vec<_> = places.iter().map(|place| place.name.as_str()).collect();
    names.join(" = ")
}
