//! The flags that every command has, checked: what commands work with.

use burn::tensor::Device;
use langevin_engine::{Cancel, Progress, Verbosity, Workers, device};

use crate::{args::Globals, env, output, report, report::Failure, values};

/// Checked global settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The device, known by this build.
    pub(crate) device: device::Kind,
    /// Worker threads.
    pub(crate) threads: usize,
    /// Print JSON instead of text.
    pub(crate) json: bool,
    /// How much to say on stderr.
    pub(crate) verbosity: Verbosity,
}

impl Settings {
    /// Flags over environment over defaults.
    ///
    /// # Errors
    /// An unknown device, one that is not in this build, or a number of threads out of bounds: usage errors.
    pub(crate) fn check(globals: &Globals) -> Result<Self, Failure> {
        let name = globals.device.clone().or_else(|| env::get(env::DEVICE));
        let from_env = globals.device.is_none() && name.is_some();
        let kind = device::find(name.as_deref().unwrap_or(device::DEFAULT)).map_err(|e| {
            let failure = Failure::from(e);
            if from_env { failure.help(format!("the name comes from {}; unset it to run on the CPU", env::DEVICE)) } else { failure }
        })?;
        let threads = match (globals.threads, env::get(env::THREADS)) {
            (Some(threads), _) => Some(threads),
            (None, Some(text)) => Some(values::threads(&text).map_err(|wanted| {
                Failure::usage("threads", format!("'{text}' is no number of threads: {wanted}"))
                    .help(format!("the value comes from {}", env::THREADS))
            })?),
            (None, None) => None,
        };
        let verbosity = match (globals.quiet, globals.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Ok(Self { device: kind, threads: threads.map_or_else(cores, |n| n as usize), json: globals.json, verbosity })
    }

    /// Opens the device, and bounds the threads that one tensor operation may use.
    ///
    /// # Errors
    /// The driver behind it does not start.
    pub(crate) fn open_device(&self) -> Result<Device, Failure> {
        // Refused only when a pool exists already, from an earlier call with the same number.
        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global().ok();
        let name = self.device.name;
        let opened = report::quietly(|| device::open(name));
        Ok(opened.unwrap_or_else(|reason| Err(langevin_engine::Error::DeviceStart { name, reason }))?)
    }

    /// Workers for micro-batches: on the host one a thread; a GPU is fed by one.
    ///
    /// # Errors
    /// The system refuses to start that many threads.
    pub(crate) fn workers(&self) -> Result<Workers, Failure> {
        Ok(Workers::new(if device::is_host(self.device.name) { self.threads } else { 1 })?)
    }

    /// A flag that Ctrl-C sets. Take it once a command, before its first loop.
    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::on_ctrl_c()
    }

    /// A progress display towards `total` units.
    pub(crate) fn progress(&self, total: u64, unit: &str) -> Progress {
        Progress::new(self.verbosity, total, 0, unit)
    }

    /// Says something on stderr, unless `--quiet`.
    pub(crate) fn talk(&self, text: &str) {
        output::talk(self.verbosity, text);
    }

    /// Says something on stderr with `--verbose`.
    pub(crate) fn explain(&self, text: &str) {
        if self.verbosity == Verbosity::Verbose {
            output::talk(self.verbosity, text);
        }
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
