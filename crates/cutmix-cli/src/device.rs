//! `--device` and `--devices`: where to compute.

use burn::tensor::Device;
#[cfg(any(
    feature = "cuda",
    feature = "rocm",
    feature = "metal",
    feature = "vulkan",
    feature = "webgpu",
    feature = "wgpu"
))]
use burn::tensor::DeviceType;

use crate::error::Error;

/// What may follow `--device`, each with the Cargo feature that adds it, in the order in which
/// `auto` tries them.
const BACKENDS: [(&str, &str); 7] = [
    ("cuda", "cuda"),
    ("rocm", "rocm"),
    ("metal", "metal"),
    ("vulkan", "vulkan"),
    ("webgpu", "webgpu"),
    ("wgpu", "wgpu"),
    ("cpu", "flex"),
];

/// What a device on another machine, or in another process, begins with.
const REMOTE: &str = "remote:";

/// The secret that a worker asks for and a run presents.
#[cfg(feature = "remote")]
const TOKEN: &str = "CUTMIX_TOKEN";

/// A device and what to call it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// `cpu` or, for example, `vulkan:0` or `remote:127.0.0.1:7001`: what `--device` takes.
    pub name: String,
    pub device: Device,
}

impl Chosen {
    /// Where the weights of a new network are drawn: on the device itself or, for a remote one, on
    /// the CPU, so that they are those of a run on the CPU.
    pub fn nursery(&self) -> Device {
        #[cfg(feature = "remote")]
        if self.is_remote() {
            return Device::flex();
        }
        self.device.clone()
    }

    pub fn is_remote(&self) -> bool {
        self.name.starts_with(REMOTE)
    }

    /// The name and, where the backend tells it, that of the hardware.
    pub fn describe(&self) -> String {
        match hardware(&self.device) {
            Some((hardware, _)) => format!("{} ({hardware})", self.name),
            None => self.name.clone(),
        }
    }
}

/// The names of devices, as a list that `--devices` takes.
pub fn list(devices: &[Chosen]) -> String {
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    names.join(",")
}

/// Finds the devices of a list with commas, on which a run is to train together.
pub fn choose_several(list: &str) -> Result<Vec<Chosen>, Error> {
    enum Place<'a> {
        Here(Chosen),
        There(&'a str),
    }

    let mut places = Vec::new();
    let mut names = Vec::new();
    for text in list.split(',').map(str::trim) {
        let (place, name) = match text.strip_prefix(REMOTE) {
            Some(address) => (Place::There(address), text.into()),
            None => {
                let chosen = choose(text)?;
                let name = chosen.name.clone();
                (Place::Here(chosen), name)
            }
        };
        if name != "cpu" && names.contains(&name) {
            let expected = "each device once; only cpu can be repeated, to try things";
            return Err(Error::option("devices", list, expected));
        }
        names.push(name);
        places.push(place);
    }
    // Workers are waited for, so they come last.
    let connect = |place| match place {
        Place::Here(chosen) => Ok(chosen),
        Place::There(address) => remote(address),
    };
    places.into_iter().map(connect).collect()
}

/// The secret of this process, if it has one.
#[cfg(feature = "remote")]
pub fn token() -> Result<Option<String>, Error> {
    use std::env::{VarError, var};

    match var(TOKEN) {
        Ok(token) if token.is_empty() => Err(Error::Device(format!("{TOKEN} is set, but empty"))),
        Ok(token) => Ok(Some(token)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Error::Device(format!("{TOKEN} is set, but not to text")))
        }
    }
}

/// Connects to the worker at `address`.
#[cfg(feature = "remote")]
fn remote(address: &str) -> Result<Chosen, Error> {
    use burn::remote::{ConnectError, RemoteHost};

    let name = format!("{REMOTE}{address}");
    let has_port = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    if !address.rsplit_once(':').is_some_and(has_port) {
        let expected = "a worker's host and port, for example remote:192.168.0.7:7001";
        return Err(Error::option("devices", name, expected));
    }
    let mut host = RemoteHost::websocket(&format!("ws://{address}"));
    if let Some(token) = token()? {
        host = host.with_credential(token);
    }
    match Device::remote_options(&host).init() {
        Ok(device) => Ok(Chosen { name, device }),
        Err(ConnectError::Unauthorized) => Err(Error::Device(format!(
            "the worker {name} asks for the secret with which it was started; set {TOKEN} to it"
        ))),
        Err(ConnectError::Unreachable { reason }) => Err(Error::Device(format!(
            "no worker answers at {name}; start one there with: cutmix serve --listen {address} \
             ({})",
            reason.replace('\n', " ")
        ))),
        Err(error) => Err(Error::Device(format!(
            "what answers at {name} is no worker of this version: {}",
            error.to_string().replace('\n', " ")
        ))),
    }
}

#[cfg(not(feature = "remote"))]
fn remote(_: &str) -> Result<Chosen, Error> {
    Err(Error::NotRemote)
}

/// Finds the device that `text` names: `auto`, or a backend with an index where it has several.
pub fn choose(text: &str) -> Result<Chosen, Error> {
    if text == "auto" {
        return auto();
    }
    if text.starts_with(REMOTE) {
        let expected = "a device of this machine; those of others take part in cutmix train alone";
        return Err(Error::option("device", text, expected));
    }
    let (backend, index) = match text.split_once(':') {
        None => (text, 0),
        Some((backend, index)) => match index.parse() {
            Ok(index) => (backend, index),
            Err(_) => {
                let expected = "a device with its number after the colon, for example vulkan:0";
                return Err(Error::option("device", text, expected));
            }
        },
    };
    if backend == "auto" {
        let expected = "auto alone, or a backend with a number, for example vulkan:1";
        return Err(Error::option("device", text, expected));
    }
    let Some((_, feature)) = BACKENDS.iter().find(|(name, _)| *name == backend) else {
        let names = BACKENDS.iter().map(|(name, _)| *name);
        return Err(Error::unknown(
            "device",
            backend,
            ["auto"].into_iter().chain(names),
        ));
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

/// The first card of any backend; then the CPU; then what there is, such as a graphics driver in
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
    match names.is_empty() {
        true => "none".into(),
        false => names.join(", "),
    }
}

fn name(backend: &str, index: usize) -> String {
    match backend {
        "cpu" => "cpu".into(),
        _ => format!("{backend}:{index}"),
    }
}

/// The devices of a backend; none if it is not in this build.
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
fn hardware(device: &Device) -> Option<(String, bool)> {
    #[cfg(any(
        feature = "cuda",
        feature = "rocm",
        feature = "metal",
        feature = "vulkan",
        feature = "webgpu",
        feature = "wgpu"
    ))]
    return (device.identity()).map(|identity| (identity.name, identity.physical.is_some()));
    #[cfg(not(any(
        feature = "cuda",
        feature = "rocm",
        feature = "metal",
        feature = "vulkan",
        feature = "webgpu",
        feature = "wgpu"
    )))]
    {
        let _ = device;
        None
    }
}
