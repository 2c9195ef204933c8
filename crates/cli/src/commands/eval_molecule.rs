//! `langevin eval molecule`.

use std::path::PathBuf;

use langevin_molecule::{
    io::read_set,
    metrics::{Options, Report, Summary, evaluate},
};

use crate::{output, report::Failure, settings::Settings, values};

/// Score conformers: coverage and precision beside references, validity, stereochemistry
///
/// COV-R is the share of references within the threshold of a generated conformer, COV-P the share of generated conformers within it of a
/// reference; MAT-R and MAT-P are the mean distances to the nearest. Distances are RMSDs of heavy atoms, least over the symmetries of the
/// molecule. A molecule that is missing among the generated counts 0 for coverage. Generated records are matched with references by their
/// SMILES (data field `smiles`, or title), else by graph and configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin eval molecule --ref test.sdf.gz --gen out.sdf")]
pub(crate) struct Args {
    /// Reference conformers: SDF or training records (.jsonl), gzipped or not
    #[arg(long = "ref", value_name = "FILE")]
    reference: PathBuf,
    /// Generated conformers, in the same forms; usually twice as many as references
    #[arg(long = "gen", value_name = "FILE")]
    generated: PathBuf,
    /// RMSD up to which a conformer covers another, angstrom: 0.5 is usual for QM9, 0.75 for drugs
    #[arg(long, value_name = "A", default_value = "0.5", value_parser = values::number(0.0..=100.0))]
    threshold: f64,
    /// RMSD below which a generated conformer repeats another, angstrom
    #[arg(long, value_name = "A", default_value = "0.05", value_parser = values::number(0.0..=100.0))]
    duplicate: f64,
    /// Print a line for each molecule, too
    #[arg(long)]
    each: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    // No tensor is made here, but the device bounds the threads.
    settings.open_device()?;
    let reference = read_set(&args.reference)?;
    let generated = read_set(&args.generated)?;
    let mut report = evaluate(&reference, &generated, &Options { threshold: args.threshold, duplicate: args.duplicate });
    if report.missing > 0 {
        let first = report.scores.iter().find(|s| s.coverage.is_none()).map_or("", |s| s.molecule.as_str());
        settings.talk(&format!("note: {} of {} molecules are missing, the first is {first}", report.missing, report.molecules));
    }
    if report.unknown > 0 {
        settings.talk(&format!("note: {} generated molecules have no reference and are not looked at", report.unknown));
    }
    if settings.json {
        if !args.each {
            report.scores.clear();
        }
        return output::json(&report);
    }
    let mut text = table(&report);
    if args.each {
        text.push_str(&each(&report));
    }
    output::data(text.as_bytes())
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: Option<String>| text.push_str(&format!("{name:<22} {}\n", value.as_deref().unwrap_or("-")));
    let summary = |s: Summary| format!("{:.4} mean, {:.4} median", s.mean, s.median);
    let share = |s: f64| format!("{s:.4}");
    let at = format!("(at {} A)", report.threshold);
    row("molecules", Some(format!("{}, {} missing", report.molecules, report.missing)));
    row("conformers", Some(format!("{} generated, {} references", report.generated, report.references)));
    row(&format!("COV-R {at}"), Some(summary(report.cov_r)));
    row("MAT-R (A)", report.mat_r.map(summary));
    row(&format!("COV-P {at}"), Some(summary(report.cov_p)));
    row("MAT-P (A)", report.mat_p.map(summary));
    row("valid", report.valid.map(share));
    row("stereo kept", report.stereo_kept.map(share));
    row("duplicates", report.duplicates.map(share));
    row("W1 bonds (A)", report.wasserstein.bonds.map(share));
    row("W1 angles (deg)", report.wasserstein.angles.map(|v| format!("{v:.3}")));
    row("W1 torsions (deg)", report.wasserstein.torsions.map(|v| format!("{v:.3}")));
    for (fault, count) in &report.faults {
        row(&format!("fault: {fault}"), Some(count.to_string()));
    }
    text
}

fn each(report: &Report) -> String {
    let mut text = String::from("\nCOV-R  MAT-R   COV-P  MAT-P   valid  molecule\n");
    for score in &report.scores {
        match score.coverage {
            Some(c) => text.push_str(&format!("{:.3}  {:.4}  {:.3}  {:.4}", c.cov_r, c.mat_r, c.cov_p, c.mat_p)),
            None => text.push_str("-      -       -      -     "),
        }
        let problem = score.problem.as_ref().map(|p| format!("  ({p})")).unwrap_or_default();
        text.push_str(&format!("  {:>2}/{:<2}  {}{problem}\n", score.valid, score.generated, score.molecule));
    }
    text
}
