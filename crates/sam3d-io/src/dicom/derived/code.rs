//! Coded concepts: what a segment is.

use std::str::FromStr;

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::encode::DataSet;

/// A coded concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    value: String,
    scheme: String,
    meaning: String,
}

impl Code {
    fn of([value, scheme, meaning]: [&str; 3]) -> Self {
        Self { value: value.to_owned(), scheme: scheme.to_owned(), meaning: meaning.to_owned() }
    }

    /// The code itself.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The scheme it is a code of, for example `SCT` (SNOMED CT) or `DCM`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What it means, in words.
    pub fn meaning(&self) -> &str {
        &self.meaning
    }

    pub(super) fn item(&self) -> DataSet {
        let mut item = DataSet::default();
        item.text(tags::CODE_VALUE, VR::SH, &self.value);
        item.text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &self.scheme);
        item.text(tags::CODE_MEANING, VR::LO, &self.meaning);
        item
    }
}

pub(super) const BACKGROUND: [&str; 3] = ["125040", "DCM", "Background"];
pub(super) const ARTIFICIAL_INTELLIGENCE: [&str; 3] = ["123110", "DCM", "Artificial Intelligence"];
pub(super) const SEGMENTATION: [&str; 3] = ["113076", "DCM", "Segmentation"];
pub(super) const SOURCE_IMAGE: [&str; 3] = ["121322", "DCM", "Source image for image processing operation"];
const ABNORMAL: [&str; 3] = ["49755003", "SCT", "Morphologically Abnormal Structure"];
const NEOPLASM: [&str; 3] = ["108369006", "SCT", "Neoplasm"];
const MASS: [&str; 3] = ["4147007", "SCT", "Mass"];
const ANATOMICAL: [&str; 3] = ["123037004", "SCT", "Anatomical Structure"];

pub(super) fn item_of(code: [&str; 3]) -> DataSet {
    Code::of(code).item()
}

/// What a segment is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SegmentKind {
    /// A tumour (neoplasm).
    #[default]
    Tumour,
    /// A lesion of unknown nature (mass).
    Lesion,
    /// An organ or tissue.
    Anatomy(Code),
}

impl SegmentKind {
    pub(super) fn category(&self) -> Code {
        Code::of(match self {
            Self::Tumour | Self::Lesion => ABNORMAL,
            Self::Anatomy(_) => ANATOMICAL,
        })
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Tumour => Code::of(NEOPLASM),
            Self::Lesion => Code::of(MASS),
            Self::Anatomy(code) => code.clone(),
        }
    }

    /// What a structure of this kind is in radiotherapy; empty if that is not known.
    pub(super) fn interpreted_type(&self) -> &'static str {
        match self {
            Self::Tumour => "GTV",
            Self::Lesion | Self::Anatomy(_) => "",
        }
    }
}

impl FromStr for SegmentKind {
    type Err = String;

    /// `tumour`, `lesion`, or the code of an organ or tissue as `VALUE:SCHEME:MEANING`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected tumour, lesion, or a code VALUE:SCHEME:MEANING such as 10200004:SCT:Liver".to_owned()
        };
        match text {
            "tumour" | "tumor" => return Ok(Self::Tumour),
            "lesion" => return Ok(Self::Lesion),
            _ => {}
        }
        let parts: Vec<&str> = text.splitn(3, ':').map(str::trim).collect();
        let [value, scheme, meaning] = *parts else { return Err(expected()) };
        let short = |part: &str| {
            !part.is_empty() && part.len() <= 16 && part.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_sound = |part: &str| {
            !part.is_empty()
                && part.chars().count() <= 64
                && !part.contains('\\')
                && !part.contains(char::is_control)
        };
        if short(value)
            && short(scheme)
            && !value.contains('\\')
            && !scheme.contains('\\')
            && is_sound(meaning)
        {
            Ok(Self::Anatomy(Code::of([value, scheme, meaning])))
        } else {
            Err(expected())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_name_and_code() {
        assert_eq!("tumour".parse(), Ok(SegmentKind::Tumour));
        assert_eq!("lesion".parse(), Ok(SegmentKind::Lesion));
        let Ok(SegmentKind::Anatomy(liver)) = "10200004:SCT:Liver".parse() else { panic!("a code") };
        assert_eq!([liver.value(), liver.scheme(), liver.meaning()], ["10200004", "SCT", "Liver"]);
        for bad in
            ["", "liver", "1:2", "1::Liver", "a b:SCT:Liver", "12345678901234567:SCT:Liver", "1:SCT:a\\b"]
        {
            assert!(bad.parse::<SegmentKind>().is_err(), "{bad}");
        }
    }
}
