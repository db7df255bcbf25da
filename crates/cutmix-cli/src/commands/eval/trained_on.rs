//! Which of the images that were measured a network was trained on.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use cutmix_vision::data::Sample;
use cutmix_vision::{Dataset, Manifest, SkippedImage, Split, Splits};

/// The number of images of `data` that are those of a run's training set, by name and size. The data
/// may be a part of the data of the run in another place, or have them as a part: one end of all names
/// is then the same. Images that were skipped do not count.
pub fn trained_on(run: &Manifest, data: &Dataset, skipped: &[SkippedImage]) -> usize {
    let now = Manifest::of(&Splits::new(data.clone()));
    let skipped: HashSet<_> = skipped.iter().map(|image| &image.name).collect();
    // The others of their source are in none of the sets.
    let is_measured =
        |sample: &&Sample| sample.split == Split::Train && !skipped.contains(&sample.name);
    let measured: Vec<_> = now.samples.iter().filter(is_measured).collect();
    count(&run.samples, &measured, data.is_of_files())
}

/// What is in front of the name of a sample, and what is in front of the name of a sample of the run,
/// where the rest of both names is the same. One of them is empty.
type Fronts<'a> = [&'a str; 2];

/// Samples that have the same fronts.
#[derive(Default)]
struct Twins {
    count: usize,
    /// The number of those that are in the training set of the run.
    trained: usize,
    /// The number of those that have another label now.
    relabelled: usize,
}

fn count(run: &[Sample], measured: &[&Sample], are_files: bool) -> usize {
    let mut by_end: Vec<_> = run.iter().collect();
    by_end.sort_by(|a, b| compare_ends(&a.name, &b.name));
    let mut twins = BTreeMap::<Fronts, Twins>::new();
    for sample in measured {
        for (fronts, other) in same_ends(&sample.name, &by_end) {
            if other.bytes == sample.bytes {
                let twins = twins.entry(fronts).or_default();
                twins.count += 1;
                twins.trained += usize::from(other.split == Split::Train);
                twins.relabelled += usize::from(other.label != sample.label);
            }
        }
    }
    // The sets of a run often have the same names in folders of their own. The data are of one folder.
    let best = (twins.values()).max_by_key(|twins| (twins.count, twins.trained));
    // Samples without files have numbers for names and one size, so that those of any data are alike.
    let best = best.filter(|twins| are_files || twins.relabelled == 0);
    best.map_or(0, |twins| twins.trained)
}

/// The samples whose name has the same end as `name`, as far as the shorter of both goes.
fn same_ends<'a>(
    name: &'a str,
    by_end: &'a [&'a Sample],
) -> impl Iterator<Item = (Fronts<'a>, &'a Sample)> {
    let longer = ending_with(name, by_end).filter_map(move |sample| {
        let front = sample.name.strip_suffix(name)?;
        (front.is_empty() || front.ends_with('/')).then_some((["", front], sample))
    });
    let ends = name.match_indices('/').map(|(at, _)| name.split_at(at + 1));
    let shorter = ends.flat_map(move |(front, end)| {
        let same = ending_with(end, by_end).take_while(move |sample| sample.name == end);
        same.map(move |sample| ([front, ""], sample))
    });
    longer.chain(shorter)
}

/// The samples whose names end with `end`, that name itself first.
fn ending_with<'a>(end: &'a str, by_end: &'a [&'a Sample]) -> impl Iterator<Item = &'a Sample> {
    let is_before = |sample: &&Sample| compare_ends(&sample.name, end) == Ordering::Less;
    let first = by_end.partition_point(is_before);
    let rest = by_end[first..].iter().copied();
    rest.take_while(move |sample| sample.name.ends_with(end))
}

/// Compares names from their ends.
fn compare_ends(a: &str, b: &str) -> Ordering {
    a.bytes().rev().cmp(b.bytes().rev())
}

#[cfg(test)]
#[path = "../../../tests/unit/trained_on.rs"]
mod tests;
