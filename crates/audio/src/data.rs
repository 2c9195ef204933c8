//! Labelled recordings: what training and evaluation read.

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use rayon::prelude::*;

use crate::{
    Error, Item, Note, Result,
    config::Vocabulary,
    io::{list_items, read_wav},
};

/// Recordings at one rate with their names, sorted by file name.
#[derive(Debug)]
pub struct Recordings {
    /// File, label and speaker of each.
    pub items: Vec<Item>,
    /// Mono samples of each.
    pub clips: Vec<Vec<f32>>,
    /// How many files were mixed to mono or resampled, as sentences for the user.
    pub notes: Vec<String>,
}

impl Recordings {
    /// Reads a folder of WAV files named `{label}_{speaker}_{take}.wav`, or a CSV manifest with columns `file,label,speaker`.
    ///
    /// # Errors
    /// For the first file, in sorted order, that is not readable sound; an empty folder is an error too.
    pub fn read(source: &Path, rate: u32) -> Result<Self> {
        match Self::read_observed(source, rate, &|| ControlFlow::Continue(()))? {
            ControlFlow::Continue(all) => Ok(all),
            ControlFlow::Break(()) => unreachable!("nothing stops it"),
        }
    }

    /// As [`read`](Self::read); `observe` is called before each file and may stop it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_observed(source: &Path, rate: u32, observe: &(dyn Fn() -> ControlFlow<()> + Sync)) -> Result<ControlFlow<(), Self>> {
        let items = list_items(source)?;
        let of = |item: &Item| if observe().is_break() { Ok(None) } else { read_wav(&item.path, Some(rate)).map(Some) };
        let read: Vec<_> = items.par_iter().map(of).collect::<Result<_>>()?;
        let Some(read) = read.into_iter().collect::<Option<Vec<_>>>() else { return Ok(ControlFlow::Break(())) };
        let (mut clips, mut changed) = (Vec::with_capacity(items.len()), std::collections::BTreeMap::<String, usize>::new());
        for (clip, notes) in read {
            clips.push(clip.samples);
            notes.iter().map(Note::to_string).for_each(|note| *changed.entry(note).or_default() += 1);
        }
        let notes = changed.into_iter().map(|(note, count)| format!("{count} of {} files: {note}", clips.len())).collect();
        Ok(ControlFlow::Continue(Self { items, clips, notes }))
    }

    /// Takes every tenth recording away as a validation set.
    #[must_use]
    pub fn hold_out(&mut self) -> Self {
        let mut held = Self { items: Vec::new(), clips: Vec::new(), notes: Vec::new() };
        for k in (0..self.items.len()).rev().filter(|k| k % 10 == 9) {
            held.items.push(self.items.remove(k));
            held.clips.push(self.clips.remove(k));
        }
        held
    }

    /// The labels and speakers that occur, sorted.
    pub fn vocabulary(&self) -> Vocabulary {
        let names = |of: fn(&Item) -> &String| self.items.iter().map(|i| of(i).clone()).collect::<BTreeSet<_>>().into_iter().collect();
        Vocabulary { labels: names(|i| &i.label), speakers: names(|i| &i.speaker) }
    }

    /// Numbers of each recording's label and speaker.
    ///
    /// # Errors
    /// [`Error::InFile`] around [`Error::UnknownCondition`] for a recording whose names are not in the vocabulary.
    pub fn numbers(&self, vocabulary: &Vocabulary) -> Result<Vec<(usize, usize)>> {
        let of = |item: &Item| Ok((vocabulary.label(&item.label)?, vocabulary.speaker(&item.speaker)?));
        let named = |item: &Item| of(item).map_err(|e| Error::InFile { path: item.path.clone(), source: Box::new(e) });
        self.items.iter().map(named).collect()
    }
}
