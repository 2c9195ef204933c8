//! The one file that knows backends: names, features, and how each device is opened.

use burn::tensor::Device;

use crate::{Error, Result};

/// A device that the program knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name on the command line.
    pub name: &'static str,
    /// Cargo feature that compiles it in.
    pub feature: &'static str,
    /// Whether this build has it.
    pub built: bool,
    /// One line for `doctor`.
    pub about: &'static str,
}

/// Every device, the default first.
pub const KINDS: [Kind; 6] = [
    Kind { name: "flex", feature: "flex", built: cfg!(feature = "flex"), about: "pure Rust on the CPU" },
    Kind { name: "tch", feature: "tch", built: cfg!(feature = "tch"), about: "libtorch on the CPU" },
    Kind { name: "tch-cuda", feature: "tch-cuda", built: cfg!(feature = "tch-cuda"), about: "libtorch on an NVIDIA GPU" },
    Kind { name: "wgpu", feature: "wgpu", built: cfg!(feature = "wgpu"), about: "any GPU through WebGPU" },
    Kind { name: "vulkan", feature: "vulkan", built: cfg!(feature = "vulkan"), about: "any GPU through Vulkan" },
    Kind { name: "cuda", feature: "cuda", built: cfg!(feature = "cuda"), about: "NVIDIA GPU through CubeCL (its build downloads LLVM)" },
];

/// Name of the device used when none is asked for.
pub const DEFAULT: &str = "flex";

/// Looks a device up by name.
///
/// # Errors
/// [`Error::UnknownDevice`] with the names that exist, [`Error::DeviceNotBuilt`] with the feature that adds it.
pub fn find(name: &str) -> Result<Kind> {
    let kind = KINDS
        .iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| Error::UnknownDevice { name: name.to_owned(), known: KINDS.map(|kind| kind.name).join(", ") })?;
    if kind.built { Ok(*kind) } else { Err(Error::DeviceNotBuilt { name: kind.name, feature: kind.feature }) }
}

/// Opens a device by name.
///
/// # Errors
/// As [`find`], and [`Error::DeviceStart`] when the driver behind it is missing.
pub fn open(name: &str) -> Result<Device> {
    let kind = find(name)?;
    // GPU drivers panic when they are missing; that is a user's error here, so its text becomes one.
    std::panic::catch_unwind(|| start(kind)).unwrap_or_else(|cause| {
        let reason = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(Error::DeviceStart { name: kind.name, reason: reason.unwrap_or_else(|| "unknown reason".to_owned()) })
    })
}

/// Pins burn's own default to the chosen device, so that no library call can pick another one behind our back.
///
/// Call it first thing in `main`, before threads and before any other call into burn.
pub fn pin(name: &str) -> Result<()> {
    let kind = find(name)?;
    let burn_name = if kind.name.starts_with("tch") { "tch" } else { kind.name };
    // SAFETY: the program calls this once at its start, when it has one thread, so nothing reads the environment meanwhile.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("BURN_DEVICE", burn_name);
    }
    Ok(())
}

#[allow(deprecated, reason = "burn-tch is deprecated upstream; this file is the only one that names it")]
fn start(kind: Kind) -> Result<Device> {
    match kind.name {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "tch")]
        "tch" => Ok(Device::libtorch()),
        #[cfg(feature = "tch-cuda")]
        "tch-cuda" => Ok(Device::libtorch_cuda(0)),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ => Err(Error::DeviceNotBuilt { name: kind.name, feature: kind.feature }),
    }
}

/// Whether tensors live in host memory, where many workers with one thread each beat threads inside operations.
pub fn is_host(name: &str) -> bool {
    matches!(name, "flex" | "tch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_devices_say_what_to_do() {
        let unknown = open("abacus").expect_err("no such device").to_string();
        assert!(unknown.contains("abacus") && unknown.contains("flex, tch"), "{unknown}");
        if let Some(missing) = KINDS.iter().find(|kind| !kind.built) {
            let message = open(missing.name).expect_err("not built").to_string();
            assert!(message.contains("--features"), "{message}");
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_default_opens() {
        assert!(open(DEFAULT).is_ok());
    }
}
