//! Progress on stderr: a bar on a terminal, a line now and then otherwise, nothing when quiet.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What a user needs.
    #[default]
    Normal,
    /// Also what a developer needs.
    Verbose,
}

/// Shows how far a loop is, its rate and the time left.
#[derive(Debug)]
pub struct Progress {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Silent,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

#[derive(Debug)]
struct Lines {
    total: u64,
    first: u64,
    done: u64,
    message: String,
    started: Instant,
    last: Instant,
}

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Progress towards `total` units, of which `done` are already there (a resumed run).
    pub fn new(verbosity: Verbosity, total: u64, done: u64, unit: &str) -> Self {
        let sink = if verbosity == Verbosity::Quiet {
            Sink::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_position(done);
            let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.reset_eta();
            Sink::Bar(bar)
        } else {
            let now = Instant::now();
            Sink::Lines(Mutex::new(Lines { total, first: done, done, message: String::new(), started: now, last: now }))
        };
        Self { sink }
    }

    /// Counts one unit.
    pub fn advance(&self) {
        match &self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => bar.inc(1),
            Sink::Lines(lines) => {
                if let Ok(mut lines) = lines.lock() {
                    lines.done += 1;
                    lines.tick();
                }
            }
        }
    }

    /// Sets the text beside the bar: the current loss, for instance.
    pub fn message(&self, text: String) {
        match &self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => bar.set_message(text),
            Sink::Lines(lines) => {
                if let Ok(mut lines) = lines.lock() {
                    lines.message = text;
                }
            }
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn tick(&mut self) {
        if self.last.elapsed() < LINE_EVERY {
            return;
        }
        self.last = Instant::now();
        let rate = (self.done - self.first) as f64 / self.started.elapsed().as_secs_f64();
        let left = (self.total.saturating_sub(self.done)) as f64 / rate.max(1e-9);
        // A closed stderr is no reason to stop.
        writeln!(std::io::stderr(), "{}/{}  {rate:.1}/s  {left:.0} s left  {}", self.done, self.total, self.message).ok();
    }
}
