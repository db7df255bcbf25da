//! What changed between two manifests.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::{Manifest, Sample};

/// Number of names that a message lists.
const NAMES: usize = 3;

/// One kind of change, with everything that changed in this way. It is shown in one line, with the
/// number of names and the first three.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A class has another name, with the same images.
    RenamedClass {
        /// Name of the class in the run.
        from: String,
        /// Name of the class now.
        to: String,
    },
    /// Classes were added.
    AddedClasses(Vec<String>),
    /// Classes are gone.
    RemovedClasses(Vec<String>),
    /// Samples were added.
    Added(Vec<String>),
    /// Samples are gone.
    Removed(Vec<String>),
    /// Samples have another class. In folders of images these are files that were moved to the
    /// folder of another class; their names are those of the run.
    Relabelled(Vec<String>),
    /// Files have another size.
    Resized(Vec<String>),
    /// Samples are in another of the three sets.
    Moved(Vec<String>),
    /// The same classes are in another order, so that labels mean other classes.
    ReorderedClasses,
    /// The same samples are in another order.
    Reordered,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RenamedClass { from, to } => write!(f, "class `{from}` renamed to `{to}`"),
            Self::AddedClasses(names) => list(f, "class", "classes", "added", names),
            Self::RemovedClasses(names) => list(f, "class", "classes", "removed", names),
            Self::Added(names) => list(f, "image", "images", "added", names),
            Self::Removed(names) => list(f, "image", "images", "removed", names),
            Self::Relabelled(names) => list(f, "image", "images", "relabelled", names),
            Self::Resized(names) => list(f, "image", "images", "of another size", names),
            Self::Moved(names) => list(f, "image", "images", "in another set", names),
            Self::ReorderedClasses => f.write_str("classes in another order"),
            Self::Reordered => f.write_str("images in another order"),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    one: &str,
    many: &str,
    what: &str,
    names: &[String],
) -> fmt::Result {
    let noun = if names.len() == 1 { one } else { many };
    let first = names[..names.len().min(NAMES)].join(", ");
    let more = if names.len() > NAMES { ", ..." } else { "" };
    write!(f, "{} {noun} {what} ({first}{more})", names.len())
}

/// The changes between two [`Manifest`]s. They are shown in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, renamed classes first.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.0.iter()
    }

    /// The changes without those that a manifest undoes when it is applied.
    pub(super) fn without_moves(mut self) -> Self {
        (self.0).retain(|change| !matches!(change, Change::Moved(_) | Change::Reordered));
        self
    }

    pub(super) fn renames(&self) -> Renames {
        let renamed = self.iter().filter_map(|change| match change {
            Change::RenamedClass { from, to } => Some((from.clone(), to.clone())),
            _ => None,
        });
        Renames(renamed.collect())
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self.iter().map(Change::to_string).collect();
        f.write_str(&changes.join("; "))
    }
}

/// The classes that were renamed, from the name in the run to the name now.
pub(super) struct Renames(HashMap<String, String>);

impl Renames {
    fn class<'a>(&'a self, class: &'a str) -> &'a str {
        self.0.get(class).map_or(class, String::as_str)
    }

    /// The name that a sample has now if nothing but class names has changed.
    pub fn name(&self, sample: &Sample, classes: &[String]) -> String {
        let class = class_of(sample, classes);
        match self.0.get(&*class) {
            Some(now) => with_class(&sample.name, &class, now),
            None => sample.name.clone(),
        }
    }
}

pub(super) fn compare(before: &Manifest, now: &Manifest) -> Changes {
    let mut changes: Vec<_> = (renamed(before, now).into_iter())
        .map(|(from, to)| Change::RenamedClass { from, to })
        .collect();
    let renames = Changes(changes.clone()).renames();

    let classes_before: Vec<_> = (before.classes.iter())
        .map(|class| renames.class(class).to_string())
        .collect();
    let without = |all: &[String], known: &[String]| -> Vec<String> {
        let new = all.iter().filter(|class| !known.contains(class));
        new.cloned().collect()
    };
    let added = without(&now.classes, &classes_before);
    let removed = without(&classes_before, &now.classes);
    changes.extend((!added.is_empty()).then_some(Change::AddedClasses(added)));
    changes.extend((!removed.is_empty()).then_some(Change::RemovedClasses(removed)));
    if changes.is_empty() && classes_before != now.classes {
        changes.push(Change::ReorderedClasses);
    }

    let found = Differences::find(before, now, &renames);
    changes.extend(found.into_changes());
    if changes.is_empty() && before.digest() != now.digest() {
        changes.push(Change::Reordered);
    }
    Changes(changes)
}

/// The name of the class of a sample, or the names of its classes.
fn class_of<'a>(sample: &Sample, classes: &'a [String]) -> Cow<'a, str> {
    let name = |class: &usize| classes.get(*class).map_or("", String::as_str);
    match sample.label.classes() {
        [class] => name(class).into(),
        several => several
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join("|")
            .into(),
    }
}

/// The name of a sample with another class as its folder.
fn with_class(name: &str, from: &str, to: &str) -> String {
    let mut parts: Vec<_> = name.split('/').collect();
    let folders = parts.len() - 1;
    if let Some(folder) = parts[..folders].iter_mut().rfind(|part| **part == from) {
        *folder = to;
    }
    parts.join("/")
}

/// What a sample is besides its class: the name without the class, and the size.
type Identity = (String, u64);

fn identity(sample: &Sample, classes: &[String]) -> Identity {
    let class = class_of(sample, classes);
    (with_class(&sample.name, &class, "*"), sample.bytes)
}

/// The classes that have another name now: those that are gone, whose images are those of a class
/// that is new.
fn renamed(before: &Manifest, now: &Manifest) -> Vec<(String, String)> {
    let mut new = images_of_new_classes(now, before);
    let mut renamed = Vec::new();
    for (class, images) in images_of_new_classes(before, now) {
        let same = new.iter().find(|(_, others)| **others == images);
        if let Some(to) = same.map(|(to, _)| to.clone()) {
            new.remove(&to);
            renamed.push((class, to));
        }
    }
    renamed
}

/// The images, sorted, of the classes of `manifest` that `other` does not have.
fn images_of_new_classes(manifest: &Manifest, other: &Manifest) -> BTreeMap<String, Vec<Identity>> {
    let mut images = BTreeMap::<_, Vec<_>>::new();
    let is_new: Vec<_> = (manifest.classes.iter())
        .map(|class| !other.classes.contains(class))
        .collect();
    for sample in &manifest.samples {
        if sample.label.class().and_then(|class| is_new.get(class)) == Some(&true) {
            let class = class_of(sample, &manifest.classes).to_string();
            let identity = identity(sample, &manifest.classes);
            images.entry(class).or_default().push(identity);
        }
    }
    images.values_mut().for_each(|images| images.sort());
    images
}

/// The samples that differ, by kind, in the order of the manifests.
#[derive(Default)]
struct Differences {
    added: Vec<String>,
    removed: Vec<String>,
    relabelled: Vec<String>,
    resized: Vec<String>,
    moved: Vec<String>,
}

impl Differences {
    fn find(before: &Manifest, now: &Manifest, renames: &Renames) -> Self {
        let mut found = Self::default();
        let mut by_name = HashMap::<_, Vec<&Sample>>::new();
        for sample in now.samples.iter().rev() {
            by_name
                .entry(sample.name.as_str())
                .or_default()
                .push(sample);
        }
        let mut gone = Vec::new();
        for old in &before.samples {
            let name = renames.name(old, &before.classes);
            match by_name.get_mut(name.as_str()).and_then(Vec::pop) {
                Some(new) => found.pair(old, new, before, now, renames),
                None => gone.push(old),
            }
        }
        // Those that no sample of `before` was paired with, in order.
        let left: Vec<_> = (now.samples.iter())
            .filter(|sample| {
                let same = by_name.get(sample.name.as_str());
                same.is_some_and(|left| left.iter().any(|left| std::ptr::eq(*left, *sample)))
            })
            .collect();
        found.pair_by_identity(gone, left, before, now);
        found
    }

    /// Compares a sample with the one that has its name now.
    fn pair(
        &mut self,
        old: &Sample,
        new: &Sample,
        before: &Manifest,
        now: &Manifest,
        renames: &Renames,
    ) {
        let name = || new.name.clone();
        let class = class_of(old, &before.classes);
        if renames.class(&class) != class_of(new, &now.classes) {
            self.relabelled.push(name());
        }
        if old.bytes != new.bytes {
            self.resized.push(name());
        }
        if old.split != new.split {
            self.moved.push(name());
        }
    }

    /// Of samples that are gone and samples that are new, finds the files that were moved to the
    /// folder of another class.
    fn pair_by_identity(
        &mut self,
        gone: Vec<&Sample>,
        new: Vec<&Sample>,
        before: &Manifest,
        now: &Manifest,
    ) {
        let mut by_identity = HashMap::<_, Vec<&Sample>>::new();
        for sample in new.iter().rev() {
            let identity = identity(sample, &now.classes);
            by_identity.entry(identity).or_default().push(sample);
        }
        for old in gone {
            let same = by_identity.get_mut(&identity(old, &before.classes));
            if same.and_then(Vec::pop).is_some() {
                self.relabelled.push(old.name.clone());
            } else {
                self.removed.push(old.name.clone());
            }
        }
        let mut left: Vec<_> = by_identity.into_values().flatten().collect();
        left.sort_by_key(|sample| &sample.name);
        let left = left.into_iter().map(|sample| sample.name.clone());
        self.added.extend(left);
    }

    fn into_changes(self) -> impl Iterator<Item = Change> {
        [
            (self.added, Change::Added as fn(Vec<String>) -> Change),
            (self.removed, Change::Removed),
            (self.relabelled, Change::Relabelled),
            (self.resized, Change::Resized),
            (self.moved, Change::Moved),
        ]
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, change)| change(names))
    }
}
