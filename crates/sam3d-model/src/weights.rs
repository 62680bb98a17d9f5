//! Tensors by name: read from any file of weights, and copied into a network.

use std::{collections::BTreeMap, path::Path};

use sam3d_pickle::{Limits, PickleError, read_file};
use tch::{Kind, Tensor};

use crate::{
    ModelError, TensorFile,
    import::{ImportError, without_wrapper},
};

/// Reads the tensors of the file at `path`: a `.safetensors` file, or a state dictionary that PyTorch saved, of which nothing
/// is executed. That dictionary is the file's own, or the first of its `parts` that the file has. The prefix `module.`, which
/// PyTorch's `DataParallel` adds, is left out of names.
///
/// # Errors
/// [`ModelError`] if the file cannot be read, is not a dictionary of tensors, or holds a tensor twice.
pub fn read_tensors(
    path: &Path,
    parts: &[&str],
    limits: &Limits,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let mut tensors = BTreeMap::new();
    let mut add = |name: &str, tensor: Tensor| {
        let name = without_wrapper(name).to_owned();
        if tensors.contains_key(&name) {
            return Err(ImportError::Repeated { path: path.to_owned(), name });
        }
        tensors.insert(name, tensor);
        Ok(())
    };
    if is_safetensors(path) {
        for (name, tensor) in TensorFile::read(path)?.tensors {
            add(&name, tensor)?;
        }
        return Ok(tensors);
    }
    let file = read_file(path, limits).map_err(ImportError::from)?;
    let state = parts.iter().find_map(|part| file.get(part)).unwrap_or(&file);
    let Some(dict) = state.as_dict() else {
        let (path, found) = (path.to_owned(), state.kind());
        return Err(ImportError::NotADictionary { path, found }.into());
    };
    for (key, value) in dict.iter() {
        let name = key.to_string();
        let Some(tensor) = value.as_tensor() else {
            let (path, found) = (path.to_owned(), value.kind());
            return Err(ImportError::NotATensor { path, name, found }.into());
        };
        add(&name, from_pickle(tensor)?)?;
    }
    Ok(tensors)
}

/// Whether `path` names a file of safetensors.
pub(crate) fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

/// A tensor of a PyTorch file as one of libtorch, float32 on the CPU.
pub(crate) fn from_pickle(tensor: &sam3d_pickle::Tensor) -> Result<Tensor, ModelError> {
    let shape: Vec<i64> = tensor.shape().iter().map(|side| *side as i64).collect();
    let values = tensor.to_f32_vec().map_err(|error: PickleError| ImportError::from(error))?;
    Ok(Tensor::f_from_slice(&values)?.f_reshape(shape.as_slice())?)
}

/// Copies `tensors` into `own`, the tensors of `network`, by name. Both must agree in names, shapes and types; float16 and
/// bfloat16 become float32, which changes no value.
///
/// # Errors
/// [`ModelError::Weights`] for the first difference; the network is then unchanged.
pub fn load_all(
    own: &BTreeMap<String, Tensor>,
    tensors: &BTreeMap<String, Tensor>,
    network: &str,
) -> Result<(), ModelError> {
    let mut missing = own.keys().filter(|name| !tensors.contains_key(*name));
    if let Some(first) = missing.next() {
        let detail = match missing.count() {
            0 => format!("{first} is missing"),
            others => format!("{} tensors are missing, the first is {first}", others + 1),
        };
        return Err(ModelError::Weights { detail });
    }
    load_some(own, tensors, network)
}

/// As [`load_all`], but tensors of `network` that are not among `tensors` stay as they are.
///
/// # Errors
/// [`ModelError::Weights`] for the first name that the network does not have, or whose shape or type differs; the network
/// is then unchanged.
pub(crate) fn load_some(
    own: &BTreeMap<String, Tensor>,
    tensors: &BTreeMap<String, Tensor>,
    network: &str,
) -> Result<(), ModelError> {
    let mut pairs = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let detail = match own.get(name) {
            None => format!("{name} is not a tensor of {network}"),
            Some(own) if own.size() != tensor.size() => {
                format!("{name} has shape {:?}, expected {:?}", tensor.size(), own.size())
            }
            Some(own) if own.kind() != tensor.kind() && !is_widened(tensor.kind(), own.kind()) => {
                format!("{name} has type {:?}, expected {:?}", tensor.kind(), own.kind())
            }
            Some(own) => {
                pairs.push((own.shallow_clone(), tensor));
                continue;
            }
        };
        return Err(ModelError::Weights { detail });
    }
    let _no_grad = tch::no_grad_guard();
    for (mut own, tensor) in pairs {
        own.f_copy_(tensor)?;
    }
    Ok(())
}

/// Whether type `to` represents every value of type `from` exactly.
fn is_widened(from: Kind, to: Kind) -> bool {
    to == Kind::Float && matches!(from, Kind::Half | Kind::BFloat16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<const N: usize>(tensors: [(&str, Tensor); N]) -> BTreeMap<String, Tensor> {
        tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into()
    }

    #[test]
    fn the_first_difference_is_named_and_changes_nothing() {
        let tensor = |values: &[f32]| Tensor::from_slice(values);
        let own = named([("a", tensor(&[1.0])), ("b", tensor(&[2.0, 3.0])), ("c", tensor(&[4.0]))]);
        let refused = |tensors| load_all(&own, &tensors, "the model").unwrap_err().to_string();
        let (a, b, c) = (|| ("a", tensor(&[5.0])), || ("b", tensor(&[6.0, 7.0])), || ("c", tensor(&[8.0])));
        assert!(refused(named([a(), b()])).contains("c is missing"));
        assert!(refused(named([a()])).contains("2 tensors are missing, the first is b"));
        assert!(
            refused(named([a(), b(), c(), ("d", tensor(&[]))])).contains("d is not a tensor of the model")
        );
        assert!(refused(named([a(), ("b", tensor(&[6.0])), c()])).contains("b has shape [1], expected [2]"));
        let double = ("c", tensor(&[8.0]).to_kind(Kind::Double));
        assert!(refused(named([a(), b(), double])).contains("c has type Double, expected Float"));
        assert_eq!(Vec::<f32>::try_from(&own["a"]).unwrap(), [1.0]);
        load_some(&own, &named([b()]), "the model").unwrap();
        assert_eq!(Vec::<f32>::try_from(&own["b"]).unwrap(), [6.0, 7.0]);
        load_all(&own, &named([a(), b(), c()]), "the model").unwrap();
        assert_eq!(Vec::<f32>::try_from(&own["a"]).unwrap(), [5.0]);
        for kind in [Kind::Half, Kind::BFloat16] {
            let narrow = tensor(&[0.1]).to_kind(kind);
            load_some(&own, &named([("c", narrow.shallow_clone())]), "the model").unwrap();
            assert_eq!(own["c"].kind(), Kind::Float);
            assert_eq!(own["c"].double_value(&[0]), narrow.double_value(&[0]));
        }
        // What has few digits keeps its type: nothing is rounded without being asked.
        let narrow = named([("c", tensor(&[1.0]).to_kind(Kind::Half))]);
        assert!(
            load_some(&narrow, &named([c()]), "the model").unwrap_err().to_string().contains("type Float")
        );
    }

    #[test]
    fn names_lose_the_wrapper_and_are_unique() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.safetensors");
        let write = |tensors| TensorFile { tensors, ..TensorFile::default() }.write(&path).unwrap();
        write(named([("module.a", Tensor::from_slice(&[1.0_f32]))]));
        let read = || read_tensors(&path, &[], &Limits::default());
        assert_eq!(read().unwrap().keys().collect::<Vec<_>>(), ["a"]);
        write(named([("module.a", Tensor::from_slice(&[1.0_f32])), ("a", Tensor::from_slice(&[2.0_f32]))]));
        assert!(read().unwrap_err().to_string().contains("\"a\" twice"));
    }
}
