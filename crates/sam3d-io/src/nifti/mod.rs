//! NIfTI-1 and NIfTI-2: reading (`.nii`, `.nii.gz`, `.hdr` with `.img`) and writing (NIfTI-1 `.nii`, `.nii.gz`).
