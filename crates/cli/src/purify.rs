//! Purifiers and the classifiers they protect, opened; and the data that purifiers are trained on.

mod inputs;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use langevin_engine::{Checkpoint, RunConfig};
use langevin_nn::Init;
use langevin_purify::{
    Classifier, Examples, ModelConfig, Purifier, Table, Walk,
    data::centred,
    defence::{Decision, Sigma},
    model::PurifyNet,
};

pub(crate) use inputs::{Inputs, Source};

use crate::{audio, models, report::Failure, settings::Settings, values};

/// The shipped purifier of clips.
pub(crate) const DIGITS: &str = "purify-digits";
/// The shipped purifier of a table.
pub(crate) const TABLE: &str = "purify-breast-cancer";
/// The shipped purifier of a series.
pub(crate) const SERIES: &str = "purify-power-demand";
/// Name of the domain in configs.
pub(crate) const DOMAIN: &str = "purify";

/// What is protected, and by what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProtectArgs {
    /// Classifier: an ONNX file (FILE#OUTPUT where it has several outputs), or cmd:COMMAND, a program that reads rows as CSV and prints a line of scores for
    /// each
    #[arg(long, value_name = "FILE|cmd:COMMAND")]
    pub(crate) classifier: String,
    /// Shape of one input, where the classifier does not say it: 1,8000
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = values::whole(1..=100_000_000))]
    pub(crate) input_shape: Vec<u32>,
    /// A WAV file, a folder of WAV files, or a CSV of rows
    #[arg(long, value_name = "FILE|DIR|CSV")]
    pub(crate) input: PathBuf,
    /// Purifier: a shipped name or a file [default: the shipped one for such data]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Column of the class in a CSV: its name, or its number from 0; it is not given to the classifier [default: found]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Names of the classes in the classifier's order, where labels are not their numbers
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) classes: Vec<String>,
}

/// How inputs are purified.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WalkArgs {
    /// Noise that inputs are taken to have, in their own units (standard deviations for rows); `auto` takes it from --eps, or finds it in each input
    #[arg(long, value_name = "auto|S", default_value = "auto", value_parser = sigma)]
    pub(crate) sigma: Sigma,
    /// Steps back to clean data [default: 3 of clips; 1 of rows, whose perturbations a longer walk lets through]
    #[arg(long, value_name = "N", value_parser = values::whole(1..=100))]
    pub(crate) steps: Option<u32>,
    /// Noise added before the way back, as a share of --sigma: less keeps more of the input, more hinders attackers who know the purifier
    /// [default: 1 of clips, 0.1 of rows]
    #[arg(long, value_name = "SHARE", value_parser = values::number(0.0..=1.0))]
    pub(crate) noise: Option<f64>,
    /// Solver of the way back: a name that `langevin list --methods` shows
    #[arg(long, value_name = "NAME", default_value = "ddim")]
    pub(crate) solver: String,
    /// Draws of noise that vote
    #[arg(long, value_name = "N", default_value = "8", value_parser = values::whole(1..=10_000))]
    pub(crate) votes: u32,
    /// What decides: `compared`, the classifier's logits of the purified input, sent further the way that purification moved them where that is long;
    /// or `purified`, those logits alone, which an attacker who knows of the purifier moves less [default: purified for clips with --eps, else compared]
    #[arg(long, value_name = "HOW", value_parser = decision)]
    pub(crate) decision: Option<Decision>,
}

impl WalkArgs {
    /// The walk of a purifier.
    ///
    /// # Errors
    /// No such solver, or one that cannot walk so.
    pub(crate) fn walk(&self, purifier: &Purifier) -> Result<Walk, Failure> {
        let walk = purifier.walk(&self.solver.parse()?, self.steps.map(|steps| steps as usize))?;
        Ok(match self.noise {
            Some(share) => walk.noised(share)?,
            None => walk,
        })
    }

    /// What decides. A bound on perturbations announces an attacker, who may know of the purifier, and of the comparison: on clips that costs more than
    /// the comparison brings.
    pub(crate) fn decision(&self, purifier: &Purifier, is_bound_told: bool) -> Decision {
        let is_clips = matches!(purifier.config(), ModelConfig::Clips(_));
        self.decision.unwrap_or(if is_clips && is_bound_told { Decision::Purified } else { Decision::Compared })
    }
}

fn decision(text: &str) -> Result<Decision, String> {
    match text {
        "compared" => Ok(Decision::Compared),
        "purified" => Ok(Decision::Purified),
        _ => Err("should be compared or purified".into()),
    }
}

fn sigma(text: &str) -> Result<Sigma, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Sigma::Auto);
    }
    values::number(1e-9..=1e6)(text).map(Sigma::Fixed).map_err(|e| format!("{e}, or auto"))
}

/// The purifier's settings of a config, checked.
///
/// # Errors
/// Another domain's config, an unknown key, a number out of range.
pub(crate) fn model_config(config: &RunConfig, source: &Path) -> Result<ModelConfig, Failure> {
    models::model_config(config, source, DOMAIN, ModelConfig::check)
}

/// Labelled examples for a purifier: clips from a folder or a manifest, rows from a CSV.
///
/// # Errors
/// Data of another kind than the model's, or that cannot be read.
pub(crate) fn read_examples(model: &ModelConfig, data: &Path, label: Option<&str>, settings: &Settings) -> Result<Examples, Failure> {
    match model {
        ModelConfig::Clips(config) => {
            let recordings = audio::recordings(data, config.rate, settings)?;
            for note in &recordings.notes {
                settings.talk(&format!("note: {note}"));
            }
            let labels: Vec<String> = recordings.items.iter().map(|item| item.label.clone()).collect();
            Ok(Examples::new(recordings.clips.iter().map(|clip| centred(clip, config.length)).collect(), &labels)?)
        }
        ModelConfig::Rows(_) => Ok(Table::read(data, label, None)?.into_examples()?),
    }
}

/// Says what noise inputs are drowned in, and when the purifier was never trained on it.
pub(crate) fn tell_level(purifier: &Purifier, sigma: Sigma, settings: &Settings) {
    let (least, most) = purifier.config().sigmas();
    match (sigma, purifier.config()) {
        (Sigma::Fixed(sigma), _) => {
            settings.talk(&format!("sigma {sigma}"));
            if !(least..=most).contains(&sigma) {
                settings.talk(&format!("note: the purifier was trained on noise from {least} to {most}; beyond that it guesses"));
            }
        }
        (Sigma::Auto, ModelConfig::Clips(_)) => settings.talk("sigma auto: from the noise in the quietest places of each clip"),
        (Sigma::Auto, ModelConfig::Rows(_)) => settings.talk("sigma auto: the noise under which each row is likeliest, several times over"),
    }
}

/// Opens the classifier that is to be protected.
///
/// # Errors
/// No such classifier, or one that cannot be run.
pub(crate) fn open_classifier(protect: &ProtectArgs, device: &Device) -> Result<Box<dyn Classifier>, Failure> {
    let shape: Vec<usize> = protect.input_shape.iter().map(|&n| n as usize).collect();
    Ok(langevin_purify::open_classifier(&protect.classifier, (!shape.is_empty()).then_some(&*shape), device)?)
}

/// Opens a purifier for inputs, and gives its checkpoint's name and hash.
///
/// # Errors
/// No such checkpoint, one that holds something else, or data that it was not made for.
pub(crate) fn open_purifier(name: Option<&Path>, inputs: &Inputs, device: &Device) -> Result<(Purifier, Checkpoint), Failure> {
    let length = inputs.rows.first().map_or(0, Vec::len);
    let is_clips = matches!(inputs.source, Source::Clips(_));
    let name = match name {
        Some(name) => name.to_owned(),
        None => usual(is_clips, length)?,
    };
    let mut checkpoint = models::open(&name)?;
    let config = model_config(&checkpoint.header.config, &name)?;
    match (&config, is_clips) {
        (ModelConfig::Clips(config), true) => inputs.check_rate(config.rate)?,
        (ModelConfig::Rows(_), false) => {}
        (ModelConfig::Clips(_), false) => return Err(Failure::data("checkpoint", format!("{} purifies clips, not rows", name.display()))),
        (ModelConfig::Rows(_), true) => return Err(Failure::data("checkpoint", format!("{} purifies rows, not clips", name.display()))),
    }
    let net = checkpoint.load(PurifyNet::new(&config, &mut Init::empty(device)))?;
    let purifier = Purifier::new(&config, &checkpoint.constants(), net, device)?;
    purifier.check_length(length)?;
    Ok((purifier, checkpoint))
}

/// The shipped purifier for clips, or for rows of a length.
fn usual(is_clips: bool, length: usize) -> Result<PathBuf, Failure> {
    for name in [DIGITS, TABLE, SERIES].map(Path::new) {
        let Some(shipped) = models::shipped(name) else { continue };
        let fits = match model_config(&shipped.read()?.header.config, name)? {
            ModelConfig::Clips(_) => is_clips,
            ModelConfig::Rows(rows) => !is_clips && rows.columns == length,
        };
        if fits {
            return Ok(name.to_owned());
        }
    }
    let what = if is_clips { "clips".to_owned() } else { format!("rows of {length} numbers") };
    Err(Failure::data("checkpoint", format!("no purifier of {what} is inside the program"))
        .help("give one with --checkpoint; `langevin train purify --data rows.csv -o run/` makes it"))
}
