//! Training crops: the published augmentation, and a loader that draws ahead.

use std::{
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyArray3};
use pyo3::{
    exceptions::{PyIndexError, PyRuntimeError},
    prelude::*,
    types::PyDict,
};
use sam3d_data::{
    augment::{AugmentConfig, CaseVoxels, training_sample},
    cache::VolumeCache,
    case_store::{CaseStore, Storage},
    crops::{CropJob, CropResult, Sampling},
    dataset::{Case, CaseId, PreparedDataset},
    loader::{Loader, LoaderConfig},
    prepared::PreparedCase,
    sampling::rng_for,
    splits::Part,
};
use sam3d_io::intensity;

use crate::{
    arguments::{intensities, mask, owned},
    errors::{exception, fault, invalid},
    parallel::{self, compute},
    preprocessing::{Preprocessing, from_json, to_json},
};

/// One crop with its prompt.
#[pyclass(frozen, get_all, module = "sam3d")]
pub(crate) struct Sample {
    /// The case it was drawn from.
    case: String,
    /// Normalised intensities, float32 [D, H, W].
    image: Py<PyArray3<f32>>,
    /// The target, 0 or 1, uint8 [D, H, W].
    label: Py<PyArray3<u8>>,
    /// The clicks: voxels of the crop, int64 [N, 3].
    points: Py<PyArray2<i64>>,
}

#[pymethods]
impl Sample {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shape = self.image.bind(py).getattr("shape")?.str()?;
        Ok(format!("Sample(case='{}', shape={shape})", self.case))
    }
}

impl Sample {
    fn of(py: Python<'_>, case: String, sample: sam3d_data::augment::Sample) -> Self {
        let sam3d_data::augment::Sample { image, label, points } = sample;
        let clicks = Array2::from_shape_fn([points.len(), 3], |(n, axis)| points[n][axis] as i64);
        Self {
            case,
            image: image.into_pyarray(py).unbind(),
            label: label.into_pyarray(py).unbind(),
            points: clicks.into_pyarray(py).unbind(),
        }
    }
}

/// The published augmentation as a dictionary, to be changed and passed on; in_plane for volumes of thick slices.
#[pyfunction]
#[pyo3(signature = (*, in_plane = false))]
pub(crate) fn published_augmentation(py: Python<'_>, in_plane: bool) -> PyResult<Bound<'_, PyAny>> {
    let text = serde_json::to_string(&AugmentConfig::published(in_plane));
    from_json(py, &text.map_err(exception)?)
}

fn augmentation(given: Option<&Bound<'_, PyDict>>, in_plane: bool) -> PyResult<AugmentConfig> {
    let Some(given) = given else { return Ok(AugmentConfig::published(in_plane)) };
    let config: AugmentConfig =
        serde_json::from_str(&to_json(given)?).map_err(|error| invalid(format!("augmentation: {error}")))?;
    config.validate().map_err(exception)?;
    Ok(config)
}

/// Draws one training sample of a prepared case in memory: image in HU and label (0 or 1), both [D, H, W] at the spacing of the
/// network. The result depends on seed, draw and the case's name alone.
#[pyfunction]
#[pyo3(signature = (image, label, preprocessing, *, augmentation = None, side = 128, seed = 0, draw = 0, case = "case"))]
#[expect(clippy::too_many_arguments, reason = "all but three are named in Python")]
pub(crate) fn augment<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    label: &Bound<'py, PyAny>,
    preprocessing: &Preprocessing,
    augmentation: Option<&Bound<'py, PyDict>>,
    side: usize,
    seed: u64,
    draw: u64,
    case: &str,
) -> PyResult<Sample> {
    let config = self::augmentation(augmentation, false)?;
    let (image, label) = (intensities("image", image)?, mask("label", label)?);
    let (image, label) = (image.view(), label.view());
    let bounds = preprocessing.0.intensity;
    let sample = compute(py, || {
        let mut image = owned(image);
        intensity::clip(&mut image, bounds);
        let label = owned(label).mapv(|value| u8::from(value != 0));
        let voxels = PreparedCase::new(image, label)?;
        let case_voxels = CaseVoxels { voxels: &voxels, intensity: bounds };
        training_sample(case_voxels, &config, side, &mut rng_for(seed, draw, case))
    })?;
    Ok(Sample::of(py, case.to_owned(), sample.map_err(exception)?))
}

/// Crops of cases, drawn by number: a crop is a function of the seed, the case and the number of the draw, whichever thread or
/// process draws it.
///
/// cases are (name, image, label): paths of files in any format. Volumes are prepared once and kept in memory up to memory_gb, or
/// in the directory cache up to cache_gb. augmentation is a dictionary as published_augmentation() returns it, which is also the default.
#[pyclass(frozen, module = "sam3d")]
pub(crate) struct Crops(Arc<sam3d_data::crops::Crops>);

#[pymethods]
impl Crops {
    #[new]
    #[pyo3(signature = (cases, preprocessing, *, target_class = 1, side = 128, augmentation = None, seed = 0, cache = None,
        cache_gb = 100.0, memory_gb = 4.0))]
    #[expect(clippy::too_many_arguments, reason = "all but two are named in Python")]
    fn new(
        cases: Vec<(String, PathBuf, PathBuf)>,
        preprocessing: &Preprocessing,
        target_class: u32,
        side: usize,
        augmentation: Option<&Bound<'_, PyDict>>,
        seed: u64,
        cache: Option<PathBuf>,
        cache_gb: f64,
        memory_gb: f64,
    ) -> PyResult<Self> {
        let case = |(id, image, label)| {
            let id = CaseId::new(id).map_err(exception)?;
            Ok(Case { id, image, label, label_on_image_voxels: false })
        };
        let cases: Vec<Case> = cases.into_iter().map(case).collect::<PyResult<_>>()?;
        let storage = storage(cache.as_deref(), cache_gb, memory_gb)?;
        let cases = CaseStore::new(cases, target_class, preprocessing.0, storage);
        Self::of(cases, self::augmentation(augmentation, false)?, side, seed)
    }

    /// The cases of one part ("train", "validation" or "test") of a directory that `sam3d prepare-data` wrote, with its
    /// preprocessing; other arguments as for Crops.
    #[staticmethod]
    #[pyo3(signature = (directory, part = "train", *, fold = 0, side = 128, augmentation = None, seed = 0, cache = None,
        cache_gb = 100.0, memory_gb = 4.0))]
    #[expect(clippy::too_many_arguments, reason = "all but two are named in Python")]
    fn of_prepared(
        directory: PathBuf,
        part: &str,
        fold: usize,
        side: usize,
        augmentation: Option<&Bound<'_, PyDict>>,
        seed: u64,
        cache: Option<PathBuf>,
        cache_gb: f64,
        memory_gb: f64,
    ) -> PyResult<Self> {
        let parts = [Part::Train, Part::Validation, Part::Test];
        let part = parts.into_iter().find(|known| known.name() == part).ok_or_else(|| {
            invalid(format!("part should be 'train', 'validation' or 'test', not {part:?}"))
        })?;
        let prepared = PreparedDataset::open(&directory).map_err(exception)?;
        let cases = prepared.part(fold, part).map_err(exception)?.into_iter().cloned().collect();
        let dataset = &prepared.dataset;
        let storage = storage(cache.as_deref(), cache_gb, memory_gb)?;
        let cases = CaseStore::new(cases, dataset.target_class, dataset.preprocessing, storage);
        Self::of(cases, self::augmentation(augmentation, dataset.in_plane_augmentation)?, side, seed)
    }

    /// Number of cases.
    fn __len__(&self) -> usize {
        self.0.cases.len()
    }

    /// The cases' names.
    #[getter]
    fn cases(&self) -> Vec<String> {
        (0..self.0.cases.len()).map(|case| self.0.cases.id(case).to_string()).collect()
    }

    /// How volumes are prepared.
    #[getter]
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing(*self.0.cases.preprocessing())
    }

    /// An iterator over the training samples of an epoch: per_case of each case, in an order of that epoch, drawn ahead by
    /// `workers` threads (0: when they are asked for; by default half of the cores). skip leaves out those that are done.
    #[pyo3(signature = (epoch = 0, *, per_case = 1, workers = None, skip = 0))]
    fn epoch(
        &self,
        epoch: u64,
        per_case: u64,
        workers: Option<usize>,
        skip: usize,
    ) -> PyResult<CropIterator> {
        let jobs = self.0.epoch(epoch, per_case);
        let config = workers.map_or_else(LoaderConfig::default, LoaderConfig::with_workers);
        let left = jobs.len().saturating_sub(skip);
        let (crops, pool) = (Arc::clone(&self.0), parallel::pool()?);
        let draw = move |job| pool.install(|| crops.training(job));
        let loader = Loader::new(jobs.into_iter().skip(skip), draw, config);
        let (loader, left) = (Mutex::new(loader), AtomicUsize::new(left));
        Ok(CropIterator { crops: Arc::clone(&self.0), loader, left, process: process::id() })
    }

    /// Training sample number `draw` of case number `case`.
    #[pyo3(signature = (case, draw = 0))]
    fn training(&self, py: Python<'_>, case: usize, draw: u64) -> PyResult<Sample> {
        self.check(case)?;
        sample(py, compute(py, || self.0.training(CropJob { case, draw, place: 0 }))?, &self.0)
    }

    /// The validation sample of case number `case`: centred on a target voxel, not augmented, the same at every call.
    fn validation(&self, py: Python<'_>, case: usize) -> PyResult<Sample> {
        self.check(case)?;
        sample(py, compute(py, || self.0.validation(case))?, &self.0)
    }

    fn __repr__(&self) -> String {
        format!("Crops({} cases)", self.0.cases.len())
    }
}

impl Crops {
    fn of(cases: CaseStore, augmentation: AugmentConfig, side: usize, seed: u64) -> PyResult<Self> {
        let sampling = Sampling::Clicks { augmentation, side };
        Ok(Self(Arc::new(sam3d_data::crops::Crops { cases, sampling, seed })))
    }

    fn check(&self, case: usize) -> PyResult<()> {
        let cases = self.0.cases.len();
        if case < cases {
            return Ok(());
        }
        Err(PyIndexError::new_err(format!(
            "there is no case number {case}: there are {cases}, counted from 0"
        )))
    }
}

fn storage(cache: Option<&Path>, cache_gb: f64, memory_gb: f64) -> PyResult<Storage> {
    // A negative number or NaN is no room, a huge one all there is.
    let bytes = |gb: f64| (gb * 1e9) as u64;
    let cache =
        cache.map(|directory| VolumeCache::open(directory, bytes(cache_gb)).map(Arc::new)).transpose();
    let memory_bytes = usize::try_from(bytes(memory_gb)).unwrap_or(usize::MAX);
    Ok(Storage { cache: cache.map_err(exception)?, memory_bytes })
}

fn sample(py: Python<'_>, drawn: CropResult, crops: &sam3d_data::crops::Crops) -> PyResult<Sample> {
    let drawn = drawn.map_err(exception)?;
    let case = crops.cases.id(drawn.job.case).to_string();
    Ok(Sample::of(py, case, drawn.sample))
}

/// An iterator over the samples of an epoch, in order.
#[pyclass(frozen, module = "sam3d")]
pub(crate) struct CropIterator {
    crops: Arc<sam3d_data::crops::Crops>,
    loader: Mutex<Loader<CropResult>>,
    left: AtomicUsize,
    process: u32,
}

#[pymethods]
impl CropIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Sample>> {
        if self.process != process::id() {
            return Err(PyRuntimeError::new_err(
                "this iterator's threads are in another process: call epoch() in the process that uses it",
            ));
        }
        let next = || self.loader.lock().unwrap_or_else(PoisonError::into_inner).next();
        let drawn = py.detach(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(next)));
        let Some(drawn) = drawn.map_err(|panic| fault(&*panic))? else { return Ok(None) };
        // Every result of the loader is one of those that were counted.
        self.left.fetch_sub(1, Ordering::Relaxed);
        sample(py, drawn, &self.crops).map(Some)
    }

    /// How many samples are left.
    fn __len__(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}
