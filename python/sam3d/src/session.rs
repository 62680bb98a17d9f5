//! The work on one object in one volume.

use std::{path::PathBuf, sync::Arc};

use ndarray::Array3;
use numpy::{IntoPyArray, PyArray3};
use pyo3::{prelude::*, types::PyTuple};
use sam3d_infer::{LogStep, SessionLog, grow::GrowLimits};
use sam3d_io::atomic::{self, Overwrite};

use crate::{errors::exception, prompts::Prompt, worker::Worker};

/// (k, j, i).
type Voxel = (usize, usize, usize);

/// What a step of a session did.
#[pyclass(frozen, get_all, eq, module = "sam3d")]
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    /// The box outside of which the mask is unchanged: its first voxel and one past the last, (k, j, i); None if nothing changed.
    region: Option<(Voxel, Voxel)>,
    /// How many prompts, of all steps, lie outside the crop and are not used in it.
    outside: usize,
    /// How many crops the network processed.
    crops: usize,
    /// How many clicks of this step the network alone would have contradicted.
    held: usize,
    /// Whether the mask reaches the border of the crops.
    is_cut_off: bool,
    /// Seconds of the encoder; None if its result was known.
    encoding_seconds: Option<f64>,
    /// Seconds of everything else in the network.
    decoding_seconds: f64,
}

#[pymethods]
impl Change {
    fn __repr__(&self) -> String {
        let Self { crops, is_cut_off, .. } = self;
        let region = self.region.map_or("None".to_owned(), |(low, high)| format!("({low:?}, {high:?})"));
        let is_cut_off = if *is_cut_off { "True" } else { "False" };
        format!("Change(region={region}, crops={crops}, is_cut_off={is_cut_off})")
    }
}

impl From<sam3d_infer::Change> for Change {
    fn from(change: sam3d_infer::Change) -> Self {
        Self {
            region: change.region.map(|[low, high]| (low.into(), high.into())),
            outside: change.outside,
            crops: change.crops,
            held: change.held,
            is_cut_off: change.is_cut_off,
            encoding_seconds: change.encoding.map(|time| time.as_secs_f64()),
            decoding_seconds: change.decoding.as_secs_f64(),
        }
    }
}

/// One object in one volume: prompts are added one after another, undone and redone; the mask lies in the file's own grid.
///
/// Made by Segmenter.session. Voxels are (i, j, k) of the file as stored, counted from 0; arrays are [k, j, i], so that the voxel
/// (i, j, k) is array[k, j, i]. A step that fails leaves the session unchanged.
#[pyclass(frozen, module = "sam3d")]
pub(crate) struct Session {
    worker: Arc<Worker>,
    number: u64,
    shape_ijk: [usize; 3],
}

#[pymethods]
impl Session {
    /// Adds prompts given together as one step: the first crop is centred on their middle. Weights without prompts take none.
    ///
    /// With max_crops above 1 the mask is followed beyond the crop; threshold is the probability above which a voxel belongs to it.
    #[pyo3(signature = (*prompts, max_crops = 1, threshold = 0.5))]
    fn add(
        &self,
        py: Python<'_>,
        prompts: &Bound<'_, PyTuple>,
        max_crops: usize,
        threshold: f64,
    ) -> PyResult<Change> {
        let prompts = prompts
            .iter()
            .map(|prompt| Ok(prompt.cast::<Prompt>().map_err(PyErr::from)?.get().0.clone()))
            .collect::<PyResult<_>>()?;
        let limits = GrowLimits { crops: max_crops.max(1), threshold };
        self.step(py, LogStep { prompts, grow: (limits != GrowLimits::ONE_CROP).then_some(limits) })
    }

    /// Adds a click.
    #[pyo3(signature = (voxel_ijk, *, positive = true))]
    fn click(&self, py: Python<'_>, voxel_ijk: [i64; 3], positive: bool) -> PyResult<Change> {
        self.step(py, LogStep::of([Prompt::click(voxel_ijk, positive)?.0]))
    }

    /// Adds a box with its first and last voxel.
    #[pyo3(signature = (first_ijk, last_ijk, *, positive = true))]
    fn r#box(
        &self,
        py: Python<'_>,
        first_ijk: [i64; 3],
        last_ijk: [i64; 3],
        positive: bool,
    ) -> PyResult<Change> {
        self.step(py, LogStep::of([Prompt::r#box(first_ijk, last_ijk, positive)?.0]))
    }

    /// Adds a stroke through voxels of one slice, of a width in voxels.
    #[pyo3(signature = (path_ijk, *, positive = true, width = 3.0))]
    fn scribble(
        &self,
        py: Python<'_>,
        path_ijk: Vec<[i64; 3]>,
        positive: bool,
        width: f64,
    ) -> PyResult<Change> {
        self.step(py, LogStep::of([Prompt::scribble(path_ijk, positive, width)?.0]))
    }

    /// Adds a closed outline in one slice.
    #[pyo3(signature = (outline_ijk, *, positive = true))]
    fn lasso(&self, py: Python<'_>, outline_ijk: Vec<[f64; 3]>, positive: bool) -> PyResult<Change> {
        self.step(py, LogStep::of([Prompt::lasso(outline_ijk, positive).0]))
    }

    /// Adds a mask [k, j, i] to begin from.
    fn initial_mask(&self, py: Python<'_>, mask_kji: &Bound<'_, PyAny>) -> PyResult<Change> {
        self.step(py, LogStep::of([Prompt::initial_mask(mask_kji)?.0]))
    }

    /// Undoes the last step.
    fn undo(&self, py: Python<'_>) -> PyResult<()> {
        let number = self.number;
        self.worker.call(py, move |owned| owned.session(number)?.undo())
    }

    /// Redoes the last step that was undone.
    fn redo(&self, py: Python<'_>) -> PyResult<()> {
        let number = self.number;
        self.worker.call(py, move |owned| owned.session(number)?.redo())
    }

    /// Removes all steps.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let number = self.number;
        self.worker.call(py, move |owned| {
            owned.session(number)?.reset();
            Ok(())
        })
    }

    /// Number of steps in effect.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let number = self.number;
        self.worker.call(py, move |owned| Ok(owned.session(number)?.steps().len()))
    }

    /// A session on another object in the same volume, whose voxels are shared.
    fn another(&self, py: Python<'_>) -> PyResult<Self> {
        let (number, new) = (self.number, self.worker.new_session());
        self.worker.call(py, move |owned| {
            let image = Arc::clone(owned.session(number)?.image());
            owned.sessions.insert(new, owned.segmenter.session_on(image));
            Ok(())
        })?;
        Ok(Self::new(Arc::clone(&self.worker), new, self.shape_ijk))
    }

    /// The mask of the voxels whose probability is above `threshold`: uint8, 0 or 1, [k, j, i] of the file.
    #[pyo3(signature = (threshold = 0.5))]
    fn mask<'py>(&self, py: Python<'py>, threshold: f64) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let number = self.number;
        let mask = self.worker.call(py, move |owned| owned.session(number)?.mask(threshold))?;
        Ok(mask.into_pyarray(py))
    }

    /// The probability of the target: float32, [k, j, i] of the file; 0 before the first step.
    fn probability<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let (number, [i, j, k]) = (self.number, self.shape_ijk);
        let probability = self.worker.call(py, move |owned| {
            let session = owned.session(number)?;
            match session.answer()? {
                Some(answer) => answer.native_probability(session.image().frame()),
                None => Ok(Array3::zeros([k, j, i])),
            }
        })?;
        Ok(probability.into_pyarray(py))
    }

    /// The log of the steps in effect, as JSON: with the hashes of image and weights, and without patient data or file names.
    fn log(&self, py: Python<'_>) -> PyResult<String> {
        let number = self.number;
        self.worker.call(py, move |owned| owned.session(number)?.log()?.to_json())
    }

    /// Writes the log to a file, which `sam3d segment --session` replays as well.
    ///
    /// Raises FileExistsError if the file is there and overwrite is not set.
    #[pyo3(signature = (path, *, overwrite = false))]
    fn save_log(&self, py: Python<'_>, path: PathBuf, overwrite: bool) -> PyResult<()> {
        let number = self.number;
        let overwrite = if overwrite { Overwrite::Replace } else { Overwrite::Refuse };
        self.worker.call(py, move |owned| {
            let text = owned.session(number)?.log()?.to_json()?;
            atomic::write(&path, overwrite, |file| std::io::Write::write_all(file, text.as_bytes()))?;
            Ok(())
        })
    }

    /// Adds the steps of a log, given as its text: the mask is the same, bit for bit, as when it was recorded. Returns the change
    /// of the last step; None if there is none.
    ///
    /// Raises ValueError unless the log was recorded on this image and with these weights, or force is set.
    #[pyo3(signature = (log, *, force = false))]
    fn replay(&self, py: Python<'_>, log: &str, force: bool) -> PyResult<Option<Change>> {
        let log = SessionLog::from_json(log).map_err(exception)?;
        let number = self.number;
        let change =
            self.worker.call(py, move |owned| owned.session(number)?.replay(&log, force, &mut |_| ()))?;
        Ok(change.map(Change::from))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let [i, j, k] = self.shape_ijk;
        Ok(format!("Session({} steps on {i} x {j} x {k} voxels)", self.__len__(py)?))
    }
}

impl Session {
    pub(crate) fn new(worker: Arc<Worker>, number: u64, shape_ijk: [usize; 3]) -> Self {
        Self { worker, number, shape_ijk }
    }

    fn step(&self, py: Python<'_>, step: LogStep) -> PyResult<Change> {
        let number = self.number;
        let change = self.worker.call(py, move |owned| owned.session(number)?.add_step(step, &mut |_| ()))?;
        Ok(change.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.worker.drop_session(self.number);
    }
}
