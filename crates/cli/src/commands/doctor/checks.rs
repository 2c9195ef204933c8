//! What the doctor tries.

use burn::tensor::{Device, Tensor};
use langevin_core::Philox;

use super::Check;
use crate::{
    models::Shipped,
    report::{Failure, quietly},
    settings::Settings,
};

/// Counter, seed and output of Philox4x32-10: the known answers of Random123, whose authors define the generator.
const KNOWN: [([u32; 4], u64, [u32; 4]); 3] = [
    ([0; 4], 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([u32::MAX; 4], u64::MAX, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], 0x299f_31d0_a409_3822, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
];

/// The generator gives its published answers.
pub(super) fn random_numbers() -> Check {
    let wrong = KNOWN.iter().filter(|(counter, seed, expected)| Philox::new(*seed).words(*counter) != *expected).count();
    Check {
        name: "random numbers".to_owned(),
        ok: wrong == 0,
        detail: format!("{} of {} known answers of Philox4x32-10", KNOWN.len() - wrong, KNOWN.len()),
        help: (wrong > 0).then_some("this build is broken: build it again, and report it if that does not help"),
    }
}

/// A checkpoint inside the program can be read.
pub(super) fn checkpoint(shipped: &Shipped) -> Check {
    let read = shipped.read();
    Check {
        name: format!("checkpoint {}", shipped.name),
        ok: read.is_ok(),
        detail: read.as_ref().map_or_else(Failure::to_string, |c| format!("{} parameters, hash {}", c.parameters(), c.hash)),
        help: read.is_err().then_some("this build is broken: build it again from a clean checkout"),
    }
}

/// The chosen device opens and computes.
pub(super) fn tensors(settings: &Settings) -> Check {
    let computed = settings.open_device().map_err(|e| e.to_string()).and_then(|device| quietly(move || square(&device))?);
    let right = computed == Ok(vec![7.0, 10.0, 15.0, 22.0]);
    Check {
        name: format!("device {}", settings.device.name),
        ok: right,
        detail: match computed {
            Ok(_) if right => "computes".to_owned(),
            Ok(values) => format!("computes [[1, 2], [3, 4]] squared as {values:?}"),
            Err(reason) => reason,
        },
        help: (!right).then_some("install or update its driver, or leave --device out to run on the CPU"),
    }
}

fn square(device: &Device) -> Result<Vec<f32>, String> {
    let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], device);
    x.clone().matmul(x).into_data().try_into_vec_as::<f32>().map_err(|e| e.to_string())
}
