//! Writes all tensors of one network: values as little-endian f32 in one file, names and places as JSON in another.

use std::io::{BufWriter, Write};
use std::path::Path;

use langevin_engine::device::open;
use serde::Serialize;

use crate::Result;
use crate::network::build;
use crate::peer::Array;

/// Index of the file of values.
#[derive(Serialize)]
struct Index<'a> {
    network: &'a str,
    device: &'a str,
    parameters: usize,
    arrays: Vec<Place<'a>>,
}

/// Where one tensor lies.
#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    shape: &'a [usize],
    /// First value, counted in values.
    start: usize,
}

/// Writes `FOLDER/NETWORK.f32` and then its index `FOLDER/NETWORK.json`.
pub(crate) fn write(network: &str, folder: &Path, device: &str) -> Result<()> {
    let peer = build(network, &open(device)?)?;
    let mut arrays = peer.given()?;
    arrays.extend(peer.results()?);

    std::fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(std::fs::File::create(folder.join(format!("{network}.f32")))?);
    let mut places = Vec::new();
    let mut start = 0;
    for Array { name, shape, values } in &arrays {
        places.push(Place { name, shape, start });
        start += values.len();
        for value in values {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.flush()?;

    let index = Index { network, device, parameters: peer.parameters(), arrays: places };
    let text = serde_json::to_string_pretty(&index)?;
    Ok(std::fs::write(folder.join(format!("{network}.json")), text)?)
}
