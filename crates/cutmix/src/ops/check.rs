//! The checks of arguments that the operations share.

use crate::Error;
use crate::plan::{Plan, Region, check_batch, check_partners};

/// Checks that a batch of this shape fits the plan. `argument` is its name for the message.
pub fn check_plan(argument: &'static str, shape: &[usize], plan: &Plan) -> Result<(), Error> {
    let (batch, spatial) = (plan.batch(), plan.spatial());
    if shape.len() > spatial.len() && shape[0] == batch && shape.ends_with(spatial) {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        format!("of shape {shape:?}"),
        format!("a batch of {batch} with the spatial shape {spatial:?}, as in the plan"),
    ))
}

/// Checks the arguments of a blend of a batch of this shape.
pub fn check_blend(
    shape: &[usize],
    partners: &[usize],
    regions: &[Region],
    lambdas: &[f64],
) -> Result<(), Error> {
    let batch = shape.first().copied().unwrap_or(0);
    check_batch(batch)?;
    check_partners(partners)?;
    if partners.len() != batch {
        return Err(Error::argument(
            "partners",
            format!("{partners:?}"),
            format!("one for each of the {batch} samples of the batch"),
        ));
    }
    check_regions(shape, regions)?;
    check_count("lambdas", lambdas.len(), batch)?;
    if let Some(lambda) = lambdas.iter().find(|lambda| !(0.0..=1.0).contains(*lambda)) {
        return Err(Error::argument("lambdas", lambda, "numbers in 0..=1"));
    }
    Ok(())
}

/// Checks that there is one region for the batch or one for each sample, inside the images.
pub fn check_regions(shape: &[usize], regions: &[Region]) -> Result<(), Error> {
    let batch = shape.first().copied().unwrap_or(0);
    check_batch(batch)?;
    check_count("regions", regions.len(), batch)?;
    let rank = regions[0].rank();
    if !(1..shape.len()).contains(&rank) {
        return Err(Error::argument(
            "regions",
            format!("of {rank} dimensions"),
            format!(
                "1 to {} dimensions, for the shape {shape:?}",
                shape.len() - 1
            ),
        ));
    }
    let spatial = &shape[shape.len() - rank..];
    regions.iter().try_for_each(|region| region.check(spatial))
}

fn check_count(argument: &'static str, count: usize, batch: usize) -> Result<(), Error> {
    if count == 0 || (count != 1 && count != batch) {
        return Err(Error::argument(
            argument,
            format!("a list of {count}"),
            format!("one for the batch or one for each of its {batch} samples"),
        ));
    }
    Ok(())
}

/// The shares of a sample and of its partner for each lambda.
pub fn weights(lambdas: &[f64]) -> impl Iterator<Item = [f64; 2]> {
    lambdas.iter().map(|lambda| [*lambda, 1.0 - lambda])
}
