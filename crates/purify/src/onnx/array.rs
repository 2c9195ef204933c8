//! Constant tensors of a file as host arrays.

use burn::tensor::{bf16, f16};

use super::proto::TensorProto;

/// Values of a constant tensor; every float type is widened or rounded to f32.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    Float(Vec<f32>),
    Int(Vec<i64>),
    Bool(Vec<i64>),
}

/// A constant tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Numbers,
}

/// Names of ONNX's element types, by number.
const TYPES: [&str; 17] = [
    "undefined",
    "float32",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "float64",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
];

/// Name of an element type.
pub(super) fn type_name(number: i32) -> String {
    usize::try_from(number).ok().and_then(|k| TYPES.get(k)).map_or_else(|| format!("type {number}"), |name| (*name).to_string())
}

/// Whether an element type is one of the float types that are computed in f32 here.
pub(super) fn is_float(number: i32) -> bool {
    matches!(number, 1 | 10 | 11 | 16)
}

/// Reads a constant.
///
/// # Errors
/// External data, a type that is not supported, and values that are not as many as the shape says.
pub(super) fn decode(tensor: &TensorProto) -> Result<Array, String> {
    let named = |reason: String| format!("tensor `{}`: {reason}", tensor.name);
    if tensor.data_location == 1 || !tensor.external_data.is_empty() {
        let file = tensor.external_data.iter().find(|entry| entry.key == "location").map_or("another file", |entry| entry.value.as_str());
        let remedy =
            "export with all weights inside (torch.onnx.export(..., external_data=False), onnx.save(..., save_as_external_data=False))";
        return Err(named(format!("its values are in `{file}`, which is not read; {remedy}")));
    }
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let count = dims.as_ref().and_then(|dims| dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim)));
    let (Some(dims), Some(count)) = (dims, count) else {
        return Err(named(format!("{:?} is not a shape", tensor.dims)));
    };
    let numbers = if tensor.raw_data.is_empty() { typed(tensor) } else { raw(tensor) };
    let numbers = numbers.map_err(named)?;
    let found = match &numbers {
        Numbers::Float(values) => values.len(),
        Numbers::Int(values) | Numbers::Bool(values) => values.len(),
    };
    if found != count {
        return Err(named(format!("{count} values make the shape {dims:?}, found {found}; the file is cut short or damaged")));
    }
    Ok(Array { dims, numbers })
}

fn unsupported(number: i32) -> String {
    format!("elements of {} are not supported", type_name(number))
}

fn parts<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (parts, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no whole number of elements of {N}", bytes.len()));
    }
    Ok(parts.iter().map(|&part| read(part)).collect())
}

fn raw(tensor: &TensorProto) -> Result<Numbers, String> {
    let bytes = tensor.raw_data.as_slice();
    Ok(match tensor.data_type {
        1 => Numbers::Float(parts(bytes, f32::from_le_bytes)?),
        10 => Numbers::Float(parts(bytes, |x| f16::from_le_bytes(x).to_f32())?),
        16 => Numbers::Float(parts(bytes, |x| bf16::from_le_bytes(x).to_f32())?),
        11 => Numbers::Float(parts(bytes, |x| f64::from_le_bytes(x) as f32)?),
        2 => Numbers::Int(parts(bytes, |x| i64::from(u8::from_le_bytes(x)))?),
        3 => Numbers::Int(parts(bytes, |x| i64::from(i8::from_le_bytes(x)))?),
        4 => Numbers::Int(parts(bytes, |x| i64::from(u16::from_le_bytes(x)))?),
        5 => Numbers::Int(parts(bytes, |x| i64::from(i16::from_le_bytes(x)))?),
        6 => Numbers::Int(parts(bytes, |x| i64::from(i32::from_le_bytes(x)))?),
        12 => Numbers::Int(parts(bytes, |x| i64::from(u32::from_le_bytes(x)))?),
        7 => Numbers::Int(parts(bytes, i64::from_le_bytes)?),
        13 => Numbers::Int(parts(bytes, |x| u64::from_le_bytes(x).cast_signed())?),
        9 => Numbers::Bool(parts(bytes, |[x]: [u8; 1]| i64::from(x != 0))?),
        other => return Err(unsupported(other)),
    })
}

fn typed(tensor: &TensorProto) -> Result<Numbers, String> {
    let small = || tensor.int32_data.iter().map(|&x| i64::from(x));
    // Halves are stored as their bits.
    let bits = || tensor.int32_data.iter().map(|&x| x as u16);
    Ok(match tensor.data_type {
        1 => Numbers::Float(tensor.float_data.clone()),
        10 => Numbers::Float(bits().map(|x| f16::from_bits(x).to_f32()).collect()),
        16 => Numbers::Float(bits().map(|x| bf16::from_bits(x).to_f32()).collect()),
        11 => Numbers::Float(tensor.double_data.iter().map(|&x| x as f32).collect()),
        2..=6 => Numbers::Int(small().collect()),
        7 => Numbers::Int(tensor.int64_data.clone()),
        12 | 13 => Numbers::Int(tensor.uint64_data.iter().map(|&x| x.cast_signed()).collect()),
        9 => Numbers::Bool(small().map(|x| i64::from(x != 0)).collect()),
        other => return Err(unsupported(other)),
    })
}
