use crate::DType;

/// The elements of a storage that a tensor views. Constructed only if all of them lie inside the storage.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dtype: DType,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    len: usize,
}

impl Layout {
    /// A view of a storage of `storage_bytes` bytes; `offset` and `strides` count elements.
    ///
    /// # Errors
    /// The reason, as a continuation of "a tensor", if the view leaves the storage or repeats its elements.
    pub(crate) fn new(
        dtype: DType,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
        storage_bytes: u64,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!("has {} sizes and {} strides", shape.len(), strides.len()));
        }
        let available = storage_bytes / dtype.size() as u64;
        let len = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let (Some(len), Some(end)) = (len, end(offset, &shape, &strides)) else {
            return Err(format!("of shape {shape:?} has more elements than can be addressed"));
        };
        if end as u64 > available {
            return Err(format!("of shape {shape:?} reaches element {end} of a storage of {available}"));
        }
        if len as u64 > available {
            // An expanded view would let a few bytes ask for any amount of memory.
            return Err(format!(
                "of shape {shape:?} repeats the {available} elements of its storage; save it with contiguous()"
            ));
        }
        Ok(Self { dtype, offset, shape, strides, len })
    }

    /// A dense view of a whole storage, with the first axis fastest if `fortran`, else the last.
    pub(crate) fn dense(
        dtype: DType,
        shape: Vec<usize>,
        fortran: bool,
        storage_bytes: u64,
    ) -> Result<Self, String> {
        let mut strides = vec![0; shape.len()];
        let mut step = 1usize;
        for at in 0..shape.len() {
            let axis = if fortran { at } else { shape.len() - 1 - at };
            strides[axis] = step;
            step = step.saturating_mul(shape[axis]);
        }
        Self::new(dtype, 0, shape, strides, storage_bytes)
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The elements as `f32` in C order. `bytes` is the whole storage.
    pub(crate) fn gather_f32(&self, bytes: &[u8]) -> Vec<f32> {
        let size = self.dtype.size();
        let to_f32 = self.dtype.to_f32();
        let dense = || bytes.get(self.offset * size..(self.offset + self.len) * size).unwrap_or_default();
        match (self.is_c_order(), self.dtype) {
            // Almost every weight takes this branch, which the compiler turns into a copy.
            (true, DType::F32) => {
                dense().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            (true, _) => dense().chunks_exact(size).map(to_f32).collect(),
            (false, _) => {
                self.positions().map(|at| to_f32(bytes.get(at * size..).unwrap_or_default())).collect()
            }
        }
    }

    fn is_c_order(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let in_order = *size == 1 || *stride == expected;
            expected *= size;
            in_order
        })
    }

    /// Positions in the storage, in elements, in C order.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let mut index = vec![0; self.shape.len()];
        let mut next = self.offset;
        (0..self.len).map(move |_| {
            let position = next;
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                next += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                next -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
            position
        })
    }
}

/// One past the last element touched; `None` if it cannot be addressed.
fn end(offset: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(offset, |last, (size, stride)| last.checked_add((size - 1).checked_mul(*stride)?))?
        .checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn views_gather_in_c_order() {
        let storage = bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let check = |offset, shape: &[usize], strides: &[usize], expected: &[f32]| {
            let layout = Layout::new(DType::F32, offset, shape.to_vec(), strides.to_vec(), 24).unwrap();
            assert_eq!(layout.gather_f32(&storage), expected, "{shape:?} {strides:?}");
        };
        check(0, &[2, 3], &[3, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        check(0, &[3, 2], &[1, 3], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        check(2, &[2, 2], &[2, 1], &[2.0, 3.0, 4.0, 5.0]);
        check(1, &[2], &[4], &[1.0, 5.0]);
        check(5, &[], &[], &[5.0]);
        check(0, &[1, 2], &[77, 1], &[0.0, 1.0]);
        check(9, &[0, 3], &[3, 1], &[]);
    }

    #[test]
    fn fortran_order_is_transposed() {
        let layout = Layout::dense(DType::F32, vec![2, 3], true, 24).unwrap();
        assert_eq!(
            layout.gather_f32(&bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
            [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
        );
    }

    #[test]
    fn views_outside_the_storage_are_refused() {
        let refused = |offset, shape: &[usize], strides: &[usize]| {
            Layout::new(DType::F32, offset, shape.to_vec(), strides.to_vec(), 24).unwrap_err()
        };
        assert!(refused(1, &[2, 3], &[3, 1]).contains("reaches element 7"));
        assert!(refused(0, &[2], &[6]).contains("reaches element 7"));
        assert!(refused(0, &[7], &[0]).contains("repeats"));
        assert!(refused(0, &[2], &[usize::MAX]).contains("addressed"));
        assert!(refused(usize::MAX, &[], &[]).contains("addressed"));
        assert!(refused(0, &[usize::MAX, 2], &[0, 0]).contains("addressed"));
        assert!(refused(0, &[2], &[]).contains("1 sizes and 0 strides"));
    }
}
