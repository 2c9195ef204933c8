//! Reference networks in burn, measured beside PyTorch by `cpu.py` and compared between devices.

mod agree;
mod block;
mod conv;
mod dump;
mod graph;
mod network;
mod peer;
mod tiny;
mod transformer;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any failure; its text is what the user sees.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
/// Result of this program's functions.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Reference networks in burn, for comparison with PyTorch and between devices.
#[derive(Parser)]
#[command(name = "langevin-peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// CPU threads [default: all]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer `run NETWORK STEP COUNT`, `count NETWORK` and `quit` on stdin with JSON lines on stdout
    Worker {
        /// Device to run on
        #[arg(long, default_value = "flex")]
        device: String,
    },
    /// Write weights, inputs, output and gradients of NETWORK as DIR/NETWORK.json and DIR/NETWORK.f32
    Dump {
        /// transformer, conv, graph or tiny
        network: String,
        /// Folder, made if it is missing
        folder: PathBuf,
        /// Device to run on
        #[arg(long, default_value = "flex")]
        device: String,
    },
    /// Compare outputs and gradients between two devices; exit 1 where they differ by more than the tolerance
    Agree {
        /// Two devices
        #[arg(long, value_delimiter = ',', num_args = 1, default_value = "flex,tch")]
        devices: Vec<String>,
        /// Networks to compare [default: all]
        #[arg(long, value_delimiter = ',', num_args = 1)]
        networks: Vec<String>,
        /// Largest difference allowed, relative to the tensor's largest value
        #[arg(long, default_value_t = 1e-4)]
        tolerance: f64,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    // As `langevin train` does.
    langevin_engine::memory::keep_freed();
    let devices: Vec<&str> = match &arguments.command {
        Command::Worker { device } | Command::Dump { device, .. } => vec![device],
        Command::Agree { devices, .. } => devices.iter().map(String::as_str).collect(),
    };
    if let Some(threads) = arguments.threads {
        limit_threads(threads.get(), &devices)?;
    }
    match &arguments.command {
        Command::Worker { device } => worker::serve(device).map(|()| ExitCode::SUCCESS),
        Command::Dump { network, folder, device } => dump::write(network, folder, device).map(|()| ExitCode::SUCCESS),
        Command::Agree { devices, networks, tolerance } => agree::compare(devices, networks, *tolerance),
    }
}

/// Fixes the number of threads, before any tensor exists.
fn limit_threads(threads: usize, devices: &[&str]) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    // libtorch reads it when the program is loaded, so it is too late to set it here.
    let openmp = std::env::var("OMP_NUM_THREADS").ok();
    if devices.contains(&"tch") && openmp.as_deref() != Some(&threads.to_string()) {
        let message = format!("device tch with --threads {threads} needs OMP_NUM_THREADS={threads}");
        return Err(Error::from(message));
    }
    Ok(())
}
