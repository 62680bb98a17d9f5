//! Which volumes are labels of others, by the names that data sets give them.

/// Words that say that a volume is a label.
const LABEL: [&str; 11] = [
    "label",
    "labels",
    "labelmap",
    "seg",
    "segmentation",
    "mask",
    "masks",
    "truth",
    "gt",
    "groundtruth",
    "annotation",
];
/// Words that say that a volume is an image.
const IMAGE: [&str; 6] = ["image", "images", "img", "ct", "scan", "volume"];

/// The words of a name.
fn words(stem: &str) -> Vec<String> {
    let words = stem.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

/// What is left of a name without its first or last word, if that is one of `known`.
fn without(mut words: Vec<String>, known: &[&str]) -> Option<Vec<String>> {
    let is_known = |word: Option<&String>| word.is_some_and(|word| known.contains(&word.as_str()));
    if is_known(words.last()) {
        words.pop();
    } else if is_known(words.first()) {
        words.remove(0);
    } else {
        return None;
    }
    Some(words)
}

/// Whether the volume `stem` is the label of one of `others` in its directory: `label` beside `image`, `case_7_seg` beside
/// `case_7` or `case_7_ct`, `mask-7` beside `7`. A label without its image is a volume as any other.
pub(crate) fn is_label<'a>(stem: &str, mut others: impl Iterator<Item = &'a str>) -> bool {
    let Some(case) = without(words(stem), &LABEL) else { return false };
    others.any(|other| {
        let other = words(other);
        let plain = without(other.clone(), &IMAGE);
        without(other.clone(), &LABEL).is_none()
            && (other == case || plain.is_some_and(|plain| plain == case))
    })
}

/// Whether the directory `name` has the labels of another one of `beside`: `labelsTr` beside `imagesTr`, `masks` beside
/// `images`.
pub(crate) fn is_of_labels<'a>(name: &str, mut beside: impl Iterator<Item = &'a str>) -> bool {
    let name = name.to_ascii_lowercase();
    let kinds = ["labels", "masks", "segmentations", "annotations"];
    let Some(set) = kinds.iter().find_map(|kind| name.strip_prefix(kind)) else { return false };
    beside.any(|other| other.to_ascii_lowercase().strip_prefix("images") == Some(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beside_their_images_are_told_apart() {
        for (label, image) in [
            ("label", "image"),
            ("label", "ct"),
            ("case_7_seg", "case_7"),
            ("case_7_seg", "case_7_ct"),
            ("Case-7-Segmentation", "case_7"),
            ("mask-7", "img-7"),
            ("lung2_label", "lung2_image"),
            ("ct.seg", "ct"),
        ] {
            assert!(is_label(label, [image].into_iter()), "{label} beside {image}");
            assert!(!is_label(image, [label].into_iter()), "{image} beside {label}");
            assert!(!is_label(label, [].into_iter()) && !is_label(label, ["other_1"].into_iter()), "{label}");
        }
        // A label is no image of another label, and words count as wholes.
        assert!(!is_label("case_seg", ["case_mask"].into_iter()));
        assert!(!is_label("relabel", ["re"].into_iter()) && !is_label("masked_ct", ["ct"].into_iter()));
    }

    #[test]
    fn directories_of_labels_lie_beside_those_of_images() {
        assert!(is_of_labels("labelsTr", ["imagesTr"].into_iter()));
        assert!(is_of_labels("masks", ["images"].into_iter()));
        for (name, beside) in [("labelsTr", "imagesTs"), ("labels", "ct"), ("imagesTr", "labelsTr")] {
            assert!(!is_of_labels(name, [beside].into_iter()), "{name} {beside}");
        }
    }
}
