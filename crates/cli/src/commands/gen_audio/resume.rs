//! Folders whose filling was stopped: what their manifest lists is not made again.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use super::{
    changed::Document,
    targets::{Entry, MANIFEST},
};
use crate::report::Failure;

/// Keys of a manifest that say how far it is, not what is made.
const PROGRESS: [&str; 3] = ["network_evaluations", "complete", "clips"];

/// The results, by name of file, that a run of the same settings left in a folder when it was stopped. None where there is no such folder; one that
/// holds another job, or a complete one, is left to the claim on its names.
///
/// # Errors
/// Settings that cannot be written as JSON.
pub(super) fn kept(folder: &Path, document: &Document) -> Result<Option<BTreeMap<String, Entry>>, Failure> {
    let Ok(text) = fs::read_to_string(folder.join(MANIFEST)) else { return Ok(None) };
    let wanted = serde_json::to_string(document).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))?;
    Ok(same_job(&text, &wanted)
        .map(|entries| entries.into_iter().filter(|e| folder.join(&e.file).is_file()).map(|e| (e.file.clone(), e)).collect()))
}

/// The entries of a manifest that is not complete and has the settings of another one.
fn same_job(found: &str, wanted: &str) -> Option<Vec<Entry>> {
    let (mut found, mut wanted) = (serde_json::from_str::<Value>(found).ok()?, serde_json::from_str::<Value>(wanted).ok()?);
    if found.get("complete") != Some(&Value::Bool(false)) {
        return None;
    }
    let clips = found.get_mut("clips")?.take();
    for manifest in [&mut found, &mut wanted] {
        let settings = manifest.as_object_mut()?;
        PROGRESS.iter().for_each(|key| drop(settings.remove(*key)));
    }
    if found == wanted { serde_json::from_value(clips).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_run_of_the_same_settings_is_known() {
        let clip = r#"{"file":"a.wav","from":["a.wav"],"from_hash":["0"],"seconds":0.5,"peak":0.5,"rms":0.1,"network_evaluations":8}"#;
        let manifest = |seed: u32, complete: bool, clips: &str| {
            format!(
                r#"{{"use":"from","seed":{seed},"range":[0.1,0.30000000000000004],"network_evaluations":1,"complete":{complete},"clips":[{clips}]}}"#
            )
        };
        let wanted = manifest(3, false, "");
        let kept = same_job(&manifest(3, false, clip), &wanted).expect("the same job");
        assert_eq!(kept.iter().map(|e| (e.file.as_str(), e.network_evaluations)).collect::<Vec<_>>(), [("a.wav", 8)]);
        assert!(same_job(&manifest(4, false, clip), &wanted).is_none(), "another seed");
        assert!(same_job(&manifest(3, true, clip), &wanted).is_none(), "complete");
        assert!(same_job("{", &wanted).is_none() && same_job(&manifest(3, false, "{}"), &wanted).is_none(), "no manifest of ours");
    }
}
