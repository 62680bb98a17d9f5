//! A network with its preprocessing.

use std::{path::PathBuf, sync::Arc};

use pyo3::{exceptions::PyTypeError, prelude::*, types::PyDict};
use sam3d_infer::{Accepts, BUILT_IN, Image, InferError, SegmenterOptions, TestTimeAugmentation, Weights};
use tch::{Cuda, Device};

use crate::{
    errors::invalid, preprocessing::Preprocessing, session::Session, volume::Volume, worker::Worker,
};

/// A network, or several that are averaged, ready for prompts.
///
/// weights is the path of a checkpoint, the name of built-in weights (the first of them by default), or a list of such. device is
/// "cpu", "cuda", "cuda:1" and so on. base is the file with what a checkpoint leaves out; preprocessing replaces the
/// checkpoint's; test_time_augmentation is "none" or "flips". With embedding_mb the encoder's results are kept for
/// all sessions. threads is the number of libtorch's threads.
///
/// It may be used from any thread, one call at a time: calls wait for each other, and Python goes on meanwhile.
#[pyclass(frozen, module = "sam3d")]
pub(crate) struct Segmenter {
    worker: Arc<Worker>,
    known: Known,
}

/// What is known once it is open.
struct Known {
    accepts: Accepts,
    preprocessing: sam3d_geom::Preprocessing,
    crop: usize,
    weights: Vec<String>,
}

#[pymethods]
impl Segmenter {
    #[new]
    #[pyo3(signature = (weights = None, *, device = "cpu", base = None, preprocessing = None, test_time_augmentation = "none",
        embedding_mb = 0, threads = None))]
    #[expect(clippy::too_many_arguments, reason = "all but one are named in Python")]
    fn new(
        py: Python<'_>,
        weights: Option<&Bound<'_, PyAny>>,
        device: &str,
        base: Option<PathBuf>,
        preprocessing: Option<&Preprocessing>,
        test_time_augmentation: &str,
        embedding_mb: usize,
        threads: Option<u16>,
    ) -> PyResult<Self> {
        let weights = chosen(weights)?;
        let augmentation = TestTimeAugmentation::ALL.into_iter().find(|a| a.name() == test_time_augmentation);
        let options = SegmenterOptions {
            base,
            preprocessing: preprocessing.map(|preprocessing| preprocessing.0),
            device: self::device(py, device)?,
            augmentation: augmentation.ok_or_else(|| {
                invalid(format!(
                    "test_time_augmentation should be 'none' or 'flips', not {test_time_augmentation:?}"
                ))
            })?,
            embedding_bytes: embedding_mb.saturating_mul(1_000_000),
            ..SegmenterOptions::default()
        };
        if threads == Some(0) {
            return Err(invalid("threads should be 1 or more"));
        }
        let (worker, known) = Worker::start(py, move || {
            if let Some(threads) = threads {
                tch::set_num_threads(threads.into());
            }
            let segmenter = sam3d_infer::Segmenter::open_all(&weights, &options)?;
            let known = Known {
                accepts: segmenter.accepts(),
                preprocessing: *segmenter.preprocessing(),
                crop: segmenter.network().config().crop,
                weights: weights.iter().map(ToString::to_string).collect(),
            };
            Ok((segmenter, known))
        })?;
        Ok(Self { worker: Arc::new(worker), known })
    }

    /// Which prompts the weights understand: "clicks", "negative_clicks" and "shapes" (boxes, scribbles, lassos, initial masks),
    /// each True or False.
    #[getter]
    fn accepts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accepts = PyDict::new(py);
        accepts.set_item("clicks", self.known.accepts.clicks)?;
        accepts.set_item("negative_clicks", self.known.accepts.negative_clicks)?;
        accepts.set_item("shapes", self.known.accepts.shapes)?;
        Ok(accepts)
    }

    /// How a volume becomes the network's input.
    #[getter]
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing(self.known.preprocessing)
    }

    /// Side of the crop that the network sees, in resampled voxels.
    #[getter]
    fn crop(&self) -> usize {
        self.known.crop
    }

    /// Names or paths of the weights.
    #[getter]
    fn weights(&self) -> Vec<String> {
        self.known.weights.clone()
    }

    /// SHA-256 of each of the weights' files, as session logs have them.
    fn weights_sha256(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.worker.call(py, |owned| owned.segmenter.weights_sha256().map(<[String]>::to_vec))
    }

    /// A session on one object in `volume`, whose voxels are copied.
    fn session(&self, py: Python<'_>, volume: &Volume) -> PyResult<Session> {
        let volume = volume.copy(py)?;
        let number = self.worker.new_session();
        let shape = volume.grid.shape_ijk();
        self.worker.call(py, move |owned| {
            let image = Image::new(volume, owned.segmenter.preprocessing())?.compact();
            owned.sessions.insert(number, owned.segmenter.session_on(Arc::new(image)));
            Ok(())
        })?;
        Ok(Session::new(Arc::clone(&self.worker), number, shape))
    }

    fn __repr__(&self) -> String {
        format!("Segmenter({}: accepts {})", self.known.weights.join(", "), self.known.accepts)
    }
}

/// Names of the weights that are part of the package, the default first.
#[pyfunction]
pub(crate) fn built_in_weights() -> Vec<&'static str> {
    BUILT_IN.iter().map(|weights| weights.name).collect()
}

/// The weights of a call.
fn chosen(given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Weights>> {
    let Some(given) = given else {
        let default = Weights::built_in_default().ok_or(InferError::Internal("a package without weights"));
        return Ok(vec![default.map_err(crate::errors::exception)?]);
    };
    if let Ok(one) = given.extract::<PathBuf>() {
        return Ok(vec![named_or_file(one)]);
    }
    let several: Vec<PathBuf> = given.extract().map_err(|_| {
        PyTypeError::new_err("weights should be a path, the name of built-in weights, or a list of these")
    })?;
    if several.is_empty() {
        return Err(invalid("weights should name at least one checkpoint"));
    }
    Ok(several.into_iter().map(named_or_file).collect())
}

fn named_or_file(path: PathBuf) -> Weights {
    path.to_str().and_then(Weights::built_in).unwrap_or(Weights::File(path))
}

/// The device of this name, which must be there.
fn device(py: Python<'_>, name: &str) -> PyResult<Device> {
    let index = match name.split_once(':') {
        _ if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => Some(0),
        Some(("cuda", index)) => index.parse().ok(),
        _ => None,
    };
    let index: usize =
        index.ok_or_else(|| invalid(format!("device should be 'cpu', 'cuda' or 'cuda:0', not {name:?}")))?;
    // libtorch finds CUDA once the library for it is loaded, which no symbol of this module asks for.
    py.import("sam3d._libtorch")?.call_method0("load_cuda")?;
    let found = if Cuda::is_available() { Cuda::device_count() } else { 0 };
    if usize::try_from(found).is_ok_and(|found| index < found) {
        return Ok(Device::Cuda(index));
    }
    Err(invalid(format!("device {name}: libtorch finds {found} CUDA devices; use 'cpu'")))
}
