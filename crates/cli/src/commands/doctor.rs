//! `langevin doctor`.

mod checks;
mod machine;

use langevin_engine::device;
use serde::Serialize;

use crate::{
    env, models, output,
    report::Failure,
    settings::{Settings, cores},
};

/// Check this build and this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin doctor --json")]
pub(crate) struct Args {}

/// The JSON of this command.
#[derive(Serialize)]
struct Findings {
    version: &'static str,
    system: String,
    cpu_features: Vec<&'static str>,
    cores: usize,
    threads: usize,
    memory: Option<machine::Memory>,
    device: &'static str,
    devices: Vec<Device>,
    models: Models,
    environment: Vec<Variable>,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Device {
    name: &'static str,
    built: bool,
    /// Whether it opens; only tried where it is built.
    opens: Option<bool>,
    about: &'static str,
}

/// Where `--checkpoint` looks.
#[derive(Serialize)]
struct Models {
    inside: Vec<&'static str>,
    otherwise: &'static str,
}

#[derive(Serialize)]
struct Variable {
    name: &'static str,
    value: Option<String>,
}

/// One thing that works or does not.
#[derive(Serialize)]
struct Check {
    name: String,
    ok: bool,
    /// What was found.
    detail: String,
    /// What to do when it is not fine.
    help: Option<&'static str>,
}

pub(super) fn run(_args: &Args, settings: &Settings) -> Result<(), Failure> {
    let mut checks = vec![checks::random_numbers()];
    checks.extend(models::SHIPPED.iter().map(checks::checkpoint));
    let devices: Vec<_> = device::KINDS.iter().map(|&kind| device_of(kind)).collect();
    checks.push(checks::tensors(settings));
    let findings = Findings {
        version: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpu_features: machine::cpu_features(),
        cores: cores(),
        threads: settings.threads,
        memory: machine::memory(),
        device: settings.device.name,
        devices,
        models: Models { inside: models::SHIPPED.iter().map(|s| s.name).collect(), otherwise: "a file given with --checkpoint PATH" },
        environment: env::ALL.iter().map(|name| Variable { name, value: env::get(name) }).collect(),
        checks,
    };
    if settings.json {
        output::json(&findings)?;
    } else {
        output::data(crate::report::printable(&text(&findings)).as_bytes())?;
    }
    match findings.checks.iter().filter(|check| !check.ok).count() {
        0 => Ok(()),
        broken => Err(Failure::data("doctor", format!("{broken} of {} checks failed", findings.checks.len()))
            .help("each failed check says what to do")),
    }
}

fn device_of(kind: device::Kind) -> Device {
    let opens = kind.built.then(|| crate::report::quietly(|| device::open(kind.name).is_ok()).unwrap_or(false));
    Device { name: kind.name, built: kind.built, opens, about: kind.about }
}

fn text(found: &Findings) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| text.push_str(&format!("{name:<12} {value}\n"));
    row("version", found.version);
    row("system", &found.system);
    row("cpu", &if found.cpu_features.is_empty() { "no vector features found".to_owned() } else { found.cpu_features.join(" ") });
    row("cores", &format!("{}, {} threads used", found.cores, found.threads));
    if let Some(memory) = &found.memory {
        row("memory", &format!("{:.1} GB free of {:.1} GB", memory.available_bytes as f64 / 1e9, memory.total_bytes as f64 / 1e9));
    }
    for device in &found.devices {
        let state = match (device.built, device.opens) {
            (false, _) => "not built",
            (true, Some(true)) => "opens",
            (true, _) => "does not open",
        };
        let used = if device.name == found.device { " (used)" } else { "" };
        row("device", &format!("{:<9} {state:<13} {}{used}", device.name, device.about));
    }
    let inside = if found.models.inside.is_empty() { "none" } else { &found.models.inside.join(", ") };
    row("models", &format!("inside the program: {inside}; otherwise {}", found.models.otherwise));
    for variable in &found.environment {
        row("environment", &format!("{}={}", variable.name, variable.value.as_deref().unwrap_or("(not set)")));
    }
    for check in &found.checks {
        row(if check.ok { "ok" } else { "BROKEN" }, &format!("{}: {}", check.name, check.detail));
        if let (false, Some(help)) = (check.ok, check.help) {
            row("", help);
        }
    }
    text
}
