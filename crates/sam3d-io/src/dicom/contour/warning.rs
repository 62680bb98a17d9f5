use std::{collections::BTreeMap, fmt};

use super::{
    MaskOptions,
    lattice::Lattice,
    planes::{GAP, Stack},
};
use crate::dicom::{ContourType, Roi};

/// What a user should know of a mask that is made of contours.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ContourWarning {
    /// Contours that enclose no area, and so add nothing to the mask.
    OtherTypes {
        /// How many there are of each type.
        counts: BTreeMap<String, usize>,
    },
    /// Contours without points, or with too few to enclose an area.
    WithoutArea {
        /// How many.
        count: usize,
    },
    /// The structure set was drawn on another image, by the UIDs it refers to.
    OtherImage {
        /// What differs: the frame of reference, or the series.
        what: &'static str,
        /// The UIDs that the structure set refers to.
        expected: Vec<String>,
        /// The image's UID.
        found: String,
    },
    /// Slices between filled ones that no contour is near to.
    Gap {
        /// The slices without contours: the file's axis, the first and the last one; `None` if they are not slices of the
        /// image.
        slices: Option<(char, usize, usize)>,
        /// Positions of the contours on both sides along their normal, mm.
        between_mm: [f64; 2],
        /// The usual distance of contours, mm.
        usual_mm: f64,
        /// Whether they were filled by interpolation.
        filled: bool,
    },
    /// The contours lie farther apart than the image's slices, so that each one stands for several.
    CoarserThanImage {
        /// Distance of contours, mm.
        contours_mm: f64,
        /// Distance of slices, mm.
        slices_mm: f64,
        /// Whether the slices between them were interpolated.
        filled: bool,
    },
}

impl fmt::Display for ContourWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherTypes { counts } => {
                let all: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                write!(f, "contours that enclose no area are left out: {}", all.join(", "))
            }
            Self::WithoutArea { count } => {
                write!(
                    f,
                    "contours without points, or with too few to enclose an area, are left out: {count}"
                )
            }
            Self::OtherImage { what, expected, found } => {
                let expected = expected.join(", ");
                write!(
                    f,
                    "drawn on another image: it refers to the {what} {expected}, and the image has {found}"
                )
            }
            Self::Gap { slices, between_mm: [low, high], usual_mm, filled } => {
                match slices {
                    Some((axis, first, last)) if first == last => {
                        write!(f, "no contour on the slice {axis} = {first}")?
                    }
                    Some((axis, first, last)) => {
                        write!(f, "no contour on the slices {axis} = {first} to {last}")?
                    }
                    None => write!(f, "no contour")?,
                }
                let then = if *filled { "filled by interpolation" } else { "left empty" };
                write!(
                    f,
                    " between {low:.2} and {high:.2} mm along the contours' normal, where neighbours are {usual_mm:.2} mm apart: {then}"
                )
            }
            Self::CoarserThanImage { contours_mm, slices_mm, filled } => {
                let then = if *filled {
                    "the slices between them are interpolated"
                } else {
                    "each slice takes the nearest contour"
                };
                write!(
                    f,
                    "the contours are {contours_mm:.2} mm apart and the image's slices {slices_mm:.2} mm: {then}"
                )
            }
        }
    }
}

/// Contours of `roi` that add nothing.
pub(super) fn skipped(roi: &Roi) -> Vec<ContourWarning> {
    let (mut counts, mut count) = (BTreeMap::new(), 0);
    for contour in &roi.contours {
        match &contour.kind {
            ContourType::Other(kind) => *counts.entry(kind.clone()).or_insert(0) += 1,
            _ if contour.points_mm.len() < 3 => count += 1,
            _ => {}
        }
    }
    let mut warnings = Vec::new();
    if !counts.is_empty() {
        warnings.push(ContourWarning::OtherTypes { counts });
    }
    if count > 0 {
        warnings.push(ContourWarning::WithoutArea { count });
    }
    warnings
}

/// Gaps in a stack, and planes that are far apart throughout.
pub(super) fn of_stack(stack: &Stack, lattice: &Lattice, options: MaskOptions) -> Vec<ContourWarning> {
    let filled = options.fill_gaps;
    let frame = &stack.frame;
    let mut warnings = Vec::new();
    if stack.planes.len() > 1 && stack.usual >= GAP * frame.slice_step() {
        warnings.push(ContourWarning::CoarserThanImage {
            contours_mm: stack.usual * frame.unit_mm,
            slices_mm: frame.slice_step() * frame.unit_mm,
            filled,
        });
    }
    for pair in stack.planes.windows(2).filter(|pair| stack.is_gap(&pair[0], &pair[1])) {
        let [low, high] = [&pair[0], &pair[1]].map(|plane| plane.position);
        warnings.push(ContourWarning::Gap {
            slices: if frame.in_slices { empty_slices(stack, [low, high], lattice) } else { None },
            between_mm: [low, high].map(|height| height * frame.unit_mm + offset_mm(stack, lattice)),
            usual_mm: stack.usual * frame.unit_mm,
            filled,
        });
    }
    warnings
}

/// The slices of the lattice between two planes that neither reaches.
fn empty_slices(stack: &Stack, [low, high]: [f64; 2], lattice: &Lattice) -> Option<(char, usize, usize)> {
    let axis = stack.frame.m;
    let last = (lattice.shape[axis] - 1) as f64;
    let half = 0.5 * stack.usual;
    let [first, end] = [(low + half).ceil(), (high - half).floor()];
    if first > end || first > last || end < 0.0 {
        return None;
    }
    let [first, end] = [first, end].map(|index| index.clamp(0.0, last) as usize);
    let [(name, a), (_, b)] = [first, end].map(|index| lattice.stored_slice(axis, index));
    Some((name, a.min(b), a.max(b)))
}

/// The position along the normal, in the patient, of the lattice's first slice, where heights are counted in slices.
fn offset_mm(stack: &Stack, lattice: &Lattice) -> f64 {
    if stack.frame.in_slices { lattice.position_of_first_slice_mm(stack.frame.m) } else { 0.0 }
}
