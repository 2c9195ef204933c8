//! Where results go: stdout is data, stderr is talk, and files appear whole or not at all.

mod stream;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use langevin_engine::{Verbosity, checkpoint::write_whole};
use serde::Serialize;

pub(crate) use stream::Stream;

use crate::report::Failure;

/// Version of the JSON that commands print; it rises when a field changes its meaning or goes away.
pub(crate) const SCHEMA_VERSION: u32 = 1;
/// The path that means stdout.
pub(crate) const STDOUT: &str = "-";

/// Writes data to stdout.
///
/// # Errors
/// Ends the command, as a success, when the reader closed the pipe; else what the system refuses.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::closed_pipe()),
        Err(e) => Err(Failure::io(Path::new("stdout"), e)),
    }
}

/// Prints a line of text as data.
///
/// # Errors
/// As [`data`].
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    data(format!("{text}\n").as_bytes())
}

/// Prints one JSON object on one line, with `schema_version` as its first field.
///
/// # Errors
/// As [`data`].
pub(crate) fn json(object: &impl Serialize) -> Result<(), Failure> {
    line(&to_json(object)?)
}

fn to_json(object: &impl Serialize) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        schema_version: u32,
        #[serde(flatten)]
        object: &'a T,
    }
    let text = serde_json::to_string(&Versioned { schema_version: SCHEMA_VERSION, object });
    text.map_err(|e| Failure::data("json", "the result cannot be written as JSON").because(e))
}

/// Talks to the user on stderr, unless told to be quiet. A closed stderr is not worth stopping for.
pub(crate) fn talk(verbosity: Verbosity, text: &str) {
    if verbosity > Verbosity::Quiet {
        writeln!(io::stderr().lock(), "{text}").ok();
    }
}

/// Checks, before work starts, that a result can go to `path`: an ordinary file that is new or may be replaced.
///
/// # Errors
/// A folder, a device, an existing file without `force`, or a folder around it that is not there.
pub(crate) fn claim(path: &Path, force: bool) -> Result<(), Failure> {
    if path == Path::new(STDOUT) {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Failure::data("output", format!("{} is a folder, but a file is to be written", path.display()))
            .help("give the name of a file in it")),
        // Renaming a finished file over a device would replace the device.
        Ok(found) if !found.is_file() => {
            Err(Failure::data("output", format!("{} is not an ordinary file", path.display()))
                .help("give the name of a file, or - for stdout"))
        }
        Ok(_) if !force => Err(Failure::data("output", format!("{} is already there", path.display()))
            .help("choose another name, or give --force to replace it")),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => around(path),
        Err(e) => Err(Failure::io(path, e)),
    }
}

/// Refuses outputs that would replace what is read, `--force` or not, or that are named twice.
///
/// # Errors
/// The first such path.
pub(crate) fn apart<'a>(inputs: impl IntoIterator<Item = &'a Path>, outputs: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    let inputs: BTreeSet<PathBuf> = inputs.into_iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let mut seen = BTreeSet::new();
    for path in outputs {
        if fs::canonicalize(path).is_ok_and(|path| inputs.contains(&path)) {
            return Err(
                Failure::data("output", format!("{} is the input, and would be overwritten", path.display())).help("give another name")
            );
        }
        if !seen.insert(place(path)) {
            return Err(Failure::usage("output", format!("{} is named for two outputs", path.display())).help("give each its own name"));
        }
    }
    Ok(())
}

/// Where a file is or will be, however its path is written.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let joined = fs::canonicalize(folder).ok().zip(path.file_name()).map(|(folder, name)| folder.join(name));
    fs::canonicalize(path).ok().or(joined).unwrap_or_else(|| path.to_owned())
}

/// The folder around a new file has to be there.
fn around(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Failure::data("output", format!("{} is a file, so {} cannot be written", folder.display(), path.display()))),
        Err(e) => Err(Failure::io(folder, e).help(format!("make the folder {} first", folder.display()))),
    }
}

/// Puts a claimed result where it belongs: stdout for `-`, else a file, whole or not at all.
///
/// # Errors
/// As [`data`] and [`write_whole`].
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new(STDOUT) { data(bytes) } else { Ok(write_whole(path, bytes)?) }
}

/// A folder for results. Folders made for it go away again if nothing was written into them.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Folders that were not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// The path, or one above it, is a file; the system refuses.
    pub(crate) fn claim(path: &Path) -> Result<Self, Failure> {
        let mut made = Vec::new();
        for folder in path.ancestors().filter(|p| !p.as_os_str().is_empty()) {
            match fs::metadata(folder) {
                Ok(found) if found.is_dir() => break,
                Ok(_) => {
                    return Err(Failure::data("output", format!("{} is a file, but a folder is wanted there", folder.display()))
                        .help("give the name of a folder, new or not"));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => made.push(folder.to_owned()),
                Err(e) => return Err(Failure::io(folder, e)),
            }
        }
        let folder = Self { path: path.to_owned(), made };
        fs::create_dir_all(path).map_err(|e| Failure::io(path, e))?;
        Ok(folder)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks, before work starts, that `name` can be written into it, and gives the path. See [`claim`].
    ///
    /// # Errors
    /// As [`claim`].
    pub(crate) fn file(&self, name: &str, force: bool) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        claim(&path, force)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only an empty folder can be removed, so a result keeps its folder and those above it.
        for folder in &self.made {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl Sized, Failure>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn json_carries_its_version_first() {
        #[derive(Serialize)]
        struct One {
            a: u8,
        }
        assert_eq!(to_json(&One { a: 3 }).expect("serialises"), r#"{"schema_version":1,"a":3}"#);
    }

    #[test]
    fn files_are_claimed_before_work() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |name: &str| folder.path().join(name);
        assert!(claim(&at("new"), false).is_ok() && claim(Path::new("-"), false).is_ok());
        assert!(message(claim(folder.path(), true)).contains("is a folder"));
        assert!(message(claim(&at("no/where"), true)).contains("no"));
        fs::write(at("old"), "x").expect("writable");
        assert!(message(claim(&at("old"), false)).contains("already there"));
        assert!(claim(&at("old"), true).is_ok());
        assert!(claim(&at("old/below"), true).is_err());
        #[cfg(unix)]
        assert!(message(claim(Path::new("/dev/null"), true)).contains("not an ordinary file"));
        put(&at("old"), b"new").expect("writable");
        assert_eq!(fs::read(at("old")).expect("there"), b"new");
    }

    #[test]
    fn what_is_read_is_never_written_and_nothing_twice() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("in"), "x").expect("writable");
        let (read, other, roundabout) = (at("in"), at("out"), at(".").join("in"));
        assert!(apart([read.as_path()], [other.as_path(), at("more").as_path()]).is_ok());
        assert!(message(apart([read.as_path()], [other.as_path(), roundabout.as_path()])).contains("is the input"));
        assert!(message(apart([read.as_path()], [other.as_path(), at("./out").as_path()])).contains("two outputs"));
        assert!(apart([Path::new("-")], [other.as_path()]).is_ok());
    }

    #[test]
    fn folders_without_results_go_away() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let deep = folder.path().join("a/b/c");
        let claimed = Folder::claim(&deep).expect("can be made");
        assert!(deep.is_dir());
        drop(claimed);
        assert!(!folder.path().join("a").exists() && folder.path().is_dir());

        let claimed = Folder::claim(&deep).expect("can be made");
        let file = claimed.file("x", false).expect("new");
        put(&file, b"1").expect("writable");
        assert!(claimed.file("x", false).is_err());
        drop(claimed);
        assert!(deep.join("x").is_file());

        fs::remove_file(deep.join("x")).expect("there");
        drop(Folder::claim(&deep).expect("there"));
        assert!(deep.is_dir(), "a folder that was there before stays");
    }

    #[test]
    fn a_file_is_no_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("f");
        fs::write(&file, "x").expect("writable");
        assert!(message(Folder::claim(&file)).contains("is a file"));
        assert!(Folder::claim(&file.join("below")).is_err());
        assert!(file.is_file());
    }
}
