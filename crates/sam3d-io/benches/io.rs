//! Reading, resampling and cropping one small CT: 96 x 192 x 192 voxels, generated.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot get its input has failed")]

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use ndarray::Array3;
use sam3d_geom::{Affine, Extent, Orientation};
use sam3d_io::{
    Grid,
    atomic::Overwrite,
    crop::CropWindow,
    dicom,
    nifti::{self, ReadLimits},
    orient::AxisMap,
    resample,
};
use sam3d_testkit::by_name;

const SHAPE_IJK: [usize; 3] = [192, 192, 96];

/// Patient to the left, posterior and superior, 0.8 x 0.8 x 2.5 mm.
fn grid(sign: f64) -> Grid {
    let rows = [[-0.8 * sign, 0.0, 0.0, 80.0], [0.0, -0.8 * sign, 0.0, 80.0], [0.0, 0.0, 2.5, -100.0]];
    Grid::from_affine(SHAPE_IJK, Affine::new(rows).unwrap()).unwrap()
}

/// Smooth tissue with noise in the low bits, which compresses about as a CT does.
fn image() -> Array3<i16> {
    let [i, j, k] = SHAPE_IJK;
    let mut noise = by_name("benches.io.noise", i * j * k).into_iter().map(|u| (8.0 * u) as i16);
    Array3::from_shape_fn([k, j, i], |(k, j, i)| {
        let noise = noise.next().unwrap();
        (100.0 * ((i as f64) / 20.0).sin() * ((j as f64) / 30.0).cos() + k as f64) as i16 + noise
    })
}

fn read(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let mut group = criterion.benchmark_group("nifti_read");
    group.sample_size(20).throughput(Throughput::Bytes(2 * image.len() as u64));
    for name in ["ct.nii", "ct.nii.gz"] {
        let path = directory.path().join(name);
        nifti::write(&path, image.view(), &grid(1.0), Overwrite::Refuse).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| nifti::read(black_box(&path), ReadLimits::default()).unwrap());
        });
    }
    group.finish();
}

/// The same CT as a series of slices.
fn write_series(directory: &Path, image: &Array3<i16>) {
    let [columns, rows, _] = SHAPE_IJK;
    for (k, plane) in image.outer_iter().enumerate() {
        let mut object = InMemDicomObject::new_empty();
        let mut text = |tag, vr, value: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        text(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
        text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3");
        text(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-80\\-80\\{}", 2.5 * k as f64));
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
        text(tags::PIXEL_SPACING, VR::DS, "0.8\\0.8");
        let numbers = [
            (tags::ROWS, rows as u16),
            (tags::COLUMNS, columns as u16),
            (tags::BITS_ALLOCATED, 16),
            (tags::PIXEL_REPRESENTATION, 1),
        ];
        for (tag, value) in numbers {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        let pixels = plane.iter().map(|value| value.cast_unsigned()).collect();
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels)));
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        object.with_meta(meta).unwrap().write_to_file(directory.join(format!("{k}"))).unwrap();
    }
}

fn read_dicom(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    write_series(directory.path(), &image);
    let mut group = criterion.benchmark_group("dicom_read");
    group.sample_size(20).throughput(Throughput::Bytes(2 * image.len() as u64));
    group.bench_function("series", |bencher| {
        bencher.iter(|| dicom::read(black_box(directory.path()), None, ReadLimits::default()).unwrap());
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mask = image().mapv(|value| u8::from(value > 120));
    let mut group = criterion.benchmark_group("nifti_write");
    group.sample_size(20).throughput(Throughput::Bytes(mask.len() as u64));
    let path = directory.path().join("mask.nii.gz");
    group.bench_function("mask.nii.gz", |bencher| {
        bencher.iter(|| nifti::write(&path, mask.view(), &grid(1.0), Overwrite::Replace).unwrap());
    });
    group.finish();
}

fn geometry(criterion: &mut Criterion) {
    let image = image().mapv(f32::from);
    let factors = [2.5, 0.8, 0.8];
    let resampled = resample::to_spacing(image.view(), factors).unwrap();
    let mut group = criterion.benchmark_group("geometry");
    group.sample_size(20).throughput(Throughput::Elements(resampled.len() as u64));
    group.bench_function("resample_to_spacing", |bencher| {
        bencher.iter(|| resample::to_spacing(black_box(image.view()), factors).unwrap());
    });
    let native = Extent::new(image.dim().into()).unwrap();
    group.bench_function("resample_to_shape", |bencher| {
        bencher.iter(|| resample::to_shape(black_box(resampled.view()), native).unwrap());
    });
    group.throughput(Throughput::Elements(image.len() as u64));
    let flipped = AxisMap::new(&grid(-1.0), Orientation::Lps);
    group.bench_function("orient_flipped", |bencher| {
        bencher.iter(|| flipped.to_dhw(black_box(image.view())).unwrap());
    });
    group.throughput(Throughput::Elements(128 * 128 * 128));
    group.bench_function("crop_128", |bencher| {
        let window = CropWindow::around([120, 20, 70], 128);
        bencher.iter(|| window.extract(black_box(resampled.view()), 0.0));
    });
    group.finish();
}

criterion_group!(benches, read, read_dicom, write, geometry);
criterion_main!(benches);
