//! Model parameters as bytes and digests.

use protocol::ids::Digest;

/// Digest of a flat parameter vector, over its little-endian bytes.
pub fn parameters_digest(parameters: &[f32]) -> Digest {
    let mut bytes = b"consilium model v1".to_vec();
    bytes.reserve(parameters.len() * 4);
    parameters.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    Digest::of_bytes(&bytes)
}

pub(crate) fn to_bytes(parameters: &[f32]) -> Vec<u8> {
    parameters.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}
