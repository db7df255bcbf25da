//! The classes of data as those of a model.

use cutmix_vision::Dataset;

use crate::error::Error;
use crate::run_folder::ModelCard;

/// The model's class for each class of the data: by name, or by number where the data have only
/// numbers, as IDX files do.
pub fn matching(data: &Dataset, card: &ModelCard) -> Result<Vec<usize>, Error> {
    let is_known = |name: &String| card.classes.contains(name);
    let by_number = is_numbered(data)
        && data.classes().len() <= card.classes.len()
        && !data.classes().iter().any(is_known);
    if by_number {
        return Ok((0..data.classes().len()).collect());
    }
    let find = |name: &String| {
        let known = || card.classes.iter().map(String::as_str);
        let at = known().position(|class| class == name);
        at.ok_or_else(|| Error::unknown("class of the data", name, known()))
    };
    data.classes().iter().map(find).collect()
}

/// Whether the classes are called `0`, `1` and so on.
pub fn is_numbered(data: &Dataset) -> bool {
    let mut names = data.classes().iter().enumerate();
    names.all(|(at, name)| *name == at.to_string())
}
