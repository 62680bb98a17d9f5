use half::{bf16, f16};

/// Element type of a [`Tensor`](crate::Tensor); little-endian in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the types")]
pub enum DType {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The type behind PyTorch's name (`float32`), which the pickle writes as `torch.float32`.
    pub(crate) fn from_torch_name(name: &str) -> Option<Self> {
        Some(match name {
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::BF16,
            "float32" | "float" => Self::F32,
            "float64" | "double" => Self::F64,
            "int8" => Self::I8,
            "int16" | "short" => Self::I16,
            "int32" | "int" => Self::I32,
            "int64" | "long" => Self::I64,
            "uint8" => Self::U8,
            "uint16" => Self::U16,
            "uint32" => Self::U32,
            "uint64" => Self::U64,
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// The element type of one of PyTorch's storage classes (`FloatStorage`).
    pub(crate) fn from_storage_name(name: &str) -> Option<Self> {
        Some(match name {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "CharStorage" => Self::I8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// The type behind numpy's short name (`f4`).
    pub(crate) fn from_numpy_name(name: &str) -> Option<Self> {
        Some(match name {
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            "i1" => Self::I8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "u1" => Self::U8,
            "u2" => Self::U16,
            "u4" => Self::U32,
            "u8" => Self::U64,
            "b1" => Self::Bool,
            _ => return None,
        })
    }

    /// PyTorch's name of the type.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            Self::F16 => "torch.float16",
            Self::BF16 => "torch.bfloat16",
            Self::F32 => "torch.float32",
            Self::F64 => "torch.float64",
            Self::I8 => "torch.int8",
            Self::I16 => "torch.int16",
            Self::I32 => "torch.int32",
            Self::I64 => "torch.int64",
            Self::U8 => "torch.uint8",
            Self::U16 => "torch.uint16",
            Self::U32 => "torch.uint32",
            Self::U64 => "torch.uint64",
            Self::Bool => "torch.bool",
        }
    }

    /// Conversion of one element to `f32`, as a function so that a loop over elements selects the type once. Fewer
    /// bytes than the type has give zero.
    pub(crate) fn to_f32(self) -> fn(&[u8]) -> f32 {
        match self {
            Self::F16 => |bytes| f16::from_le_bytes(first(bytes)).to_f32(),
            Self::BF16 => |bytes| bf16::from_le_bytes(first(bytes)).to_f32(),
            Self::F32 => |bytes| f32::from_le_bytes(first(bytes)),
            Self::F64 => |bytes| f64::from_le_bytes(first(bytes)) as f32,
            Self::I8 => |bytes| f32::from(i8::from_le_bytes(first(bytes))),
            Self::I16 => |bytes| f32::from(i16::from_le_bytes(first(bytes))),
            Self::I32 => |bytes| i32::from_le_bytes(first(bytes)) as f32,
            Self::I64 => |bytes| i64::from_le_bytes(first(bytes)) as f32,
            Self::U8 => |bytes| f32::from(u8::from_le_bytes(first(bytes))),
            Self::U16 => |bytes| f32::from(u16::from_le_bytes(first(bytes))),
            Self::U32 => |bytes| u32::from_le_bytes(first(bytes)) as f32,
            Self::U64 => |bytes| u64::from_le_bytes(first(bytes)) as f32,
            Self::Bool => |bytes| f32::from(u8::from(first::<1>(bytes) != [0])),
        }
    }
}

/// The first `N` bytes.
pub(crate) fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_become_f32() {
        let check = |dtype: DType, bytes: &[u8], expected: f32| {
            assert_eq!(bytes.len(), dtype.size(), "{dtype:?}");
            assert_eq!(dtype.to_f32()(bytes), expected, "{dtype:?}");
        };
        check(DType::F16, &f16::from_f32(-1.5).to_le_bytes(), -1.5);
        check(DType::BF16, &bf16::from_f32(-1.5).to_le_bytes(), -1.5);
        check(DType::F32, &0.1f32.to_le_bytes(), 0.1);
        check(DType::F64, &0.1f64.to_le_bytes(), 0.1);
        check(DType::I8, &(-3i8).to_le_bytes(), -3.0);
        check(DType::I16, &(-300i16).to_le_bytes(), -300.0);
        check(DType::I32, &(-70_000i32).to_le_bytes(), -70_000.0);
        check(DType::I64, &(-70_000i64).to_le_bytes(), -70_000.0);
        check(DType::U8, &[200], 200.0);
        check(DType::U16, &60_000u16.to_le_bytes(), 60_000.0);
        check(DType::U32, &70_000u32.to_le_bytes(), 70_000.0);
        check(DType::U64, &70_000u64.to_le_bytes(), 70_000.0);
        check(DType::Bool, &[1], 1.0);
        check(DType::Bool, &[0], 0.0);
    }
}
