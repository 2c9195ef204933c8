//! What a command says when it does not succeed: one type with the exit code, the message and what to do next.

mod convert;

use std::{error::Error as StdError, fmt, io::IsTerminal as _, io::Write as _, process::ExitCode};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::env;

/// How the program ends; the numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or the reader of our output closed the pipe.
    Done = 0,
    /// Input or data is wrong.
    Data = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Finished, but some rows failed; each is named.
    Partial = 3,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), help: None, source: None }
    }

    /// Something is wrong with input or data.
    pub(crate) fn data(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Exit::Data, code, message)
    }

    /// Something is wrong with the command line.
    pub(crate) fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// Some rows of the input failed; the others are done.
    pub(crate) fn partial(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Exit::Partial, code, message)
    }

    /// The reader of stdout went away: not a failure for anyone, but the command has to end.
    pub(crate) fn closed_pipe() -> Self {
        Self::new(Exit::Done, "pipe", "stdout was closed")
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Shows the failure on stderr, if it is one, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.exit != Exit::Done {
            let text = self.render(std::io::stderr().is_terminal(), colours(std::io::stderr().is_terminal()));
            // Nobody is left to tell when stderr itself is closed.
            std::io::stderr().lock().write_all(text.as_bytes()).ok();
        }
        self.exit.into()
    }

    /// The text for a terminal, or the plain one for pipes and logs.
    fn render(&self, terminal: bool, colours: bool) -> String {
        let theme = match (terminal, colours) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, _) => GraphicalTheme::ascii(),
        };
        let theme = if colours { theme } else { GraphicalTheme { styles: miette::ThemeStyles::none(), ..theme } };
        let mut text = String::new();
        // Lines are not wrapped: paths and commands have to stay whole to be copied.
        let handler = GraphicalReportHandler::new_themed(theme).with_wrap_lines(false).with_links(false);
        match handler.render_report(&mut text, self) {
            Ok(()) => text,
            Err(fmt::Error) => format!("error: {self}\n"),
        }
    }
}

/// Whether text for a stream may be coloured.
fn colours(terminal: bool) -> bool {
    terminal && env::get(env::NO_COLOR).is_none() && env::get(env::TERM).is_none_or(|term| term != "dumb")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message))
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("langevin::{}", self.code)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(printable(help)) as Box<dyn fmt::Display>)
    }
}

/// Text from a file made safe to print: control characters, which could drive a terminal, become `?`.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
}

/// A panic is a bug of ours: says so, with the place, once.
pub(crate) fn install_panic_hook() {
    let told = std::sync::atomic::AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| {
        // A worker's panic is raised again in the thread that waits for it; one message is enough.
        if told.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        let cause = info.payload_as_str().unwrap_or("no message");
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("langevin {version}: this is a bug, please report it with the command that you ran\n  at {place}: {cause}\n");
        std::io::stderr().lock().write_all(text.as_bytes()).ok();
    }));
}

/// Runs something whose panics are answers (a GPU driver that is not there), without calling them bugs.
///
/// # Errors
/// What the panic said.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = std::panic::catch_unwind(work);
    std::panic::set_hook(hook);
    done.map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        text.unwrap_or_else(|| "unknown reason".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_message_cause_help_and_no_escapes() {
        let cause = std::io::Error::other("the disk is on fire");
        let text = Failure::data("x", "cannot write a\u{1b}[31mb").because(cause).help("buy another disk").render(false, false);
        for part in ["langevin::x", "cannot write a?[31mb", "the disk is on fire", "buy another disk"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}') && text.is_ascii(), "{text}");
    }

    #[test]
    fn colours_only_when_asked() {
        let failure = Failure::usage("x", "m");
        assert!(failure.render(true, true).contains('\u{1b}'));
        assert!(!failure.render(true, false).contains('\u{1b}'));
    }

    #[test]
    fn long_lines_stay_whole() {
        let path = "long/".repeat(60);
        assert!(Failure::data("x", &path).render(false, false).contains(&path));
    }

    #[test]
    fn quiet_panics_become_text() {
        assert_eq!(quietly(|| -> u8 { panic!("no driver {}", 7) }), Err("no driver 7".to_owned()));
        assert_eq!(quietly(|| 3), Ok(3));
    }

    #[test]
    #[ignore = "run by the next test, in a process of its own"]
    #[should_panic(expected = "out of cheese")]
    fn panics_on_purpose() {
        install_panic_hook();
        panic!("out of cheese");
    }

    #[test]
    fn a_panic_is_told_as_a_bug_with_its_place() {
        let this = std::env::current_exe().expect("a test has a file");
        let test = ["--ignored", "--exact", "--nocapture", "report::tests::panics_on_purpose"];
        let output = std::process::Command::new(this).args(test).output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(["this is a bug", "report.rs:", "out of cheese"].iter().all(|word| told.contains(word)), "{told}");
        assert!(!told.contains("panicked at"), "{told}");
    }
}
