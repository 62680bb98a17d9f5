//! Connected components, and which of the truth's components a prediction finds.
//!
//! Memory and time grow with the number of runs of voxels along W, not with the number of voxels.

use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use crate::{
    MetricsError,
    error::check_same_shape,
    runs::{Run, Runs},
};

/// Which voxels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connectivity {
    /// Six neighbours: voxels that share a face.
    Faces,
    /// Eighteen neighbours: voxels that share a face or an edge.
    Edges,
    /// Twenty-six neighbours: voxels that share a face, an edge or a corner.
    #[default]
    Corners,
}

impl Connectivity {
    /// How many of the other two axes two touching runs may differ in, and how far a run reaches beyond its ends to touch
    /// one that is off by one in `axes` of them.
    pub(crate) fn reach(self, axes: usize) -> Option<usize> {
        let steps = match self {
            Self::Faces => 1usize,
            Self::Edges => 2,
            Self::Corners => 3,
        };
        steps.checked_sub(axes).map(|left| left.min(1))
    }
}

/// One connected part of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Number of voxels.
    pub voxels: u64,
    /// First voxel of the box around it, `[D, H, W]`.
    pub start: [usize; 3],
    /// One past the last voxel of the box around it, `[D, H, W]`.
    pub end: [usize; 3],
    /// How many of its voxels also belong to the other mask; 0 without another mask.
    pub shared_voxels: u64,
}

/// The connected components of `mask`, `[D, H, W]`, every value but 0 belonging to it; in the order of their first voxels.
pub fn components(mask: ArrayView3<u8>, connectivity: Connectivity) -> Vec<Component> {
    measure(&Runs::of_mask(mask, connectivity), |_| 0)
}

fn measure(runs: &Runs, shared_voxels: impl Fn(&Run) -> u64) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    for (run, component) in runs.with_components() {
        let of_run = Component {
            voxels: run.voxels(),
            start: run.first(),
            end: run.end(),
            shared_voxels: shared_voxels(run),
        };
        match components.get_mut(component) {
            Some(component) => component.add(of_run),
            None => components.push(of_run),
        }
    }
    components
}

/// Lesion-wise detection: the components of truth and prediction, and which of them overlap the other mask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The truth's components.
    pub truth: Vec<Component>,
    /// The prediction's components.
    pub prediction: Vec<Component>,
}

impl Detection {
    /// Finds the components of two masks, `[D, H, W]`; every value but 0 belongs to a mask.
    ///
    /// # Errors
    /// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape.
    pub fn between(
        truth: ArrayView3<u8>,
        prediction: ArrayView3<u8>,
        connectivity: Connectivity,
    ) -> Result<Self, MetricsError> {
        check_same_shape(truth, prediction)?;
        let (truth_runs, prediction_runs) =
            rayon::join(|| Runs::of_mask(truth, connectivity), || Runs::of_mask(prediction, connectivity));
        let truth = measure(&truth_runs, |run| prediction_runs.voxels_within(run));
        let prediction = measure(&prediction_runs, |run| truth_runs.voxels_within(run));
        Ok(Self { truth, prediction })
    }

    /// The truth's components of which the prediction has at least `share` of the voxels, and one.
    pub fn found(&self, share: f64) -> usize {
        count_met(&self.truth, share)
    }

    /// The prediction's components of which the truth has less than `share` of the voxels, or none.
    pub fn false_positives(&self, share: f64) -> usize {
        self.prediction.len() - count_met(&self.prediction, share)
    }

    /// The share of the truth's components that are [`found`](Self::found); `None` if there are none.
    pub fn sensitivity(&self, share: f64) -> Option<f64> {
        (!self.truth.is_empty()).then(|| self.found(share) as f64 / self.truth.len() as f64)
    }
}

fn count_met(components: &[Component], share: f64) -> usize {
    let met = |component: &&Component| {
        component.shared_voxels > 0 && component.shared_voxels as f64 >= share * component.voxels as f64
    };
    components.iter().filter(met).count()
}

impl Component {
    fn add(&mut self, other: Self) {
        self.voxels += other.voxels;
        self.shared_voxels += other.shared_voxels;
        self.start = std::array::from_fn(|axis| self.start[axis].min(other.start[axis]));
        self.end = std::array::from_fn(|axis| self.end[axis].max(other.end[axis]));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn mask(voxels: &[[usize; 3]]) -> Array3<u8> {
        let mut mask = Array3::zeros([4, 4, 5]);
        voxels.iter().for_each(|voxel| mask[*voxel] = 1);
        mask
    }

    #[test]
    fn voxels_that_share_a_face_an_edge_or_a_corner() {
        let pairs =
            [([1, 1, 1], [1, 1, 2]), ([1, 1, 1], [1, 2, 1]), ([1, 1, 1], [2, 2, 1]), ([1, 2, 2], [2, 1, 3])];
        let counts = pairs.map(|(a, b)| {
            [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners]
                .map(|connectivity| components(mask(&[a, b]).view(), connectivity).len())
        });
        assert_eq!(counts, [[1, 1, 1], [1, 1, 1], [2, 1, 1], [2, 2, 1]]);
    }

    #[test]
    fn arms_that_meet_late_are_one_component() {
        // A U whose arms are joined by its last row alone.
        let u = mask(&[
            [0, 0, 0],
            [0, 0, 4],
            [0, 1, 0],
            [0, 1, 4],
            [0, 2, 0],
            [0, 2, 1],
            [0, 2, 2],
            [0, 2, 3],
            [0, 2, 4],
        ]);
        let found = components(u.view(), Connectivity::Faces);
        assert_eq!(found, [Component { voxels: 9, start: [0; 3], end: [1, 3, 5], shared_voxels: 0 }]);
    }

    #[test]
    fn found_lesions_and_false_positives() {
        let truth = mask(&[[0, 0, 0], [0, 0, 1], [0, 0, 2], [3, 3, 3]]);
        let prediction = mask(&[[0, 0, 2], [0, 0, 3], [2, 0, 0]]);
        let detection = Detection::between(truth.view(), prediction.view(), Connectivity::Corners).unwrap();
        assert_eq!(
            detection.truth.iter().map(|c| (c.voxels, c.shared_voxels)).collect::<Vec<_>>(),
            [(3, 1), (1, 0)]
        );
        assert_eq!((detection.found(0.0), detection.found(0.5)), (1, 0));
        assert_eq!((detection.false_positives(0.0), detection.false_positives(0.6)), (1, 2));
        assert_eq!(detection.sensitivity(0.0), Some(0.5));
        let nothing = Detection::between(mask(&[]).view(), prediction.view(), Connectivity::Corners).unwrap();
        assert_eq!((nothing.sensitivity(0.0), nothing.false_positives(0.0)), (None, 2));
    }
}
