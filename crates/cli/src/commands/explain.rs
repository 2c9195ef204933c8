//! `langevin explain`.

use langevin_core::{
    Level, Param, Plan,
    grid::Grid,
    recipe::{Method, Sampling},
    schedule::ScheduleSpec,
};
use serde::Serialize;

use crate::{output, report::Failure, settings::Settings, values};

/// Print a sampling run as a plan: its levels, its operations with their coefficients, and what it costs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin explain --solver unipc3 --grid lambda --steps 20")]
pub(crate) struct Args {
    /// Solver
    #[arg(long, value_name = "NAME", default_value = "dpmpp2m")]
    solver: String,
    /// Grid of noise levels
    #[arg(long, value_name = "NAME", default_value = "karras")]
    grid: String,
    /// Sampling steps
    #[arg(long, value_name = "N", default_value = "16", value_parser = values::whole(1..=100_000))]
    steps: u32,
    /// Noise schedule, with the numbers of its paper
    #[arg(long, value_enum, default_value = "edm")]
    schedule: Named,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Named {
    /// sigma = t from 0.002 to 80 (Karras et al. 2022)
    Edm,
    /// Continuous VP with beta from 0.1 to 20 (Song et al. 2021)
    Vp,
    /// 1000 evenly spaced betas from 1e-4 to 0.02 (Ho et al. 2020)
    Linear,
    /// 1000 cosine betas (Nichol & Dhariwal 2021)
    Cosine,
    /// Geometric VE from 0.01 to 50 (Song et al. 2021)
    Ve,
    /// Flow matching without shift (Lipman et al. 2023)
    Flow,
}

impl Named {
    const fn spec(self) -> ScheduleSpec {
        match self {
            Self::Edm => ScheduleSpec::Edm { sigma_min: 0.002, sigma_max: 80.0 },
            Self::Vp => ScheduleSpec::Vp { beta_min: 0.1, beta_max: 20.0 },
            Self::Linear => ScheduleSpec::Linear { steps: 1000, beta_start: 1e-4, beta_end: 0.02, zero_terminal_snr: false },
            Self::Cosine => ScheduleSpec::Cosine { steps: 1000, s: 0.008, max_beta: 0.999, zero_terminal_snr: false },
            Self::Ve => ScheduleSpec::Ve { sigma_min: 0.01, sigma_max: 50.0 },
            Self::Flow => ScheduleSpec::Flow { shift: 1.0 },
        }
    }
}

#[derive(Serialize)]
struct Explained {
    solver: Method,
    grid: Grid,
    schedule: ScheduleSpec,
    network_evaluations: usize,
    stochastic: bool,
    nodes: Vec<Level>,
    /// None for a driver, which is no plan.
    plan: Option<Plan>,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let (solver, grid): (Method, Grid) = (args.solver.parse()?, args.grid.parse()?);
    let schedule = args.schedule.spec();
    let sampling = Sampling { solver, grid: grid.clone(), steps: args.steps as usize, ..Sampling::default() };
    // What a network predicts changes no plan; clean data is defined at every level.
    let run = sampling.compile(&*schedule.build()?, Param::X0, None, true)?;
    let nodes = run.nodes().to_vec();
    if settings.json {
        let (network_evaluations, stochastic) = (run.nfe(), solver.is_stochastic());
        let plan = run.plan().cloned();
        return output::json(&Explained { solver, grid, schedule, network_evaluations, stochastic, nodes, plan });
    }
    let mut text = String::from("node        alpha        sigma       lambda\n");
    for (node, level) in nodes.iter().enumerate() {
        text.push_str(&format!("{node:>4} {:>12.6} {:>12.6} {:>12.6}\n", level.alpha, level.sigma, level.lambda()));
    }
    text.push('\n');
    text.push_str(&run.explain());
    output::data(text.as_bytes())
}
