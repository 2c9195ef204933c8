//! `langevin purify attack`: perturbed inputs, as files.

use std::path::PathBuf;

use langevin_audio::WavFormat;
use langevin_purify::{
    Defence, Draw,
    attack::{Attack, Loss, Method, Norm, Path, Target},
    defence::{Nothing, Purified, Sigma},
};

use crate::{
    args::{SeedArg, WriteArgs},
    output,
    purify::{self, Inputs, ProtectArgs, WalkArgs},
    report::Failure,
    settings::Settings,
    values,
};

/// Inputs that one worker attacks at once.
const INPUTS: usize = 2;

/// Make adversarial inputs for a classifier, or for a classifier behind a purifier
///
/// Writes one WAV for each WAV (32-bit floats: rounding to 16 bits would undo small perturbations; as long as the classifier reads it, since
/// padding is perturbed too), or a CSV with the same columns.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin purify attack --classifier model.onnx --input clips/ --eps 0.002 -o attacked/")]
pub(super) struct Args {
    #[command(flatten)]
    protect: ProtectArgs,
    #[command(flatten)]
    walk: WalkArgs,
    /// Largest change: of a number (linf), or of all (l2), in the inputs' units
    #[arg(long, value_name = "E", value_parser = values::number(1e-9..=1e6))]
    eps: f64,
    /// Norm of the bound
    #[arg(long, value_name = "NORM", default_value = "linf", value_parser = ["linf", "l2"])]
    norm: String,
    /// How perturbations are searched
    #[arg(long, value_name = "METHOD", default_value = "pgd", value_parser = ["pgd", "apgd", "apgd-dlr", "square", "nes"])]
    method: String,
    /// Steps; queries, of square [default: 20; 100 of nes, 1000 of square]
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100_000))]
    attack_steps: Option<u32>,
    /// Random starts, of which the best is kept
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::whole(1..=1000))]
    restarts: u32,
    /// Attack the classifier behind the purifier, with the true gradient through both
    #[arg(long)]
    adaptive: bool,
    /// Draws of the purifier that a gradient is the mean of
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::whole(1..=1000), requires = "adaptive")]
    eot: u32,
    /// Folder (for a WAV or a folder) or CSV (for a CSV) of the perturbed inputs
    #[arg(short, long, value_name = "DIR|CSV")]
    output: PathBuf,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    write: WriteArgs,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let protect = &args.protect;
    let classifier = purify::open_classifier(protect, &device)?;
    let inputs = Inputs::read(&protect.input, protect.label.as_deref(), &*classifier, settings)?;
    let seed = args.seed.chosen(None, settings);
    let opened = if args.adaptive { Some(purify::open_purifier(protect.checkpoint.as_deref(), &inputs, &device)?.0) } else { None };
    let purified = match &opened {
        Some(purifier) => {
            let walk = args.walk.walk(purifier)?;
            let sigma = match args.walk.sigma {
                Sigma::Auto => Sigma::Fixed(purifier.sigma_for(args.eps)),
                fixed => fixed,
            };
            // The attacker does not know the defender's seed.
            Some(Purified { purifier, walk, sigma, seed: seed ^ 0x5eed, decision: args.walk.decision(purifier, true) })
        }
        None => None,
    };
    let defence: &dyn Defence = purified.as_ref().map_or(&Nothing, |purified| purified);
    let target = Target { classifier: &*classifier, defence, device: &device };
    // Without a gradient a search is longer.
    let (method, loss, steps) = match args.method.as_str() {
        "apgd" => (Method::Apgd, Loss::CrossEntropy, 20),
        "apgd-dlr" => (Method::Apgd, Loss::Dlr, 20),
        "square" => (Method::Square, Loss::Dlr, 1000),
        "nes" => (Method::Nes, Loss::CrossEntropy, 100),
        _ => (Method::Pgd, Loss::CrossEntropy, 20),
    };
    let attack = Attack {
        method,
        loss,
        path: if args.adaptive { Path::Full } else { Path::Blind },
        norm: if args.norm == "l2" { Norm::L2 } else { Norm::Linf },
        restarts: args.restarts as usize,
        eot: if args.adaptive { args.eot as usize } else { 1 },
        seed,
        ..Attack::pgd(args.eps, args.attack_steps.unwrap_or(steps) as usize)
    };
    attack.check(&target)?;
    let outputs = inputs.claim(&protect.input, &args.output, true, None, args.write.force)?;
    if args.write.dry_run {
        settings.talk(&format!("{} inputs, {attack:?}", inputs.rows.len()));
        return Ok(());
    }
    let workers = settings.workers()?;
    let known = inputs.classes(&protect.classes, &*classifier)?;
    let plain = Target { classifier: &*classifier, defence: &Nothing, device: &device };
    let decide = |k: usize| plain.classes(&[&inputs.rows[k]], &[Draw { item: 0, vote: 0 }]).map(|classes| classes[0]);
    // Without labels the classifier's own decisions are what is to be changed.
    let classes = match known {
        Some(classes) => classes,
        None => workers.map(inputs.rows.len(), decide).into_iter().collect::<Result<Vec<_>, _>>()?,
    };
    let parts = inputs.rows.len().div_ceil(INPUTS);
    let progress = settings.progress(parts as u64, "parts");
    let found = workers.map(parts, |part| {
        let range = part * INPUTS..inputs.rows.len().min((part + 1) * INPUTS);
        let found = attack.run(&target, &inputs.rows[range.clone()], &classes[range.clone()], &inputs.items[range]);
        progress.advance();
        found
    });
    progress.finish();
    let rows: Vec<Vec<f32>> = found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    inputs.write(&rows, &outputs, WavFormat::Float32, true)?;
    let accuracy = |target: &Target<'_>| -> Result<f64, Failure> {
        let right = |k: usize| {
            let draw = Draw { item: inputs.items[k], vote: 0 };
            target.classes(&[&rows[k]], &[draw]).map(|found| found[0] == classes[k])
        };
        let right = workers.map(rows.len(), right).into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64)
    };
    let alone = accuracy(&plain)?;
    let behind = if args.adaptive { Some(accuracy(&target)?) } else { None };
    if settings.json {
        return output::json(&serde_json::json!({ "inputs": rows.len(), "accuracy_undefended": alone, "accuracy_defended": behind }));
    }
    let behind = behind.map(|share| format!(", behind one draw of the purifier on {:.1} %", 100.0 * share)).unwrap_or_default();
    output::line(&format!("{} inputs perturbed; the classifier alone is right on {:.1} %{behind}", rows.len(), 100.0 * alone))
}
