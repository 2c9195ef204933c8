//! A classifier that is another program: rows in as lines of numbers, scores out as lines of numbers, no gradient.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use burn::tensor::{Device, Tensor, TensorData};

use crate::{Classifier, Error, Result, classifier::check_length};

/// Most bytes of output that are read; a program that prints without end is cut off here.
const MOST: u64 = 1 << 28;
/// How often a program that has closed its output is asked whether it has ended.
const POLL: Duration = Duration::from_millis(2);

/// A program that reads one row a line from standard input, numbers separated by commas, and prints one line of scores a row: numbers
/// separated by commas or spaces, one a class. It is started by the system's shell once a batch and reads until its input ends.
#[derive(Clone, Debug)]
pub struct CommandClassifier {
    command: String,
    input_shape: Vec<usize>,
    classes: usize,
    limit: Duration,
}

impl CommandClassifier {
    /// Runs the command once on a row of zeros to see how many classes there are. `limit` is the longest that one batch may take.
    ///
    /// # Errors
    /// [`Error::Format`] when it cannot be started, fails, takes too long, or prints something else than scores.
    pub fn open(command: &str, input_shape: &[usize], limit: Duration) -> Result<Self> {
        let mut classifier = Self { command: command.to_string(), input_shape: input_shape.to_vec(), classes: 0, limit };
        let zeros = Tensor::zeros([1, classifier.input_len()], &Device::default());
        classifier.classes = classifier.logits(zeros)?.dims()[1];
        Ok(classifier)
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Format { path: PathBuf::from(format!("cmd:{}", self.command)), reason: reason.into() }
    }

    fn start(&self) -> Result<Child> {
        let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
        let mut command = Command::new(shell);
        command.arg(flag).arg(&self.command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|e| self.refuse(format!("the command cannot be started: {e}")))
    }

    /// What the command prints on this input.
    fn exchange(&self, input: String) -> Result<String> {
        let deadline = Instant::now() + self.limit;
        let mut child = self.start()?;
        // Three pipes, three threads: a program may print before it has read everything.
        let mut stdin = child.stdin.take().ok_or_else(|| self.refuse("the command has no input"))?;
        thread::spawn(move || {
            // A program that has read enough closes its end; what it printed is checked instead.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = read(child.stdout.take());
        let talk = read(child.stderr.take());
        let late = |child: &mut Child| {
            let _ = child.kill();
            let _ = child.wait();
            let remedy = "see whether it reads until its input ends, or give it fewer rows or more time";
            self.refuse(format!("the command took longer than {:.1} s; {remedy}", self.limit.as_secs_f64()))
        };
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        let Ok(printed) = output.recv_timeout(left(deadline)) else { return Err(late(&mut child)) };
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                Ok(None) => return Err(late(&mut child)),
                Err(e) => return Err(self.refuse(format!("the command cannot be waited for: {e}"))),
            }
        };
        if !status.success() {
            let talk = talk.recv_timeout(left(deadline)).unwrap_or_default();
            return Err(self.refuse(failure(status, &String::from_utf8_lossy(&talk))));
        }
        String::from_utf8(printed).map_err(|_| self.refuse("the command printed something that is no text"))
    }

    /// Scores of `rows` rows.
    fn scores(&self, printed: &str, rows: usize) -> Result<(Vec<f32>, usize)> {
        let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.len() != rows {
            return Err(
                self.refuse(format!("the command printed {} lines of scores for {rows} rows; one line a row is expected", lines.len()))
            );
        }
        let mut scores = Vec::new();
        let mut classes = (self.classes > 0).then_some(self.classes);
        for (k, line) in lines.into_iter().enumerate() {
            let before = scores.len();
            for word in line.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
                let score = word.parse::<f32>().ok().filter(|score| score.is_finite());
                scores.push(
                    score.ok_or_else(|| self.refuse(format!("line {} of the command's output: `{word}` is no finite number", k + 1)))?,
                );
            }
            let found = scores.len() - before;
            let expected = *classes.get_or_insert(found);
            if found != expected {
                return Err(self.refuse(format!("line {} of the command's output has {found} scores, expected {expected}", k + 1)));
            }
        }
        let classes = classes.unwrap_or(0);
        if classes < 2 {
            return Err(self.refuse(format!("the command printed {classes} score a row; two classes are the least")));
        }
        Ok((scores, classes))
    }
}

/// Reads a pipe to its end on another thread.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error is judged like everything else.
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        // Nobody listens after a time-out.
        let _ = sender.send(bytes);
    });
    receiver
}

fn failure(status: ExitStatus, talk: &str) -> String {
    let last = talk.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()));
    format!("the command failed ({status}){}", last.unwrap_or_default())
}

impl Classifier for CommandClassifier {
    fn name(&self) -> &str {
        &self.command
    }

    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn has_gradient(&self) -> bool {
        false
    }

    fn logits(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        let ([count, len], device) = (rows.dims(), rows.device());
        check_length(self, len).map_err(|reason| self.refuse(format!("the command {reason}")))?;
        if count == 0 {
            return Ok(Tensor::zeros([0, self.classes], &device));
        }
        let values = rows.try_into_vec_as::<f32>().map_err(|e| self.refuse(format!("rows cannot be read: {e}")))?;
        let mut lines = String::with_capacity(values.len() * 12);
        for row in values.chunks_exact(len.max(1)) {
            for (k, value) in row.iter().enumerate() {
                // Writing into a string cannot fail.
                let _ = write!(lines, "{}{value}", if k == 0 { "" } else { "," });
            }
            lines.push('\n');
        }
        let printed = self.exchange(lines)?;
        let (scores, classes) = self.scores(&printed, count)?;
        Ok(Tensor::from_data(TensorData::new(scores, [count, classes]), &device))
    }
}
