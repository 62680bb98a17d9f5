//! The names a checkpoint may refer to. Everything else is refused, whether it would be called or not.

use crate::{DType, PickleErrorKind, error::printable};

/// What a permitted name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Set,
    Bytes,
    /// `_codecs.encode`, by which protocol 2 writes bytes.
    Encode,
    /// A storage class; `None` is the untyped one, which counts bytes.
    StorageType(Option<DType>),
    TorchDType(DType),
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`, whose first four arguments agree.
    RebuildTensor,
    RebuildTensorV3,
    RebuildParameter,
    TorchSize,
    NumpyDType,
    NumpyArrayType,
    NumpyScalar,
    NumpyReconstruct,
}

/// The permitted global `module.name`.
pub(super) fn resolve(module: &str, name: &str) -> Result<Global, PickleErrorKind> {
    let found = match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("builtins" | "__builtin__", "set" | "frozenset") => Some(Global::Set),
        ("builtins" | "__builtin__", "bytes") => Some(Global::Bytes),
        ("_codecs", "encode") => Some(Global::Encode),
        ("torch.storage", "UntypedStorage" | "_UntypedStorage") | ("torch", "UntypedStorage") => {
            Some(Global::StorageType(None))
        }
        ("torch", "Size") => Some(Global::TorchSize),
        ("torch", _) => DType::from_storage_name(name)
            .map(|dtype| Global::StorageType(Some(dtype)))
            .or_else(|| DType::from_torch_name(name).map(Global::TorchDType)),
        ("torch.cuda", _) => DType::from_storage_name(name).map(|dtype| Global::StorageType(Some(dtype))),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_tensor_v3") => Some(Global::RebuildTensorV3),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("numpy", "dtype") => Some(Global::NumpyDType),
        ("numpy", "ndarray") => Some(Global::NumpyArrayType),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Some(Global::NumpyScalar),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
            Some(Global::NumpyReconstruct)
        }
        _ => None,
    };
    found.ok_or_else(|| PickleErrorKind::GlobalRefused { name: printable(&format!("{module}.{name}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_resolve() {
        assert_eq!(resolve("torch", "BFloat16Storage").unwrap(), Global::StorageType(Some(DType::BF16)));
        assert_eq!(resolve("torch", "float32").unwrap(), Global::TorchDType(DType::F32));
        for (module, name) in [
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("torch", "load"),
            ("torch.cuda", "float32"),
            ("torch._utils", "_rebuild_parameter_with_state"),
            ("numpy", "load"),
            ("collections", "OrderedDict.fromkeys"),
            ("", ""),
        ] {
            let error = resolve(module, name).unwrap_err();
            assert!(error.to_string().contains(&format!("refers to {module}.{name}, ")), "{error}");
        }
    }
}
