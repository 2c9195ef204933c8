//! Every environment variable that the program reads. No other file asks the environment for anything.
//!
//! Settings have this strength: flag, then `LANGEVIN_*`, then `--config`, then checkpoint, then default.

use std::ffi::OsString;

/// Device when `--device` is absent: a name that `langevin doctor` lists.
pub(crate) const DEVICE: &str = "LANGEVIN_DEVICE";
/// Number of worker threads when `--threads` is absent.
pub(crate) const THREADS: &str = "LANGEVIN_THREADS";
/// Any value turns colours off (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// `dumb` turns colours off.
pub(crate) const TERM: &str = "TERM";

/// Every variable above, for `langevin doctor`.
pub(crate) const ALL: [&str; 4] = [DEVICE, THREADS, NO_COLOR, TERM];

/// The value of a variable. Empty counts as absent; what is not Unicode is kept readable for the message that refuses it.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value: OsString| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Lines of the workspace's sources (tests and peers aside), with their file.
    fn lines(folder: &Path, into: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a source folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                lines(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("source text");
                into.extend(text.lines().map(|line| (path.display().to_string(), line.to_owned())));
            }
        }
    }

    #[test]
    fn no_other_source_reads_the_environment_or_names_an_unknown_variable() {
        let mut all = Vec::new();
        for krate in ["audio", "cli", "core", "engine", "nn"] {
            lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("src"), &mut all);
        }
        assert!(all.len() > 1000, "the sources were found");
        let named = regex::Regex::new(r"LANGEVIN_[A-Z_]*[A-Z]").expect("a valid pattern");
        let mut known_seen = 0;
        for (file, line) in &all {
            let here = file.ends_with("env.rs");
            assert!(here || !["env::var", "env::vars", "var_os("].iter().any(|call| line.contains(call)), "{file}: {line}");
            for name in named.find_iter(line) {
                assert!(ALL.contains(&name.as_str()), "{file} names {}, which env.rs does not: {line}", name.as_str());
                known_seen += 1;
            }
        }
        assert!(known_seen >= 2, "the pattern finds the variables that exist");
    }
}
