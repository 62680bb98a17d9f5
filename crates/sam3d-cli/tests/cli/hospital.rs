//! Masks as DICOM objects: written beside the slices they belong to, described, and read back.

use serde_json::Value;

use crate::{
    dicom::write_series,
    segment::workplace,
    support::{failure_of, sam3d, stdout_of},
};

#[test]
fn a_mask_of_slices_is_stored_beside_them_and_read_back() {
    let place = workplace();
    let run = |line: &str| stdout_of(sam3d(place.path()).args(line.split(' ')));
    write_series(&place.path().join("ct"), "1.2.3", 6);
    let segment = "segment --weights weights.safetensors --image ct --point 3,2,2 --name GTV";
    let json: Value =
        serde_json::from_str(&run(&format!("{segment} --threshold 1e-9 --out all.nii.gz --json")))
            .unwrap_or_default();
    assert_eq!(json["voxels"], 6 * 6 * 8);
    assert_eq!(json["measurements"]["bounding_box"]["end_ijk"], serde_json::json!([8, 6, 6]));
    for (out, extra) in
        [("mask.dcm", ""), ("labels.dcm", " --label-map --type lesion"), ("gtv.rtstruct.dcm", "")]
    {
        run(&format!("{segment} --threshold 1e-9 --out {out}{extra}"));
        let text = run(&format!("metrics --truth {out} --pred all.nii.gz"));
        assert!(text.contains("dice                              1.0000"), "{out}: {text}");
    }
    let info = run("info mask.dcm");
    assert!(info.contains("DICOM segmentation (binary)") && info.contains("series 1.2.3"), "{info}");
    assert!(info.contains("segment      1 GTV: Neoplasm, semiautomatic, 6 frames"), "{info}");
    assert!(!info.contains("Sekret"), "{info}");
    let info = run("info labels.dcm");
    assert!(info.contains("(label map)") && info.contains("1 GTV: Mass"), "{info}");
    assert!(run("info gtv.rtstruct.dcm").contains("structure    1 GTV: 6 contours, 24 points"));

    let text = run("mask --seg mask.dcm --segment gtv --out again.nii.gz");
    assert!(text.contains("structure  GTV (6 frames)") && text.contains("(288 voxels)"), "{text}");
    let error =
        failure_of(sam3d(place.path()).args("mask --seg mask.dcm --segment 2 --out b.nii.gz".split(' ')), 1);
    assert!(error.contains("found no segment 2; there are: 1 GTV"), "{error}");
    let measured = run("measure mask.dcm --image ct");
    assert!(measured.contains("(288 voxels)") && measured.contains("HU"), "{measured}");
    let text = run(&format!("{segment} --threshold 1e-9 --truth mask.dcm --out c.nii.gz"));
    assert!(text.contains("dice         1.0000"), "{text}");
}

#[test]
fn an_object_needs_a_series_it_belongs_to() {
    let place = workplace();
    let line = "segment --weights weights.safetensors --image ct.nii.gz --point 7,12,8 --out mask.dcm";
    let error = failure_of(sam3d(place.path()).args(line.split(' ')), 1);
    assert!(error.contains("ct.nii.gz") && error.contains("belongs to a DICOM series"), "{error}");
    let line = "segment --weights weights.safetensors --image ct.nii.gz --point 7,12,8 --out mask.png";
    let error = failure_of(sam3d(place.path()).args(line.split(' ')), 1);
    assert!(error.contains(".nii.gz") && error.contains(".rtstruct.dcm"), "{error}");
}
