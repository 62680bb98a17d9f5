//! The session log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Image, InferError, Prompt, Segmenter, TestTimeAugmentation, grow::GrowLimits};

/// Version of the format that is written for one network without augmentation.
const VERSION: u32 = 1;
/// The version that is written for several networks or with augmentation, and the newest that can be read.
const AVERAGED_VERSION: u32 = 2;

/// One step of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStep {
    /// Prompts given together; none for the prompt-free variant.
    pub prompts: Vec<Prompt>,
    /// Limits within which the mask was followed beyond the crop, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<GrowLimits>,
}

impl LogStep {
    /// The step of `prompts` in one crop.
    pub fn of(prompts: impl IntoIterator<Item = Prompt>) -> Self {
        Self { prompts: prompts.into_iter().collect(), grow: None }
    }
}

/// All prompts of a session in order, with the hashes of image and weights. Contains no patient data and no file names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLog {
    /// Version of the format.
    sam3d_session: u32,
    /// SHA-256 of the image, as [`Image::sha256`].
    image_sha256: String,
    /// Size of the image, `[i, j, k]`.
    shape_ijk: [usize; 3],
    /// SHA-256 of the weights' file, or of each of several.
    weights_sha256: WeightsHashes,
    #[serde(default, skip_serializing_if = "TestTimeAugmentation::is_none")]
    test_time_augmentation: TestTimeAugmentation,
    steps: Vec<LogStep>,
}

/// One hash, or several in the order of the networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum WeightsHashes {
    One(String),
    Several(Vec<String>),
}

impl WeightsHashes {
    fn of(hashes: &[String]) -> Self {
        match hashes {
            [one] => Self::One(one.clone()),
            several => Self::Several(several.to_owned()),
        }
    }
}

impl fmt::Display for WeightsHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(hash) => f.write_str(hash),
            Self::Several(hashes) => f.write_str(&hashes.join(" and ")),
        }
    }
}

impl SessionLog {
    /// The log of `steps` on `image`.
    ///
    /// # Errors
    /// [`InferError::Model`] if the file of the weights can no longer be read.
    pub(crate) fn new(image: &Image, segmenter: &Segmenter, steps: Vec<LogStep>) -> Result<Self, InferError> {
        let (hashes, augmentation) = (segmenter.weights_sha256()?, segmenter.augmentation());
        let is_averaged = hashes.len() > 1 || !augmentation.is_none();
        Ok(Self {
            sam3d_session: if is_averaged { AVERAGED_VERSION } else { VERSION },
            image_sha256: image.sha256().to_owned(),
            shape_ijk: image.grid().shape_ijk(),
            weights_sha256: WeightsHashes::of(hashes),
            test_time_augmentation: augmentation,
            steps,
        })
    }

    /// Reads a log.
    ///
    /// # Errors
    /// [`InferError::LogInvalid`] if the text is not a session log, or one of a newer version.
    pub fn from_json(text: &str) -> Result<Self, InferError> {
        #[derive(Deserialize)]
        struct Version {
            sam3d_session: u32,
        }
        let invalid = |error: serde_json::Error| InferError::LogInvalid { detail: error.to_string() };
        let Version { sam3d_session } = serde_json::from_str(text).map_err(invalid)?;
        if sam3d_session > AVERAGED_VERSION {
            let detail = format!(
                "version {sam3d_session}, expected at most {AVERAGED_VERSION}: written by a newer program"
            );
            return Err(InferError::LogInvalid { detail });
        }
        serde_json::from_str(text).map_err(invalid)
    }

    /// The log as indented JSON.
    ///
    /// # Errors
    /// [`InferError::LogInvalid`] if it cannot be written as JSON, which does not happen for the prompts of a session.
    pub fn to_json(&self) -> Result<String, InferError> {
        let text = serde_json::to_string_pretty(self);
        text.map_err(|error| InferError::LogInvalid { detail: error.to_string() })
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[LogStep] {
        &self.steps
    }

    /// Checks that image, weights and augmentation are those of the log.
    ///
    /// # Errors
    /// [`InferError::LogMismatch`] or [`InferError::LogAugmentation`] if they are not; [`InferError::Model`] if the file of the
    /// weights can no longer be read.
    pub fn check(&self, image: &Image, segmenter: &Segmenter) -> Result<(), InferError> {
        let weights = WeightsHashes::of(segmenter.weights_sha256()?).to_string();
        for (what, expected, found) in [
            ("an image", self.image_sha256.clone(), image.sha256().to_owned()),
            ("weights", self.weights_sha256.to_string(), weights),
        ] {
            if expected != found {
                return Err(InferError::LogMismatch { what, expected, found });
            }
        }
        let (expected, found) = (self.test_time_augmentation, segmenter.augmentation());
        if expected != found {
            return Err(InferError::LogAugmentation { expected, found });
        }
        Ok(())
    }
}
