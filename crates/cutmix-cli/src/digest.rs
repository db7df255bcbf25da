//! Digests of files.

use sha2::{Digest, Sha256};

/// The SHA-256 of bytes, 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a digest, which are enough to tell it from another.
pub fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}
