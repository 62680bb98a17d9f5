//! The DICOM JSON model: `{"0020000E": {"vr": "UI", "Value": ["1.2.3"]}}`.

use serde_json::{Map, Value};

use crate::Uid;

/// A data set, or an item of a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataSet<'a>(&'a Map<String, Value>);

impl<'a> DataSet<'a> {
    /// The data sets of an answer, which is an array of them or a single one; `None` if it is neither.
    pub(crate) fn all(answer: &'a Value) -> Option<Vec<Self>> {
        match answer {
            Value::Array(sets) => sets.iter().map(|set| set.as_object().map(Self)).collect(),
            Value::Object(set) => Some(vec![Self(set)]),
            _ => None,
        }
    }

    fn values(self, tag: &str) -> &'a [Value] {
        let values = self.0.get(tag).and_then(|attribute| attribute.get("Value")?.as_array());
        values.map_or(&[], Vec::as_slice)
    }

    /// Whether the attribute is there, with or without a value.
    pub(crate) fn has(self, tag: &str) -> bool {
        self.0.contains_key(tag)
    }

    /// The first value as text; of a person's name the alphabetic form.
    pub(crate) fn text(self, tag: &str) -> Option<String> {
        let value = self.values(tag).first()?;
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Object(name) => Some(name.get("Alphabetic")?.as_str()?.to_owned()),
            _ => None,
        }
    }

    /// The first value as a UID; `None` if it is not one.
    pub(crate) fn uid(self, tag: &str) -> Option<Uid> {
        self.text(tag)?.parse().ok()
    }

    /// The first value as a number, which may be sent as text.
    pub(crate) fn number(self, tag: &str) -> Option<u64> {
        let value = self.values(tag).first()?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// The items of a sequence.
    pub(crate) fn items(self, tag: &str) -> impl Iterator<Item = DataSet<'a>> {
        self.values(tag).iter().filter_map(|item| item.as_object().map(DataSet))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_every_form() {
        let answer = json!([{
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
            "0020000E": {"vr": "UI", "Value": ["1.2"]},
            "0020000D": {"vr": "UI", "Value": ["../2"]},
            "00201209": {"vr": "IS", "Value": ["47"]},
            "00200011": {"vr": "IS", "Value": [3]},
            "00081198": {"vr": "SQ"},
            "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.3"]}}]},
            "00080050": {"vr": "SH", "Value": [null]},
        }]);
        let set = DataSet::all(&answer).unwrap()[0];
        assert_eq!(set.text("00100010").unwrap(), "Doe^Jane");
        assert_eq!(set.uid("0020000E").unwrap().as_str(), "1.2");
        assert_eq!(set.uid("0020000D"), None);
        assert_eq!((set.number("00201209"), set.number("00200011")), (Some(47), Some(3)));
        assert_eq!(set.items("00081199").next().unwrap().uid("00081155").unwrap().as_str(), "1.3");
        assert!(set.has("00081198") && set.items("00081198").next().is_none() && !set.has("00081190"));
        assert_eq!(set.text("00080050"), None);
        assert!(DataSet::all(&json!("x")).is_none() && DataSet::all(&json!([1])).is_none());
    }
}
