//! `langevin eval purify`.

use langevin_engine::Workers;
use langevin_purify::{
    Classifier, Defence, Draw, Purifier,
    attack::{Attack, Norm, Target},
    defence::{Noise, Nothing, Purified, Quantise, Sigma, SpectralGate},
    detect::auroc,
    eval::{Budget, Checks, Counting, Entry, Outcome, gradient_cosine, losses_by_steps, measure, suite, verdict},
};
use serde::Serialize;

use crate::{
    args::SeedArg,
    output,
    purify::{self, Inputs, ProtectArgs, Source, WalkArgs},
    report::Failure,
    settings::Settings,
    values,
};

/// Inputs whose gradients are checked.
const CHECKED: usize = 4;
/// Length of a difference in checks of gradients, as a share of eps.
const DIFFERENCE: f64 = 0.02;

/// Measure what a purifier is worth for a classifier: attacks from blind to adaptive, baselines, and checks of the numbers
///
/// Each attack's results are counted three ways: one draw, the worst of several resubmissions, and the vote. The first row is a control:
/// clean inputs, handed in again and again. Beside the purifier stand a spectral gate (for clips) and noise with a vote. Warnings say when
/// the numbers should not be believed, above all when the defence hides its gradient instead of helping. The last two columns tell how well
/// attacked inputs are told from clean ones (area under the receiver's curve): by how far the defence moves the classifier's decision, and by
/// the denoising error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin eval purify --classifier model.onnx --input clips/ --eps 0.002")]
pub(crate) struct Args {
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
    /// Which attacks: all, or `quick`, for a first look (blind PGD, BPDA, full gradient)
    #[arg(long, value_name = "SUITE", default_value = "all", value_parser = ["all", "quick"])]
    suite: String,
    /// What is measured: purify, or instead of it gate, noise, none, or quantise:BITS, which rounds numbers to 2^BITS values between -1 and 1
    /// and only hides its gradient
    #[arg(long, value_name = "DEFENCE", default_value = "purify", value_parser = Measured::parse)]
    defence: Measured,
    /// Steps of gradient attacks
    #[arg(long, value_name = "N", default_value = "40", value_parser = values::whole(1..=10_000))]
    attack_steps: u32,
    /// Most draws of the defence that a gradient is the mean of
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::whole(1..=1000))]
    eot: u32,
    /// Queries of the square attack
    #[arg(long, value_name = "N", default_value = "300", value_parser = values::whole(1..=1_000_000))]
    queries: u32,
    /// How often the same input is handed in
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::whole(1..=1000))]
    resubmissions: u32,
    /// Look at the first N inputs only
    #[arg(long, value_name = "N", value_parser = values::whole(1..=1_000_000))]
    items: Option<u32>,
    /// Leave the baselines out
    #[arg(long)]
    no_baselines: bool,
    /// File for the whole result, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<std::path::PathBuf>,
    #[command(flatten)]
    seed: SeedArg,
}

/// The defence that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measured {
    Purify,
    Gate,
    Noise,
    Nothing,
    /// Bits of a number between -1 and 1.
    Quantise(u8),
}

impl Measured {
    fn parse(text: &str) -> Result<Self, String> {
        let bits = |text: &str| text.parse().ok().filter(|bits| (1..=24).contains(bits));
        match text.split_once(':') {
            None if text == "purify" => Ok(Self::Purify),
            None if text == "gate" => Ok(Self::Gate),
            None if text == "noise" => Ok(Self::Noise),
            None if text == "none" => Ok(Self::Nothing),
            None if text == "quantise" => Ok(Self::Quantise(8)),
            Some(("quantise", text)) => bits(text).map(Self::Quantise).ok_or_else(|| "bits should be a whole number from 1 to 24".into()),
            _ => Err("should be purify, gate, noise, none or quantise:BITS".into()),
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    defence: String,
    attack: String,
    single: f64,
    worst_of_resubmissions: f64,
    vote: f64,
    abstained: f64,
    /// Of the denoising error against clean inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    detection_auroc: Option<f64>,
    /// Of how far the defence moves the classifier's decision, against clean inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    shift_auroc: Option<f64>,
    seconds: f64,
}

/// Everything that a measurement needs.
struct Bench<'a> {
    inputs: &'a Inputs,
    classes: &'a [usize],
    counting: Counting,
    workers: &'a Workers,
    purifier: Option<&'a Purifier>,
    clean_scores: Vec<f64>,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let protect = &args.protect;
    let classifier = purify::open_classifier(protect, &device)?;
    let mut inputs = Inputs::read(&protect.input, protect.label.as_deref(), &*classifier, settings)?;
    if let Some(items) = args.items {
        inputs.truncate(items as usize);
    }
    if let Some(report) = &args.report {
        output::apart([protect.input.as_path()], [report.as_path()])?;
        output::claim(report, true)?;
    }
    let seed = args.seed.chosen(None, settings);
    let workers = settings.workers()?;
    let opened =
        if args.defence == Measured::Purify { Some(purify::open_purifier(protect.checkpoint.as_deref(), &inputs, &device)?) } else { None };
    let purifier = opened.as_ref().map(|(purifier, _)| purifier);
    let gate = SpectralGate::new(256, gate_threshold(args.eps), &device);
    let noise = Noise { sigma: args.eps, seed };
    // Of 2^bits values half lie above 0.
    let quantise = Quantise { levels: if let Measured::Quantise(bits) = args.defence { f64::from(bits - 1).exp2() } else { 1.0 } };
    let purified = match purifier {
        Some(purifier) => {
            let sigma = match args.walk.sigma {
                // A level that is found in each input would be hidden from the gradient.
                Sigma::Auto if args.norm == "linf" => Sigma::Fixed(purifier.sigma_for(args.eps)),
                other => other,
            };
            Some(Purified { purifier, walk: args.walk.walk(purifier)?, sigma, seed, decision: args.walk.decision(purifier, true) })
        }
        None => None,
    };
    let is_clips = matches!(inputs.source, Source::Clips(_));
    if args.defence == Measured::Gate && !is_clips {
        return Err(Failure::usage("defence", "a spectral gate is for clips; rows have no spectrum").help("give noise or none"));
    }
    let main: &dyn Defence = match (&purified, args.defence) {
        (Some(purified), _) => purified,
        (_, Measured::Gate) => &gate,
        (_, Measured::Noise) => &noise,
        (_, Measured::Quantise(_)) => &quantise,
        _ => &Nothing,
    };
    let own = Target { classifier: &*classifier, defence: &Nothing, device: &device };
    let classes = match inputs.classes(&protect.classes, &*classifier)? {
        Some(classes) => classes,
        None => {
            settings.talk("no labels: the classifier's own decisions on the inputs count as right");
            let decide = |k: usize| own.classes(&[&inputs.rows[k]], &[Draw { item: 0, vote: 0 }]).map(|c| c[0]);
            workers.map(inputs.rows.len(), decide).into_iter().collect::<Result<Vec<_>, _>>()?
        }
    };
    let counting = Counting { votes: args.walk.votes as usize, resubmissions: args.resubmissions as usize };
    let bench = Bench {
        inputs: &inputs,
        classes: &classes,
        counting,
        workers: &workers,
        purifier,
        clean_scores: scores(purifier, &workers, &inputs.rows)?.unwrap_or_default(),
    };
    let budget = Budget {
        eps: args.eps,
        norm: if args.norm == "l2" { Norm::L2 } else { Norm::Linf },
        steps: args.attack_steps as usize,
        eot: args.eot as usize,
        queries: args.queries as usize,
        seed,
    };
    let target = |defence| Target { classifier: &*classifier, defence, device: &device };
    let mut rows = Vec::new();
    rows.extend(bench.rows(&target(main), &entries(args, budget, &*classifier, main.is_random()), settings)?);
    let checks = if classifier.has_gradient() { Some(check(&bench, &target(main), budget)?) } else { None };
    if !args.no_baselines && args.defence == Measured::Purify {
        let mut baselines: Vec<&dyn Defence> = vec![&Nothing, &noise];
        if is_clips {
            baselines.insert(1, &gate);
        }
        for baseline in baselines {
            rows.extend(bench.rows(&target(baseline), &baseline_entries(budget, &*classifier, baseline.is_random()), settings)?);
        }
    }
    let strongest = if main.is_random() { format!("full gradient, EOT {}", args.eot) } else { "full gradient".to_owned() };
    let look = |name: &str| rows.iter().find(|row| row.attack == name && row.defence == main.name()).map(|row| row.single);
    let warnings = checks.as_ref().map_or_else(Vec::new, |checks| verdict(checks, look, &strongest));
    let report = serde_json::json!({
        "schema_version": output::SCHEMA_VERSION,
        "classifier": classifier.name(),
        "defence": main.name(),
        "inputs": inputs.rows.len(),
        "eps": args.eps,
        "norm": args.norm,
        "attack_steps": args.attack_steps,
        "votes": args.walk.votes,
        "resubmissions": args.resubmissions,
        "seed": seed,
        "rows": rows,
        "gradient_cosine": checks.as_ref().map(|c| c.cosine),
        "zero_gradients": checks.as_ref().map(|c| c.zero),
        "losses_by_steps": checks.as_ref().map(|c| c.losses.clone()),
        "warnings": warnings,
    });
    if let Some(path) = &args.report {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Failure::data("json", "the report cannot be written").because(e))?;
        output::put(path, format!("{text}\n").as_bytes())?;
    }
    if settings.json { output::line(&report.to_string()) } else { output::data(table(&rows, checks.as_ref(), &warnings).as_bytes()) }
}

/// The threshold of the gate beside: best near this on the digits of the validation set, from .001 to .005.
fn gate_threshold(eps: f64) -> f64 {
    2.5 * eps
}

fn entries(args: &Args, budget: Budget, classifier: &dyn Classifier, is_random: bool) -> Vec<Entry> {
    let all = suite(budget, classifier.has_gradient(), is_random);
    if args.suite == "all" {
        return all;
    }
    let strongest = format!("full gradient, EOT {}", budget.eot);
    let kept = |name: &str| ["clean, handed in again", "blind PGD", "BPDA", "full gradient", strongest.as_str()].contains(&name);
    all.into_iter().filter(|entry| kept(&entry.name)).collect()
}

/// Of a baseline: clean inputs, the blind attack, and the full gradient.
fn baseline_entries(budget: Budget, classifier: &dyn Classifier, is_random: bool) -> Vec<Entry> {
    let few = Budget { eot: if is_random { budget.eot.min(8) } else { 1 }, ..budget };
    let all = suite(few, classifier.has_gradient(), is_random);
    let full = if is_random { format!("full gradient, EOT {}", few.eot) } else { "full gradient".to_owned() };
    all.into_iter().filter(|e| e.attack.is_none() || e.name == "blind PGD" || e.name == full).collect()
}

impl Bench<'_> {
    /// The rows of one defence, of which the first is the control.
    fn rows(&self, target: &Target<'_>, entries: &[Entry], settings: &Settings) -> Result<Vec<Row>, Failure> {
        let mut control = Vec::new();
        entries.iter().map(|entry| self.row(target, entry, &mut control, settings)).collect()
    }

    /// One row; `control` holds the shifts of clean inputs once they are known.
    fn row(&self, target: &Target<'_>, entry: &Entry, control: &mut Vec<f64>, settings: &Settings) -> Result<Row, Failure> {
        let started = std::time::Instant::now();
        let count = self.inputs.rows.len();
        let progress = settings.progress(count as u64, "inputs");
        let found = self.workers.map(count, |k| {
            let one = k..k + 1;
            let inputs = self.inputs;
            let found = measure(target, entry, self.counting, &inputs.rows[one.clone()], &self.classes[one.clone()], &inputs.items[one]);
            progress.advance();
            found
        });
        progress.finish();
        let found: Vec<Outcome> = found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let share = |of: &dyn Fn(&Outcome) -> bool| found.iter().filter(|o| of(o)).count() as f64 / found.len().max(1) as f64;
        let attacked: Vec<Vec<f32>> = found.iter().map(|o| o.row.clone()).collect();
        let scores = if entry.attack.is_some() { scores(self.purifier, self.workers, &attacked)? } else { None };
        let shifts: Vec<f64> = found.iter().map(|o| o.shift).collect();
        let shift_auroc = if entry.attack.is_some() { Some(auroc(control, &shifts)) } else { None };
        if entry.attack.is_none() {
            *control = shifts;
        }
        let row = Row {
            defence: target.defence.name(),
            attack: entry.name.clone(),
            single: share(&|o| o.single),
            worst_of_resubmissions: share(&|o| o.worst),
            vote: share(&|o| o.vote),
            abstained: share(&|o| o.abstained),
            detection_auroc: scores.map(|scores| auroc(&self.clean_scores, &scores)),
            shift_auroc,
            seconds: started.elapsed().as_secs_f64(),
        };
        settings.talk(&format!("{}: {}: {:.1} % ({:.0} s)", row.defence, row.attack, 100.0 * row.single, row.seconds));
        Ok(row)
    }
}

/// Detection scores of rows, where a purifier can detect.
fn scores(purifier: Option<&Purifier>, workers: &Workers, rows: &[Vec<f32>]) -> Result<Option<Vec<f64>>, Failure> {
    let Some(purifier) = purifier else { return Ok(None) };
    let found = workers.map(rows.len(), |k| purifier.detect(&[&rows[k]])).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().collect::<Option<Vec<Vec<f64>>>>().map(|scores| scores.concat()))
}

fn check(bench: &Bench<'_>, target: &Target<'_>, budget: Budget) -> Result<Checks, Failure> {
    let count = bench.inputs.rows.len().min(CHECKED);
    let (inputs, classes) = (bench.inputs, bench.classes);
    let each = |k: usize| gradient_cosine(target, &inputs.rows[k], classes[k], inputs.items[k], DIFFERENCE * budget.eps);
    let found = bench.workers.map(count, each).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut cosines: Vec<f64> = found.iter().map(|(cosine, _)| *cosine).collect();
    cosines.sort_by(f64::total_cmp);
    let attack = Attack {
        norm: budget.norm,
        seed: budget.seed,
        eot: if target.defence.is_random() { 4 } else { 1 },
        ..Attack::pgd(budget.eps, budget.steps)
    };
    let steps = |k: usize| losses_by_steps(target, &attack, &inputs.rows[k..=k], &classes[k..=k], &inputs.items[k..=k]);
    let losses = bench.workers.map(count, steps).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mean = |at: usize| losses.iter().map(|l| l[at]).sum::<f64>() / count.max(1) as f64;
    Ok(Checks {
        cosine: cosines.get(cosines.len() / 2).copied().unwrap_or(0.0),
        zero: found.iter().filter(|(_, zero)| *zero).count() as f64 / count.max(1) as f64,
        losses: (0..3).map(mean).collect(),
    })
}

fn table(rows: &[Row], checks: Option<&Checks>, warnings: &[String]) -> String {
    let mut text = format!(
        "{:<28} {:<26} {:>7} {:>7} {:>7} {:>9} {:>7} {:>7}\n",
        "defence", "attack", "single", "worst", "vote", "abstains", "shift", "error"
    );
    for row in rows {
        let area = |auroc: Option<f64>| auroc.map_or_else(|| "-".to_owned(), |a| format!("{a:.3}"));
        text.push_str(&format!(
            "{:<28} {:<26} {:>7.1} {:>7.1} {:>7.1} {:>9.1} {:>7} {:>7}\n",
            row.defence,
            row.attack,
            100.0 * row.single,
            100.0 * row.worst_of_resubmissions,
            100.0 * row.vote,
            100.0 * row.abstained,
            area(row.shift_auroc),
            area(row.detection_auroc)
        ));
    }
    if let Some(checks) = checks {
        let losses: Vec<String> = checks.losses.iter().map(|l| format!("{l:.3}")).collect();
        text.push_str(&format!("gradient against differences: cosine {:.3}; loss by steps: {}\n", checks.cosine, losses.join(", ")));
    }
    if warnings.is_empty() && checks.is_some() {
        text.push_str("no sign of a hidden gradient\n");
    }
    for warning in warnings {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    text
}
