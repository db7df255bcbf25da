//! `--device`: where to compute.

use burn::tensor::Device;
#[cfg(feature = "gpu")]
use burn::tensor::DeviceType;
use cutmix_vision::weights;

use crate::error::Error;
use crate::precision::Precision;

/// The backends, each with the Cargo feature that adds it, in the order in which `auto` tries them.
const BACKENDS: [(&str, &str); 7] = [
    ("cuda", "cuda"),
    ("rocm", "rocm"),
    ("metal", "metal"),
    ("vulkan", "vulkan"),
    ("webgpu", "webgpu"),
    ("wgpu", "wgpu"),
    ("cpu", "flex"),
];

/// A device with its name.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The name that `--device` takes, such as `cpu` or `vulkan:0`.
    pub name: String,
    pub device: Device,
}

impl Chosen {
    /// The device on which the weights of a new network are drawn: that of all weights, since a seed
    /// gives the same ones everywhere. Only the device itself has another precision.
    pub fn for_new_weights(&self, precision: Precision) -> Device {
        match precision {
            Precision::F32 => weights::device(),
            _ => self.device.clone(),
        }
    }

    /// The setting that chooses this device again where `text` has chosen it, or that of another process:
    /// the number 0 is in it only where `text` has it.
    pub fn setting(&self, text: &str) -> String {
        let first = self.name.strip_suffix(":0").filter(|_| !text.contains(':'));
        first.unwrap_or(&self.name).into()
    }

    /// The name of the device and, where the backend knows it, that of the hardware.
    pub fn describe(&self) -> String {
        match hardware(&self.device) {
            Some((hardware, _)) => format!("{} ({hardware})", self.name),
            None => self.name.clone(),
        }
    }
}

/// The device for the process of this number on its host: where `text` names no number, each process has a
/// GPU of its own, as far as there are enough. A launcher may show each process only one.
pub fn choose_of(text: &str, local_rank: usize) -> Result<Chosen, Error> {
    let chosen = choose(text)?;
    match chosen.name.split_once(':') {
        Some((backend, "0")) if !text.contains(':') => {
            let devices = devices(backend).unwrap_or_default();
            let is_card = |device: &&Device| hardware(device).is_some_and(|(_, is_card)| is_card);
            // A driver in software comes behind the cards.
            let count = match devices.iter().filter(is_card).count() {
                0 => devices.len().max(1),
                cards => cards,
            };
            choose(&format!("{backend}:{}", local_rank % count))
        }
        _ => Ok(chosen),
    }
}

/// Finds the device that `text` names: `auto`, or a backend with an index where it has several.
pub fn choose(text: &str) -> Result<Chosen, Error> {
    if text == "auto" {
        return auto();
    }
    let (backend, index) = text.split_once(':').unwrap_or((text, "0"));
    let Ok(index) = index.parse() else {
        let expected = "a device with its number after the colon, for example vulkan:0";
        return Err(Error::option("device", text, expected));
    };
    if backend == "auto" {
        let expected = "auto alone, or a backend with a number, for example vulkan:1";
        return Err(Error::option("device", text, expected));
    }
    let Some((_, feature)) = BACKENDS.iter().find(|(name, _)| *name == backend) else {
        let names = BACKENDS.iter().map(|(name, _)| *name);
        let known = ["auto"].into_iter().chain(names);
        return Err(Error::unknown("device", backend, known));
    };
    let Some(devices) = devices(backend) else {
        return Err(Error::Device(format!(
            "device \"{backend}\" is not in this build; available here: {}. Build with --features \
             {feature} to add it",
            available()
        )));
    };
    match devices.into_iter().nth(index) {
        Some(device) => Ok(Chosen {
            name: name(backend, index),
            device,
        }),
        None => Err(Error::Device(format!(
            "device \"{text}\" is not there; available here: {}",
            available()
        ))),
    }
}

/// The first card of any backend, or else the CPU, or else any device, such as a graphics driver in
/// software.
fn auto() -> Result<Chosen, Error> {
    let all: Vec<_> = all().collect();
    let card = |chosen: &&Chosen| hardware(&chosen.device).is_some_and(|(_, is_card)| is_card);
    let cpu = |chosen: &&Chosen| chosen.name == "cpu";
    let chosen = (all.iter().find(card))
        .or_else(|| all.iter().find(cpu))
        .or(all.first());
    chosen.cloned().ok_or_else(|| {
        Error::Device(
            "no device is available here; build with --features flex to compute on the CPU".into(),
        )
    })
}

/// Every device of this build and machine.
fn all() -> impl Iterator<Item = Chosen> {
    BACKENDS.iter().flat_map(|(backend, _)| {
        let devices = devices(backend).unwrap_or_default().into_iter();
        devices.enumerate().map(move |(index, device)| Chosen {
            name: name(backend, index),
            device,
        })
    })
}

fn available() -> String {
    let names: Vec<_> = all().map(|chosen| chosen.name).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

fn name(backend: &str, index: usize) -> String {
    match backend {
        "cpu" => "cpu".into(),
        _ => format!("{backend}:{index}"),
    }
}

/// The devices of a backend; `None` if it is not in this build.
fn devices(backend: &str) -> Option<Vec<Device>> {
    match backend {
        #[cfg(feature = "flex")]
        "cpu" => Some(vec![Device::flex()]),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::enumerate(DeviceType::Cuda).into_iter().collect()),
        #[cfg(feature = "rocm")]
        "rocm" => Some(Device::enumerate(DeviceType::Rocm).into_iter().collect()),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::enumerate(DeviceType::Metal).into_iter().collect()),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::enumerate(DeviceType::Vulkan).into_iter().collect()),
        #[cfg(feature = "webgpu")]
        "webgpu" => Some(Device::enumerate(DeviceType::WebGpu).into_iter().collect()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::enumerate(DeviceType::Wgpu).into_iter().collect()),
        _ => None,
    }
}

/// The name of the hardware, and whether it is a card rather than software.
#[cfg(feature = "gpu")]
fn hardware(device: &Device) -> Option<(String, bool)> {
    (device.identity()).map(|identity| (identity.name, identity.physical.is_some()))
}

#[cfg(not(feature = "gpu"))]
fn hardware(_device: &Device) -> Option<(String, bool)> {
    None
}
