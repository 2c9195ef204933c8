//! The whole context at once; longer texts in windows that overlap.

use std::ops::{ControlFlow, Range};

use super::{Predict, Writing, draft::Draft};

impl<P: Predict> Writing<'_, P> {
    /// Writes window after window from the first hidden token on.
    pub(super) fn by_windows(&self, draft: &mut Draft<'_>) -> ControlFlow<()> {
        draft.settled = draft.next_hidden(0).unwrap_or(draft.len());
        while let Some(place) = draft.next_hidden(draft.settled) {
            let (window, until) = self.window(draft, place);
            let places = draft.hidden_places(place..until);
            match &self.chain {
                Some(chain) => self.walk(draft, chain, &places, window)?,
                None => {
                    let look =
                        |tokens: &[u32]| self.combined(self.model.whole(&self.repeated(&tokens[window.clone()]), self.conditions(&[])));
                    self.fill(draft, &places, window.start, &look)?;
                }
            }
            draft.settled = draft.next_hidden(until).unwrap_or(draft.len());
            draft.tell()?;
        }
        ControlFlow::Continue(())
    }

    /// The window for a hidden place, half of it before that place, and up to where it is written: near its end the next window knows more, unless
    /// nothing is given there.
    fn window(&self, draft: &Draft<'_>, place: usize) -> (Range<usize>, usize) {
        let (context, len) = (self.model.context(), draft.len());
        if len <= context {
            return (0..len, len);
        }
        let start = place.saturating_sub(context / 2).min(len - context);
        let (end, margin) = (start + context, context / 4);
        let is_open = self.chain.is_some() || (end - margin..end).all(|place| draft.is_hidden(place));
        (start..end, if end == len || is_open { end } else { end - margin })
    }
}
