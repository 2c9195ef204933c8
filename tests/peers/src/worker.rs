//! The line protocol by which `cpu.py` runs one step at a time: commands on stdin, one JSON object a line on stdout.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead, Write};

use burn::tensor::Device;
use langevin_engine::device::open;
use serde_json::{Value, json};

use crate::network::{Step, build};
use crate::peer::Runnable;
use crate::{Error, Result};

/// Largest COUNT of one command; more is a slip of the caller.
const MAX_COUNT: usize = 10_000;

/// Serves until `quit` or the end of stdin. A bad command is answered with `{"error": ...}` and serving goes on.
pub(crate) fn serve(device_name: &str) -> Result<()> {
    let mut worker = Worker { device: open(device_name)?, networks: BTreeMap::new() };
    let mut stdout = std::io::stdout().lock();
    let ready = json!({
        "ready": true,
        "device": device_name,
        "rayon_threads": rayon::current_num_threads(),
    });
    send(&mut stdout, &ready)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "quit" {
            break;
        }
        let answer = worker.answer(&line).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        send(&mut stdout, &answer)?;
    }
    Ok(())
}

fn send(stdout: &mut impl Write, answer: &Value) -> Result<()> {
    writeln!(stdout, "{answer}")?;
    Ok(stdout.flush()?)
}

/// The networks asked for so far.
struct Worker {
    device: Device,
    networks: BTreeMap<String, Box<dyn Runnable>>,
}

impl Worker {
    fn answer(&mut self, line: &str) -> Result<Value> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["count", name] => {
                let network = self.network(name)?;
                let steps: Vec<&str> = network.steps().iter().map(|step| step.name()).collect();
                Ok(json!({ "network": name, "parameters": network.parameters(), "steps": steps }))
            }
            ["run", name, step, count] => {
                let step = Step::parse(step)?;
                let count = parse_count(count)?;
                let network = self.network(name)?;
                let milliseconds = (0..count).map(|_| network.run(step)).collect::<Result<Vec<f64>>>()?;
                Ok(json!({ "network": name, "step": step.name(), "ms": milliseconds }))
            }
            _ => Err(Error::from(format!("unknown command `{line}`: expected `run NETWORK STEP COUNT`, `count NETWORK` or `quit`"))),
        }
    }

    fn network(&mut self, name: &str) -> Result<&mut dyn Runnable> {
        let network = match self.networks.entry(name.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(build(name, &self.device)?),
        };
        Ok(network.as_mut())
    }
}

fn parse_count(text: &str) -> Result<usize> {
    let count = text.parse().ok();
    count.filter(|count| (1..=MAX_COUNT).contains(count)).ok_or_else(|| Error::from(format!("COUNT is `{text}`, not 1 to {MAX_COUNT}")))
}
