//! Model cards: what a checkpoint was made of, how good it is, and how anyone can check that.

use serde::{Deserialize, Serialize};

/// What a user must know of a checkpoint before using it. Stored inside the checkpoint and printed by `langevin info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// One sentence: what it does.
    pub about: String,
    /// What it was trained on.
    pub data: String,
    /// Licence of that data and of the weights.
    pub licence: String,
    /// Which part was for training, choosing and reporting.
    pub split: String,
    /// What it should not be used for, and where it fails.
    pub limits: String,
    /// The commands that made it, one a line: a run that starts from another's weights adds its own.
    pub command: String,
    /// Training steps of the chosen weights.
    pub steps: u32,
    /// Seed of the training run.
    pub seed: u64,
    /// Best validation score (lower is better) and what it is.
    pub validation: Option<f64>,
    /// Day it was made, `YYYY-MM-DD`; set when a checkpoint is packed for shipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Wall-clock seconds of training and the machine; set when a checkpoint is packed for shipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_time: Option<String>,
    /// Measured scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// One measured number and the command that measured it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Name.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Command that prints it.
    pub command: String,
}

impl Card {
    /// The card as Markdown, under a title.
    pub fn to_markdown(&self, title: &str) -> String {
        let mut text = format!("# {title}\n\n{}\n\n", self.about);
        let mut row = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("- **{name}**: {value}\n"));
            }
        };
        row("Data", &self.data);
        row("Licence", &self.licence);
        row("Split", &self.split);
        row("Limits", &self.limits);
        let commands: Vec<String> = self.command.lines().map(|line| format!("`{line}`")).collect();
        row("Made by", &commands.join(", then "));
        row("Steps", &self.steps.to_string());
        row("Seed", &self.seed.to_string());
        row("Validation score", &self.validation.map(|v| format!("{v:.5}")).unwrap_or_default());
        row("Date", self.date.as_deref().unwrap_or_default());
        row("Training time", self.training_time.as_deref().unwrap_or_default());
        if !self.metrics.is_empty() {
            text.push_str("\n| metric | value | command |\n|---|---|---|\n");
            for metric in &self.metrics {
                text.push_str(&format!("| {} | {:.4} | `{}` |\n", metric.name, metric.value, metric.command));
            }
        }
        text
    }
}
