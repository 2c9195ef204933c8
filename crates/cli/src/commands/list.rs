//! `langevin list`.

use langevin_core::{grid::Grid, recipe::Method};
use langevin_engine::device;
use serde::Serialize;

use crate::{
    models, output,
    report::{Failure, printable},
    settings::Settings,
};

/// List the checkpoints inside the program, the devices of this build, and the names that sampling knows
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin list --methods")]
pub(crate) struct Args {
    /// List solvers, drivers and grids of noise levels instead
    #[arg(long)]
    methods: bool,
}

#[derive(Serialize)]
struct Methods {
    solvers: Vec<Named>,
    grids: [&'static str; Grid::NAMES.len()],
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    /// What a config may write instead of the name.
    settings: Method,
    stochastic: bool,
}

#[derive(Serialize)]
struct Listing {
    checkpoints: Vec<Row>,
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    domain: String,
    bytes: usize,
    parameters: usize,
    hash: String,
    about: String,
}

#[derive(Serialize)]
struct Device {
    name: &'static str,
    built: bool,
    about: &'static str,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    if args.methods {
        return methods(settings);
    }
    let mut checkpoints = Vec::new();
    for shipped in models::SHIPPED {
        let read = shipped.read()?;
        checkpoints.push(Row {
            name: shipped.name,
            domain: read.header.config.domain.clone(),
            bytes: shipped.bytes.len(),
            parameters: read.parameters(),
            hash: read.hash.clone(),
            about: read.header.card.about.clone(),
        });
    }
    let devices = device::KINDS.iter().map(|kind| Device { name: kind.name, built: kind.built, about: kind.about }).collect();
    let listing = Listing { checkpoints, devices };
    if settings.json { output::json(&listing) } else { output::data(text(&listing).as_bytes()) }
}

fn methods(settings: &Settings) -> Result<(), Failure> {
    let named = |(name, settings): (&'static str, Method)| Named { name, stochastic: settings.is_stochastic(), settings };
    let methods = Methods { solvers: Method::named().into_iter().map(named).collect(), grids: Grid::NAMES };
    if settings.json {
        return output::json(&methods);
    }
    let mut text = String::from("solvers and drivers, with the settings that a config may change\n");
    for Named { name, settings, stochastic } in &methods.solvers {
        let noise = if *stochastic { "noise" } else { "" };
        let table = toml::Value::try_from(settings).map_err(|e| Failure::data("list", "settings cannot be printed").because(e))?;
        text.push_str(&format!("  {name:<18} {noise:<6} {table}\n"));
    }
    text.push_str(&format!("grids\n  {}\n", methods.grids.join(", ")));
    output::data(text.as_bytes())
}

fn text(listing: &Listing) -> String {
    let mut text = String::from("checkpoints inside the program\n");
    if listing.checkpoints.is_empty() {
        text.push_str("  none\n");
    }
    for row in &listing.checkpoints {
        let megabytes = row.bytes as f64 / 1e6;
        text.push_str(&format!("  {:<20} {:<8} {megabytes:>6.1} MB  {}\n", row.name, row.domain, printable(&row.about)));
    }
    text.push_str("devices\n");
    for device in &listing.devices {
        let built = if device.built { "in this build" } else { "not built" };
        text.push_str(&format!("  {:<20} {built:<16} {}\n", device.name, device.about));
    }
    text
}
