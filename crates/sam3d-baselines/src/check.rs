//! Checks on configurations.

use std::fmt::Display;

use sam3d_model::ModelError;

/// Sides (D, H, W) of the published crop.
pub(crate) const PUBLISHED_CROP: [usize; 3] = [64, 160, 160];

/// Larger sizes are a mistake, and could overflow a product of sizes.
const LARGEST: usize = 1 << 16;

pub(crate) fn check(
    holds: bool,
    field: &'static str,
    found: impl Display,
    rule: &str,
) -> Result<(), ModelError> {
    if holds {
        return Ok(());
    }
    Err(ModelError::Config { field, found: found.to_string(), rule: rule.to_owned() })
}

pub(crate) fn positive(field: &'static str, found: usize) -> Result<(), ModelError> {
    check((1..=LARGEST).contains(&found), field, found, "between 1 and 65536")
}

pub(crate) fn divides(
    field: &'static str,
    found: usize,
    divisor_name: &str,
    divisor: usize,
) -> Result<(), ModelError> {
    check(found.is_multiple_of(divisor), field, found, &format!("a multiple of {divisor_name} ({divisor})"))
}

pub(crate) fn multiples(
    field: &'static str,
    found: [usize; 3],
    divisors: [usize; 3],
) -> Result<(), ModelError> {
    for (side, divisor) in found.into_iter().zip(divisors) {
        check(
            (1..=LARGEST).contains(&side) && side.is_multiple_of(divisor),
            field,
            side,
            &format!("a multiple of {divisors:?} along (D, H, W)"),
        )?;
    }
    Ok(())
}

pub(crate) fn rate(field: &'static str, found: f64) -> Result<(), ModelError> {
    check((0.0..1.0).contains(&found), field, found, "from 0 to below 1")
}
