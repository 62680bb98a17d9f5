//! The parameters of a request to infer, in the forms in which viewers send them.

use sam3d_geom::PointLabel;
use serde_json::{Map, Value};

use crate::{
    mask_file::{MaskFormat, MaskType},
    prompts::Click,
    refusal::Refusal,
};

const BACKGROUND: &str = "background";
const FOREGROUND: &str = "foreground";

/// What a viewer asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Params {
    pub(super) clicks: Vec<Click>,
    /// Smallest and largest voxel `[i, j, k]` of the mask, both in it.
    pub(super) roi: Option<[[i64; 3]; 2]>,
    pub(super) threshold: f64,
    pub(super) format: MaskFormat,
    pub(super) value_type: MaskType,
    /// What the viewer calls the object.
    pub(super) label: Option<String>,
}

impl Params {
    /// Reads the JSON object `text`; `target` is the label of the network. Unknown keys are the viewer's own affair.
    ///
    /// Clicks stand under `foreground` and `background` (deepgrow), or under each label's name and `background`
    /// (deepedit).
    pub(super) fn parse(text: &str, target: &str) -> Result<Self, Refusal> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let params: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Refusal::bad_request(format!("params is no JSON object: {error}")))?;
        let mut clicks = Vec::new();
        let mut add = |key: &str, label| {
            let Some(value) = params.get(key) else { return Ok(()) };
            clicks.extend(triples(key, value)?.into_iter().map(|ijk| Click { ijk, label }));
            Ok::<(), Refusal>(())
        };
        add(FOREGROUND, PointLabel::Positive)?;
        add(target, PointLabel::Positive)?;
        add(BACKGROUND, PointLabel::Negative)?;
        let word = |key: &str| params.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        Ok(Self {
            clicks,
            roi: params.get("roi").map(roi).transpose()?.flatten(),
            threshold: threshold(params.get("threshold"))?,
            format: word("result_extension").map_or(Ok(MaskFormat::NiftiGz), format)?,
            value_type: word("result_dtype").map_or(Ok(MaskType::default()), value_type)?,
            label: word("label").map(str::to_owned),
        })
    }
}

fn triples(key: &str, value: &Value) -> Result<Vec<[f64; 3]>, Refusal> {
    let refused = || Refusal::bad_request(format!("params: {key} is no list of voxels [i, j, k]"));
    // Older clients send the list as text.
    let parsed: Value = match value {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) if text.is_empty() => return Ok(Vec::new()),
        Value::String(text) => serde_json::from_str(text).map_err(|_| refused())?,
        other => other.clone(),
    };
    serde_json::from_value(parsed).map_err(|_| refused())
}

/// Pairs of bounds along i, j and k, either of which may come first.
fn roi(value: &Value) -> Result<Option<[[i64; 3]; 2]>, Refusal> {
    let refused =
        || Refusal::bad_request("params: roi is no list of six voxel indices [i1, i2, j1, j2, k1, k2]");
    if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let bounds: [f64; 6] = serde_json::from_value(value.clone()).map_err(|_| refused())?;
    let pair = |axis: usize| [bounds[2 * axis].round() as i64, bounds[2 * axis + 1].round() as i64];
    let low = std::array::from_fn(|axis| pair(axis)[0].min(pair(axis)[1]));
    let high = std::array::from_fn(|axis| pair(axis)[0].max(pair(axis)[1]));
    Ok(Some([low, high]))
}

fn threshold(value: Option<&Value>) -> Result<f64, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(0.5),
        Some(value) => {
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            number.filter(|number| *number > 0.0 && *number < 1.0).ok_or_else(|| {
                Refusal::bad_request(format!("params: threshold {value}: expected a number between 0 and 1"))
            })
        }
    }
}

fn format(ending: &str) -> Result<MaskFormat, Refusal> {
    MaskFormat::of_ending(ending).ok_or_else(|| {
        Refusal::bad_request(format!(
            "params: result_extension {ending}: expected .nii.gz, .nii, .nrrd or .seg.nrrd"
        ))
    })
}

fn value_type(name: &str) -> Result<MaskType, Refusal> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|_| {
        Refusal::bad_request(format!("params: result_dtype {name}: expected uint8, uint16, int16 or float32"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Params, String> {
        Params::parse(text, "tumour").map_err(|refusal| refusal.detail)
    }

    fn click(ijk: [f64; 3], label: PointLabel) -> Click {
        Click { ijk, label }
    }

    #[test]
    fn both_forms_of_clicks() {
        let positive = click([1.0, 2.0, 3.0], PointLabel::Positive);
        let negative = click([4.0, 5.0, 6.0], PointLabel::Negative);
        let deepgrow =
            parse(r#"{"foreground": [[1,2,3]], "background": [], "label": "left", "client_id": "x"}"#)
                .unwrap();
        assert_eq!((deepgrow.clicks, deepgrow.label.as_deref()), (vec![positive], Some("left")));
        let deepedit =
            parse(r#"{"tumour": [[1,2,3]], "background": [[4,5,6]], "other": [[7,8,9]]}"#).unwrap();
        assert_eq!(deepedit.clicks, [positive, negative]);
        let as_text = parse(r#"{"foreground": "[[1, 2, 3]]", "background": ""}"#).unwrap();
        assert_eq!(as_text.clicks, [positive]);
        assert_eq!(parse("").unwrap().clicks, []);
    }

    #[test]
    fn formats_types_and_bounds() {
        let params = parse(
            r#"{"roi": [9, 2, 3, 4, 8, -1], "result_extension": ".nrrd", "result_dtype": "uint16", "threshold": "0.25"}"#,
        )
        .unwrap();
        assert_eq!(params.roi, Some([[2, 3, -1], [9, 4, 8]]));
        assert_eq!(
            (params.format, params.value_type, params.threshold),
            (MaskFormat::Nrrd, MaskType::Uint16, 0.25)
        );
        let plain = parse(r#"{"roi": []}"#).unwrap();
        assert_eq!((plain.roi, plain.format, plain.value_type), (None, MaskFormat::NiftiGz, MaskType::Uint8));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("[1]", "JSON"),
            ("{", "JSON"),
            (r#"{"foreground": [[1, 2]]}"#, "foreground"),
            (r#"{"foreground": 7}"#, "foreground"),
            (r#"{"background": "x"}"#, "background"),
            (r#"{"roi": [1, 2, 3]}"#, "roi"),
            (r#"{"threshold": 1}"#, "threshold"),
            (r#"{"result_extension": ".png"}"#, ".png"),
            (r#"{"result_dtype": "complex64"}"#, "complex64"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
