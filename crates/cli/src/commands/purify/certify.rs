//! `langevin purify certify`: what no small perturbation can change.

use langevin_purify::{
    Draw, Walk,
    certify::{Certificate, certificate},
    defence::Sigma,
};

use crate::{
    args::SeedArg,
    output,
    purify::{self, Inputs, ProtectArgs},
    report::Failure,
    settings::Settings,
    values,
};

/// Draws of one input that a worker takes at once.
const DRAWS: usize = 8;
/// Draws that choose the class; others bound it.
const CHOOSE: usize = 100;

/// Certify decisions: the length of a perturbation that cannot change them, by noise and one denoising step
///
/// The radius R is Euclidean, in the inputs' units (standard deviations for rows), and holds with confidence 1 - alpha for the vote over
/// noised and denoised copies. R/sqrt(d) is printed beside it: the change of each number when all change alike.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin purify certify --classifier model.onnx --input clips/ --sigma 0.01 --n 1000")]
pub(super) struct Args {
    #[command(flatten)]
    protect: ProtectArgs,
    /// Noise, in the inputs' units (standard deviations for rows)
    #[arg(long, value_name = "S", value_parser = values::number(1e-9..=1e6))]
    sigma: f64,
    /// Draws that bound the class's probability; 100 more choose the class
    #[arg(long, value_name = "N", default_value = "1000", value_parser = values::whole(10..=1_000_000))]
    n: u32,
    /// Probability that a certificate is wrong
    #[arg(long, value_name = "A", default_value = "0.001", value_parser = values::number(1e-9..=0.5))]
    alpha: f64,
    #[command(flatten)]
    seed: SeedArg,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let classifier = purify::open_classifier(&args.protect, &device)?;
    let inputs = Inputs::read(&args.protect.input, args.protect.label.as_deref(), &*classifier, settings)?;
    let (purifier, _) = purify::open_purifier(args.protect.checkpoint.as_deref(), &inputs, &device)?;
    let seed = args.seed.chosen(None, settings);
    purify::tell_level(&purifier, Sigma::Fixed(args.sigma), settings);
    let workers = settings.workers()?;
    let walk = Walk::new(1)?;
    let draws = CHOOSE + args.n as usize;
    let parts = draws.div_ceil(DRAWS);
    let progress = settings.progress(inputs.rows.len() as u64, "inputs");
    let mut certificates: Vec<Certificate> = Vec::with_capacity(inputs.rows.len());
    for (row, &item) in inputs.rows.iter().zip(&inputs.items) {
        let part = |part: usize| {
            let draws: Vec<Draw> = (part * DRAWS..draws.min((part + 1) * DRAWS)).map(|vote| Draw { item, vote: vote as u32 }).collect();
            let voted = purifier.votes(&*classifier, row, args.sigma, &walk, seed, &draws)?;
            let best = |logits: &[f32]| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
            Ok(voted.iter().map(|(_, logits)| best(logits)).collect::<Vec<_>>())
        };
        let classes = workers.map(parts, part).into_iter().collect::<Result<Vec<_>, langevin_purify::Error>>()?.concat();
        let (choose, bound) = classes.split_at(CHOOSE);
        certificates.push(certificate(choose, bound, args.sigma, args.alpha));
        progress.advance();
    }
    progress.finish();
    let root = (classifier.input_len() as f64).sqrt();
    if settings.json {
        let items: Vec<_> = inputs
            .names
            .iter()
            .zip(&certificates)
            .map(|(name, c)| {
                serde_json::json!({
                    "name": name, "class": c.class, "probability_bound": c.bound, "radius_l2": c.radius, "radius_per_number": c.radius / root
                })
            })
            .collect();
        return output::json(&serde_json::json!({ "sigma": args.sigma, "n": args.n, "alpha": args.alpha, "items": items }));
    }
    let mut text = String::from("input\tclass\tbound\tR (L2)\tR/sqrt(d)\n");
    for (name, c) in inputs.names.iter().zip(&certificates) {
        let class = c.class.map_or_else(|| "abstains".to_owned(), |class| class.to_string());
        text.push_str(&format!("{name}\t{class}\t{:.4}\t{:.5}\t{:.7}\n", c.bound, c.radius, c.radius / root));
    }
    output::data(text.as_bytes())
}
