//! Gaps filled by an n-gram model.

use std::collections::HashMap;

use super::KneserNey;

/// Texts so far that are kept at each token.
const WIDTH: usize = 256;
/// Tokens that are less likely than the likeliest by more than this are not followed.
const LEAST: f64 = 1e-6;

/// A text so far.
struct Path {
    nats: f64,
    /// Its last tokens, on which what follows depends.
    last: Vec<u32>,
    /// Its last step.
    step: usize,
}

impl KneserNey {
    /// The likeliest text whose tokens are those given, apart from the hidden ones: a search that keeps the 256 likeliest of the texts
    /// so far that differ in their last `order - 1` tokens.
    pub fn fill(&self, tokens: &[u32], hidden: u32) -> Vec<u32> {
        let reach = self.order() - 1;
        // Each step: a token, and the step before it.
        let mut steps: Vec<(u32, usize)> = Vec::new();
        let mut kept = vec![Path { nats: 0.0, last: Vec::new(), step: usize::MAX }];
        for &token in tokens {
            // The best way to each state, and the path that it continues.
            let mut best: HashMap<Vec<u32>, (f64, u32, usize)> = HashMap::new();
            for path in &kept {
                let choices: Vec<(u32, f64)> = if token == hidden {
                    let p = self.next(&path.last);
                    let least = LEAST * p.iter().copied().fold(0.0, f64::max);
                    (0..).zip(p).filter(|&(_, p)| p >= least).collect()
                } else {
                    vec![(token, self.probability(&path.last, token))]
                };
                for (choice, p) in choices {
                    let nats = path.nats - p.ln();
                    let start = (path.last.len() + 1).saturating_sub(reach).min(path.last.len());
                    let mut last = path.last[start..].to_vec();
                    last.extend((reach > 0).then_some(choice));
                    let known = best.entry(last).or_insert((f64::INFINITY, choice, path.step));
                    if nats < known.0 {
                        *known = (nats, choice, path.step);
                    }
                }
            }
            let mut found: Vec<(Vec<u32>, (f64, u32, usize))> = best.into_iter().collect();
            found.sort_by(|a, b| a.1.0.total_cmp(&b.1.0).then_with(|| a.0.cmp(&b.0)));
            found.truncate(WIDTH);
            kept = found
                .into_iter()
                .map(|(last, (nats, choice, before))| {
                    steps.push((choice, before));
                    Path { nats, last, step: steps.len() - 1 }
                })
                .collect();
        }
        let mut text = Vec::with_capacity(tokens.len());
        let mut at = kept.first().map_or(usize::MAX, |path| path.step);
        while let Some(&(token, before)) = steps.get(at) {
            text.push(token);
            at = before;
        }
        text.reverse();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Corpus, Tokenizer, TokenizerSpec};

    #[test]
    fn gaps_are_filled_from_both_sides_and_the_rest_stays() {
        let tokenizer = Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap();
        let corpus = Corpus::from_text(&"the cat sat on the mat and the dog sat on the log ".repeat(4), &tokenizer).unwrap();
        let model = KneserNey::learn(&corpus, 27, 6).unwrap();
        let fill = |text: &str| {
            let classes = |c: char| if c == '_' { tokenizer.hidden() } else { tokenizer.encode(&c.to_string()).unwrap()[0] };
            tokenizer.decode(&model.fill(&text.chars().map(classes).collect::<Vec<u32>>(), tokenizer.hidden()))
        };
        assert_eq!(fill("the _at s_t on t_e mat"), "the cat sat on the mat");
        // What comes after decides.
        assert_eq!(fill("and the ___ sat"), "and the dog sat");
        assert_eq!(fill("qqq"), "qqq");
        assert_eq!(fill(""), "");
    }
}
