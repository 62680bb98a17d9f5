/// How much a file may ask for before it is refused.
///
/// Every limit is checked before the memory is allocated. The defaults leave room for the largest
/// published checkpoint (ViT-H, 2.6 GB of weights, about 60 000 pickled values) and for its optimiser states.
///
/// ```
/// use sam3d_pickle::Limits;
///
/// let limits = Limits { max_tensor_bytes: 1 << 30, ..Limits::default() };
/// assert_eq!(limits.max_depth, 64);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the pickle itself: names, numbers, strings and structure, without the tensors' data.
    pub max_pickle_bytes: u64,
    /// Values the pickle may build, and values that may be reached from the result, where a shared list counts as
    /// often as it is reached: a few bytes can otherwise describe a list of 2^1000 items.
    pub max_values: usize,
    /// Containers inside containers. Values above 200 count as 200, because printing or dropping a deep value uses
    /// the stack.
    pub max_depth: usize,
    /// Bytes of all tensors together, and of all storages together. An element counts as four bytes at least, the
    /// size it takes as `f32`.
    pub max_tensor_bytes: u64,
    /// Files inside the zip archive: about one per tensor.
    pub max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pickle_bytes: 64 << 20,
            max_values: 1 << 20,
            max_depth: 64,
            max_tensor_bytes: 16 << 30,
            max_entries: 100_000,
        }
    }
}

impl Limits {
    /// `max_depth`, capped so that recursion does not overflow the stack.
    pub(crate) fn depth(&self) -> usize {
        self.max_depth.min(200)
    }
}
