//! Networks in files.

#[cfg(feature = "onnx")]
pub mod onnx;
