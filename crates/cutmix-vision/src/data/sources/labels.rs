//! The labels of a source as its data write them, on the way to numbers.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use super::folder::near;
use crate::data::escape::escape;
use crate::data::{DataError, Label, Split};

/// Number of classes that labels may have that are numbers. A larger one is no class.
const MAX_CLASSES: usize = 1 << 20;

/// A class as data write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    Number(u64),
    Name(String),
}

impl Tag {
    /// The tag of a text: a number where it is one, or else a name.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Name(text.into()),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => class_name(name),
        }
    }
}

/// The label of a sample as data write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tags {
    One(Tag),
    Several(Vec<Tag>),
}

impl Tags {
    fn all(&self) -> &[Tag] {
        match self {
            Self::One(tag) => std::slice::from_ref(tag),
            Self::Several(tags) => tags,
        }
    }
}

/// A value for each of many samples, of which equal ones are kept once.
#[derive(Debug)]
pub struct Distinct<T> {
    numbers: HashMap<T, u32>,
    of: Vec<u32>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            of: Vec::new(),
        }
    }
}

impl<T: Hash + Eq> Distinct<T> {
    /// Adds the value of the next sample.
    pub fn push(&mut self, value: T) {
        let next = self.numbers.len() as u32;
        self.of.push(*self.numbers.entry(value).or_insert(next));
    }
    /// The different values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.numbers.keys()
    }

    /// Whether two samples have the same value.
    pub fn are_equal(&self, first: usize, second: usize) -> bool {
        self.of[first] == self.of[second]
    }

    /// The samples in another order, or some of them.
    pub fn select(&mut self, samples: &[u32]) {
        self.of = samples.iter().map(|&at| self.of[at as usize]).collect();
    }

    /// Changes each of the different values.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> (Vec<U>, Vec<u32>) {
        let mut values: Vec<_> = self.numbers.into_iter().collect();
        values.sort_unstable_by_key(|(_, number)| *number);
        (
            values.into_iter().map(|(value, _)| change(value)).collect(),
            self.of,
        )
    }
}

/// The labels of many samples, of which equal ones are kept once.
#[derive(Debug)]
pub struct Labels {
    distinct: Vec<Label>,
    of: Vec<u32>,
}

impl Labels {
    pub fn get(&self, sample: usize) -> Label {
        self.distinct[self.of[sample] as usize].clone()
    }
}

/// What is known about the names of classes.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The names that belong to numbers, where the data have them.
    pub names: Option<&'a [String]>,
    /// [`DataConfig::classes`](crate::data::DataConfig::classes).
    pub known: Option<&'a [String]>,
    /// The file or folder of the data, for messages.
    pub path: &'a Path,
}

impl Naming<'_> {
    /// Makes numbers of labels: the names of the classes, and the labels of the samples.
    ///
    /// The classes are the known ones, or those that belong to numbers, or else those of the training
    /// samples: `0` to the highest number, or the names in their order.
    pub fn number(
        self,
        (distinct, of): (Vec<Tags>, Vec<u32>),
        sets: &[Split],
    ) -> Result<(Vec<String>, Labels), DataError> {
        if let Some(names) = self.names {
            self.check_numbers(&distinct, &of, names.len())?;
        }
        let has_several = (distinct.iter()).any(|tags| matches!(tags, Tags::Several(_)));
        let classes = match (self.known, self.names) {
            (Some(known), _) => known.to_vec(),
            (None, Some(names)) => names.to_vec(),
            (None, None) => self.classes_of(&distinct, &of, sets)?,
        };
        if classes.len() < 2 && self.known.is_none() && !has_several {
            return Err(self.too_few(classes));
        }
        if self.known.is_some() && self.names.is_none() {
            self.check_numbers(&distinct, &of, classes.len())?;
        }
        let numbers: HashMap<_, _> = classes.iter().map(String::as_str).zip(0..).collect();
        let labels = distinct.iter().map(|tags| {
            let mut numbered = Vec::with_capacity(tags.all().len());
            for tag in tags.all() {
                numbered.push(self.class(tag, &classes, &numbers)?);
            }
            numbered.sort_unstable();
            numbered.dedup();
            Ok(match (has_several, numbered.first()) {
                (false, Some(&class)) => Label::Class(class),
                _ => Label::Classes(numbered),
            })
        });
        let distinct = labels.collect::<Result<_, DataError>>()?;
        Ok((classes, Labels { distinct, of }))
    }

    /// The class of a tag.
    fn class(
        self,
        tag: &Tag,
        classes: &[String],
        numbers: &HashMap<&str, usize>,
    ) -> Result<usize, DataError> {
        let name = match (tag, self.names, self.known) {
            (Tag::Number(number), Some(names), None) if (*number as usize) < names.len() => {
                return Ok(*number as usize);
            }
            (Tag::Number(number), Some(names), _) => names[*number as usize].clone(),
            // Known classes that the data do not name have these numbers.
            (Tag::Number(number), None, Some(_)) => return Ok(*number as usize),
            _ => tag.name(),
        };
        let class = numbers.get(name.as_str()).copied();
        class.ok_or_else(|| DataError::UnknownClass {
            path: self.path.into(),
            near: near(&name, classes),
            class: name,
        })
    }

    /// Checks that numbers are below `classes`.
    fn check_numbers(self, distinct: &[Tags], of: &[u32], classes: usize) -> Result<(), DataError> {
        for (at, tags) in distinct.iter().enumerate() {
            for tag in tags.all() {
                if let Tag::Number(number) = *tag
                    && number >= classes as u64
                {
                    let index = of.iter().position(|&label| label as usize == at);
                    return Err(DataError::Label {
                        origin: self.path.display().to_string(),
                        index: index.unwrap_or(0),
                        label: usize::try_from(number).unwrap_or(usize::MAX),
                        classes,
                    });
                }
            }
        }
        Ok(())
    }

    /// The classes of the training samples, or of all where there are none.
    fn classes_of(
        self,
        distinct: &[Tags],
        of: &[u32],
        sets: &[Split],
    ) -> Result<Vec<String>, DataError> {
        let has_train = sets.contains(&Split::Train);
        let mut is_used = vec![!has_train; distinct.len()];
        for (&label, set) in of.iter().zip(sets) {
            is_used[label as usize] |= *set == Split::Train;
        }
        let used = distinct
            .iter()
            .zip(&is_used)
            .filter(|(_, is_used)| **is_used);
        let tags: BTreeSet<_> = used.flat_map(|(tags, _)| tags.all()).collect();
        let numbers = distinct.iter().flat_map(Tags::all).map(|tag| match tag {
            Tag::Number(number) => Some(*number),
            Tag::Name(_) => None,
        });
        if let Some(numbers) = numbers.collect::<Option<Vec<_>>>()
            && let Some(highest) = numbers.iter().max()
        {
            self.check_numbers(distinct, of, MAX_CLASSES)?;
            return Ok((0..=*highest).map(|number| number.to_string()).collect());
        }
        Ok(sorted(tags.iter().map(|tag| tag.name())))
    }

    fn too_few(self, classes: Vec<String>) -> DataError {
        let path = self.path.to_path_buf();
        match classes.into_iter().next() {
            Some(class) => DataError::OneClass { path, class },
            None => DataError::format(&path, "number of labels", 0, "at least 1"),
        }
    }
}

/// The name of a class from that in a file: in Unicode's form NFC, and escaped.
pub fn class_name(name: &str) -> String {
    escape(name.nfc().collect::<String>())
}

/// Names in their order, without repetition: numbers by their value.
pub fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    let value = |name: &String| name.parse::<f64>().ok().filter(|value| value.is_finite());
    if names.iter().all(|name| value(name).is_some()) {
        let key = |name: &String| value(name).unwrap_or(0.0);
        names.sort_by(|a, b| key(a).total_cmp(&key(b)).then_with(|| a.cmp(b)));
    } else {
        names.sort_unstable();
    }
    names.dedup();
    names
}
