//! One block after the other, each given those before.

use std::ops::ControlFlow;

use super::{Predict, Writing, draft::Draft};

impl<P: Predict> Writing<'_, P> {
    /// Writes from left to right in blocks. What is given right of a block is not seen by it. A cache holds what is before; when it is full, the last half
    /// of the context is read once more into a new one, so that the cost stays linear in the length.
    pub(super) fn by_blocks(&self, draft: &mut Draft<'_>) -> ControlFlow<()> {
        let (block, context) = (self.request.sampling.block, self.model.context());
        let Some(place) = draft.next_hidden(0) else { return ControlFlow::Continue(()) };
        let mut first = place / block * block;
        draft.settled = place;
        let mut start = first.saturating_sub(context - block);
        let mut cache = self.read(draft, start, first)?;
        while let Some(next) = draft.next_hidden(first) {
            if first + block - start > context {
                start = first - context / 2 / block * block;
                cache = self.read(draft, start, first)?;
            }
            let places = draft.hidden_places(first..(first + block).min(draft.len()));
            let hidden = draft.hidden;
            let look = |tokens: &[u32]| {
                let tokens = self.repeated(&whole_block(tokens, first, block, hidden));
                self.combined(self.model.after(&cache, &tokens, self.conditions(&[])))
            };
            self.fill(draft, &places, first, &look)?;
            first += block;
            draft.settled = draft.next_hidden(next).unwrap_or(draft.len());
            if draft.next_hidden(first).is_some() {
                self.push(draft, &mut cache, first - block)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// A cache of the blocks from `start` to `end`.
    fn read(&self, draft: &mut Draft<'_>, start: usize, end: usize) -> ControlFlow<(), P::Cache> {
        let mut cache = self.model.cache(self.labels.len());
        for first in (start..end).step_by(self.request.sampling.block) {
            self.push(draft, &mut cache, first)?;
        }
        ControlFlow::Continue(cache)
    }

    fn push(&self, draft: &mut Draft<'_>, cache: &mut P::Cache, first: usize) -> ControlFlow<()> {
        let tokens = draft.tokens[first..first + self.request.sampling.block].to_vec();
        self.model.push(cache, &self.repeated(&tokens), self.conditions(&[]));
        draft.evaluated()
    }
}

/// A block, filled up with hidden tokens beyond the end of the text: the network knows whole blocks only.
fn whole_block(tokens: &[u32], first: usize, block: usize, hidden: u32) -> Vec<u32> {
    let mut own = tokens[first..(first + block).min(tokens.len())].to_vec();
    own.resize(block, hidden);
    own
}
