//! `langevin purify attack`: perturbed inputs, as files.

use std::path::PathBuf;

use langevin_audio::{WavFormat, encode_wav};
use langevin_engine::checkpoint::write_whole;
use langevin_purify::{
    Defence, Draw, Walk,
    attack::{Attack, Loss, Method, Norm, Path, Target},
    data::restored,
    defence::{Nothing, Purified, Sigma},
};

use crate::{
    args::{SeedArg, WriteArgs},
    output,
    purify::{self, Inputs, ProtectArgs, Source, WalkArgs},
    report::Failure,
    settings::Settings,
    values,
};

/// Inputs that one worker attacks at once.
const INPUTS: usize = 2;

/// Make adversarial inputs for a classifier, or for a classifier behind a purifier
///
/// Writes one WAV for each WAV (32-bit floats: rounding to 16 bits would undo small perturbations), or a CSV with the same columns.
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
    /// Steps; queries, of square
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::whole(1..=100_000))]
    attack_steps: u32,
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
            let walk = Walk::with(&args.walk.solver.parse()?, args.walk.steps as usize)?;
            let sigma = match args.walk.sigma {
                Sigma::Auto => Sigma::Fixed(purifier.sigma_for(args.eps)),
                fixed => fixed,
            };
            // The attacker does not know the defender's seed.
            Some(Purified { purifier, walk, sigma, seed: seed ^ 0x5eed })
        }
        None => None,
    };
    let defence: &dyn Defence = purified.as_ref().map_or(&Nothing, |purified| purified);
    let target = Target { classifier: &*classifier, defence, device: &device };
    let (method, loss) = match args.method.as_str() {
        "apgd" => (Method::Apgd, Loss::CrossEntropy),
        "apgd-dlr" => (Method::Apgd, Loss::Dlr),
        "square" => (Method::Square, Loss::Dlr),
        "nes" => (Method::Nes, Loss::CrossEntropy),
        _ => (Method::Pgd, Loss::CrossEntropy),
    };
    let attack = Attack {
        method,
        loss,
        path: if args.adaptive { Path::Full } else { Path::Blind },
        norm: if args.norm == "l2" { Norm::L2 } else { Norm::Linf },
        restarts: args.restarts as usize,
        eot: if args.adaptive { args.eot as usize } else { 1 },
        seed,
        ..Attack::pgd(args.eps, args.attack_steps as usize)
    };
    attack.check(&target)?;
    let folder = match &inputs.source {
        Source::Clips(_) => Some(output::Folder::claim(&args.output)?),
        Source::Rows(..) => {
            output::claim(&args.output, args.write.force)?;
            None
        }
    };
    let paths = match (&folder, &inputs.source) {
        (Some(folder), Source::Clips(clips)) => {
            clips.iter().map(|wav| folder.file(&wav.file, args.write.force)).collect::<Result<Vec<_>, _>>()?
        }
        _ => Vec::new(),
    };
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
    match &inputs.source {
        Source::Clips(clips) => {
            for ((wav, row), path) in clips.iter().zip(&rows).zip(&paths) {
                write_whole(path, &encode_wav(&restored(row, &wav.samples), wav.rate, WavFormat::Float32, || 0.5)?)?;
            }
        }
        Source::Rows(table) => output::put(&args.output, table.with_rows(&rows)?.as_bytes())?,
    }
    let after = workers.map(rows.len(), |k| plain.classes(&[&rows[k]], &[Draw { item: 0, vote: 0 }]).map(|found| found[0] == classes[k]));
    let right = after.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().filter(|right| *right).count();
    let accuracy = right as f64 / rows.len().max(1) as f64;
    if settings.json {
        return output::json(&serde_json::json!({ "inputs": rows.len(), "accuracy_undefended": accuracy }));
    }
    output::line(&format!("{} inputs perturbed; the classifier alone is right on {:.1} %", rows.len(), 100.0 * accuracy))
}
