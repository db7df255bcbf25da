//! Weights as the bytes of a file.

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};

use super::WeightsError;
use super::error::one_line;

/// The weights of a network as a safetensors file, with the names and the layout that the same network
/// has in PyTorch. `key` and `value` are its metadata. Equal weights give equal bytes.
///
/// # Errors
/// [`WeightsError::Write`] where the device fails.
pub fn to_safetensors<M: Module>(
    model: &M,
    key: &str,
    value: &str,
) -> Result<Vec<u8>, WeightsError> {
    let mut store = SafetensorsStore::from_bytes(None)
        .with_to_adapter(BurnToPyTorchAdapter)
        // A second entry would come before or after the first one by chance.
        .clear_metadata()
        .metadata(key, value);
    // `valid` brings running statistics up to date, and a clone would share them.
    let bytes = (model.valid().save_into(&mut store)).and_then(|()| store.get_bytes());
    bytes.map_err(|error| WeightsError::Write {
        reason: one_line(error),
    })
}
