//! The session log.

use serde::{Deserialize, Serialize};

use crate::{Image, InferError, Prompt, grow::GrowLimits};

/// Version of the format that is written, and the newest that can be read.
const VERSION: u32 = 1;

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
    /// SHA-256 of the weights' file.
    weights_sha256: String,
    steps: Vec<LogStep>,
}

impl SessionLog {
    /// The log of `steps` on `image`.
    pub(crate) fn new(image: &Image, weights_sha256: &str, steps: Vec<LogStep>) -> Self {
        Self {
            sam3d_session: VERSION,
            image_sha256: image.sha256().to_owned(),
            shape_ijk: image.grid().shape_ijk(),
            weights_sha256: weights_sha256.to_owned(),
            steps,
        }
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
        if sam3d_session > VERSION {
            let detail =
                format!("version {sam3d_session}, expected at most {VERSION}: written by a newer program");
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

    /// Checks that image and weights are those of the log.
    ///
    /// # Errors
    /// [`InferError::LogMismatch`] if they are not.
    pub fn check(&self, image: &Image, weights_sha256: &str) -> Result<(), InferError> {
        for (what, expected, found) in [
            ("an image", &self.image_sha256, image.sha256()),
            ("weights", &self.weights_sha256, weights_sha256),
        ] {
            if expected != found {
                let (expected, found) = (expected.clone(), found.to_owned());
                return Err(InferError::LogMismatch { what, expected, found });
            }
        }
        Ok(())
    }
}
