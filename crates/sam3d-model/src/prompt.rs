//! The prompts of one crop: clicks, dense prompts, or both.

use std::{fmt, sync::Arc};

use sam3d_geom::{PointLabel, Prompt};

use crate::ModelError;

/// A kind of dense prompt; each is one channel on the crop's grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenseChannel {
    /// The mask of the previous answer, or an initial mask.
    PreviousMask,
    /// A region that contains the target: a box or a filled lasso.
    RegionInside,
    /// A region without the target.
    RegionOutside,
    /// Strokes on the target.
    ScribbleInside,
    /// Strokes outside the target.
    ScribbleOutside,
}

impl DenseChannel {
    /// Every channel, in the network's order.
    pub const ALL: [Self; 5] = [
        Self::PreviousMask,
        Self::RegionInside,
        Self::RegionOutside,
        Self::ScribbleInside,
        Self::ScribbleOutside,
    ];
}

impl fmt::Display for DenseChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreviousMask => "previous mask",
            Self::RegionInside => "region inside",
            Self::RegionOutside => "region outside",
            Self::ScribbleInside => "scribble inside",
            Self::ScribbleOutside => "scribble outside",
        })
    }
}

/// Five channels on a crop's grid. A channel without a voxel above 0 takes no memory, and clones share the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DensePrompts {
    channels: [Option<Arc<[f32]>>; DenseChannel::ALL.len()],
}

impl DensePrompts {
    /// Replaces the values of `channel`.
    ///
    /// # Shapes
    /// `values` holds P^3 numbers from 0 to 1 in C order over (D, H, W); masks hold 0 and 1.
    ///
    /// # Errors
    /// [`ModelError::DenseValue`] for the first number outside 0 to 1. The number of values is compared with the crop's when
    /// the network is run.
    pub fn with(mut self, channel: DenseChannel, values: &[f32]) -> Result<Self, ModelError> {
        if let Some(found) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(ModelError::DenseValue { channel, found: *found });
        }
        let is_empty = values.iter().all(|value| *value == 0.0);
        self.channels[channel as usize] = (!is_empty).then(|| values.into());
        Ok(self)
    }

    /// Draws a cube of 3 voxels for each of `clicks` into the channel of scribbles inside or outside.
    pub(crate) fn with_clicks(&self, clicks: &Prompt) -> Self {
        let (mut drawn, [d, h, w]) = (self.clone(), clicks.extent().sizes());
        let kinds = [
            (PointLabel::Positive, DenseChannel::ScribbleInside),
            (PointLabel::Negative, DenseChannel::ScribbleOutside),
        ];
        for (label, channel) in kinds {
            let points: Vec<_> = clicks.points().iter().filter(|point| point.label == label).collect();
            if points.is_empty() {
                continue;
            }
            let mut values = match self.channel(channel) {
                Some(values) => values.to_vec(),
                None => vec![0.0; d * h * w],
            };
            for point in points {
                let near = |axis: usize, side: usize| {
                    let at = point.index[axis];
                    at.saturating_sub(1)..(at + 2).min(side)
                };
                for i in near(0, d) {
                    for j in near(1, h) {
                        for k in near(2, w) {
                            values[(i * h + j) * w + k] = 1.0;
                        }
                    }
                }
            }
            drawn.channels[channel as usize] = Some(values.into());
        }
        drawn
    }

    /// The values of `channel` in C order over (D, H, W); `None` if all are 0.
    pub fn channel(&self, channel: DenseChannel) -> Option<&[f32]> {
        self.channels[channel as usize].as_deref()
    }

    /// Whether every voxel of every channel is 0.
    pub fn is_empty(&self) -> bool {
        self.channels.iter().all(Option::is_none)
    }
}

/// The prompts of one crop: clicks, dense prompts or both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CropPrompt {
    /// Clicks in the crop's voxels.
    pub clicks: Option<Prompt>,
    /// Dense prompts on the crop's grid; for networks with `prompt.dense_prompts`.
    pub dense: DensePrompts,
}

impl CropPrompt {
    /// Checks the prompts of a crop of side `side`, which is number `sample` of its batch, for a network that does or does not
    /// accept dense prompts.
    pub(crate) fn check(&self, sample: usize, side: usize, accepts_dense: bool) -> Result<(), ModelError> {
        if let Some(clicks) = &self.clicks
            && clicks.extent().sizes() != [side; 3]
        {
            return Err(ModelError::PromptExtent { found: clicks.extent(), side });
        }
        if self.dense.is_empty() {
            return if self.clicks.is_some() { Ok(()) } else { Err(ModelError::PromptMissing { sample }) };
        }
        if !accepts_dense {
            return Err(ModelError::DensePromptsUnsupported);
        }
        for channel in DenseChannel::ALL {
            if let Some(values) = self.dense.channel(channel)
                && values.len() != side.pow(3)
            {
                return Err(ModelError::DenseSize { channel, found: values.len(), side });
            }
        }
        Ok(())
    }
}

impl From<Prompt> for CropPrompt {
    fn from(clicks: Prompt) -> Self {
        Self { clicks: Some(clicks), dense: DensePrompts::default() }
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Extent, Point};

    use super::*;

    #[test]
    fn a_channel_of_zeros_is_an_empty_one() {
        let dense = DensePrompts::default().with(DenseChannel::RegionInside, &[0.0; 8]).unwrap();
        assert_eq!(dense, DensePrompts::default());
        assert!(dense.is_empty());
        let dense =
            dense.with(DenseChannel::RegionInside, &[0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]).unwrap();
        assert!(!dense.is_empty() && dense.channel(DenseChannel::PreviousMask).is_none());
        assert_eq!(dense.channel(DenseChannel::RegionInside).unwrap()[3], 0.5);
        assert!(dense.with(DenseChannel::RegionInside, &[0.0; 8]).unwrap().is_empty());
    }

    #[test]
    fn clicks_are_drawn_as_cubes_into_the_scribbles_of_their_label() {
        let extent = Extent::new([5; 3]).unwrap();
        let points = vec![
            Point::positive([0, 2, 4]),
            Point { label: PointLabel::Negative, ..Point::positive([2, 2, 2]) },
        ];
        let stroke: Vec<f32> = (0..125).map(|i| f32::from(u8::from(i == 124))).collect();
        let dense = DensePrompts::default().with(DenseChannel::ScribbleInside, &stroke).unwrap();
        let drawn = dense.with_clicks(&Prompt::new(points, extent).unwrap());
        let ones = |channel| -> Vec<usize> {
            let values = drawn.channel(channel).unwrap();
            (0..values.len()).filter(|i| values[*i] == 1.0).collect()
        };
        let cube = |ranges: [std::ops::Range<usize>; 3]| {
            let [d, h, w] = ranges;
            let rows = d.flat_map(move |i| h.clone().map(move |j| (i * 5 + j) * 5));
            rows.flat_map(move |row| w.clone().map(move |k| row + k)).collect::<Vec<usize>>()
        };
        // Cut off at the border; the stroke stays.
        let inside = [cube([0..2, 1..4, 3..5]), vec![124]].concat();
        assert_eq!(ones(DenseChannel::ScribbleInside), inside);
        assert_eq!(ones(DenseChannel::ScribbleOutside), cube([1..4, 1..4, 1..4]));
        assert!(drawn.channel(DenseChannel::PreviousMask).is_none());
    }

    #[test]
    fn channels_are_numbered_in_the_network_s_order() {
        for (number, channel) in DenseChannel::ALL.into_iter().enumerate() {
            assert_eq!(channel as usize, number);
        }
    }

    #[test]
    fn values_are_from_0_to_1() {
        for value in [-0.1, 1.5, f32::NAN, f32::INFINITY] {
            let error =
                DensePrompts::default().with(DenseChannel::ScribbleOutside, &[0.0, value]).unwrap_err();
            assert!(error.to_string().contains("scribble outside"), "{error}");
        }
    }

    #[test]
    fn prompts_that_do_not_fit_are_refused() {
        let clicks =
            |side| Prompt::new(vec![Point::positive([1; 3])], Extent::new([side; 3]).unwrap()).unwrap();
        let dense =
            |count| DensePrompts::default().with(DenseChannel::PreviousMask, &vec![1.0; count]).unwrap();
        CropPrompt::from(clicks(2)).check(0, 2, false).unwrap();
        CropPrompt { clicks: None, dense: dense(8) }.check(0, 2, true).unwrap();
        let refused = |prompt: CropPrompt, accepts_dense| prompt.check(3, 2, accepts_dense).unwrap_err();
        let error = refused(CropPrompt::default(), true);
        assert!(matches!(error, ModelError::PromptMissing { sample: 3 }), "{error}");
        let error = refused(clicks(3).into(), true);
        assert!(matches!(error, ModelError::PromptExtent { side: 2, .. }), "{error}");
        let error = refused(CropPrompt { clicks: Some(clicks(2)), dense: dense(8) }, false);
        assert!(matches!(error, ModelError::DensePromptsUnsupported), "{error}");
        let error = refused(CropPrompt { clicks: Some(clicks(2)), dense: dense(7) }, true);
        assert!(matches!(error, ModelError::DenseSize { found: 7, side: 2, .. }), "{error}");
    }
}
