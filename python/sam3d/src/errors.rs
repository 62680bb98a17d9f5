//! Errors of the crates as Python's exceptions, with the same sentences.

use std::{any::Any, error::Error, io};

use pyo3::{
    exceptions::{
        PyFileExistsError, PyFileNotFoundError, PyOSError, PyPermissionError, PyRuntimeError, PyValueError,
    },
    prelude::*,
};
use sam3d_data::augment::AugmentError;
use sam3d_infer::InferError;
use sam3d_io::IoError;

/// The exception of an error and its causes in one line: `OSError` or one of its kinds if the operating system refused,
/// `RuntimeError` for a fault of this package, `ValueError` for everything else.
pub(crate) fn exception<E: Error + 'static>(error: E) -> PyErr {
    let mut causes: Vec<&(dyn Error + 'static)> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let sentence = causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let refused = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let io_error = causes.iter().find_map(|cause| io_error(*cause));
    let is_fault = causes
        .iter()
        .any(|cause| matches!(cause.downcast_ref::<InferError>(), Some(InferError::Internal(_))));
    match (refused, io_error) {
        (_, Some(IoError::Exists { .. })) => PyFileExistsError::new_err(sentence),
        (_, Some(IoError::CompressionDamaged { .. })) => PyValueError::new_err(sentence),
        (Some(io::ErrorKind::NotFound), _) => PyFileNotFoundError::new_err(sentence),
        (Some(io::ErrorKind::PermissionDenied), _) => PyPermissionError::new_err(sentence),
        (Some(_), _) => PyOSError::new_err(sentence),
        (None, _) if is_fault => PyRuntimeError::new_err(sentence),
        (None, _) => PyValueError::new_err(sentence),
    }
}

/// The error of a file that `cause` is, or that it shows as its own and therefore does not name as its source.
fn io_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a IoError> {
    match (cause.downcast_ref::<InferError>(), cause.downcast_ref::<AugmentError>()) {
        (Some(InferError::Io(error)), _) | (_, Some(AugmentError::Voxels(error))) => Some(error),
        _ => cause.downcast_ref::<IoError>(),
    }
}

/// A `ValueError`.
pub(crate) fn invalid(sentence: impl Into<String>) -> PyErr {
    PyValueError::new_err(sentence.into())
}

/// The exception of a panic, which is a fault of this package.
pub(crate) fn fault(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    PyRuntimeError::new_err(format!("internal fault: {text}; please report it"))
}
