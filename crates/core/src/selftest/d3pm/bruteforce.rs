//! Exact bounds and likelihoods of short sequences under a toy denoiser.

use super::{At, CLOSED, Report, SelftestError, chain, softmax};
use crate::{
    process::categorical::{Chain, Form, absorbing::continuous_bound, bits_per_token, enumerate::Model, kernel, schedule},
    selftest::report::Compare,
};

/// The formula of the toy denoiser that is known here, without spaces.
const FORMULA: &str = "logit[i][k]=1.5*sin(a*(k+1)+b*(i+1)+c*ctx+d*t)+0.5*cos((k+1)*(x[i]+1))";

/// The toy denoiser.
struct Toy {
    factors: [f64; 4],
    data: usize,
    /// Whether visible tokens are copied, and hidden ones never estimated as hidden.
    copies: bool,
}

impl Toy {
    fn estimate(&self, x: &[usize], t: usize) -> Vec<Vec<f64>> {
        let [a, b, c, d] = self.factors;
        let row = |i: usize| {
            if self.copies && x[i] < self.data {
                return (0..self.data).map(|k| f64::from(k == x[i])).collect();
            }
            let weight = |j: usize| (x[j] + 1) as f64 * (j + 1) as f64 * if j < i { 1.0 } else { 2.0 };
            let context: f64 = (0..x.len()).filter(|&j| j != i).map(weight).sum();
            let logit = |k: usize| {
                let phase = a * (k + 1) as f64 + b * (i + 1) as f64 + c * context + d * t as f64;
                1.5 * phase.sin() + 0.5 * ((k + 1) as f64 * (x[i] + 1) as f64).cos()
            };
            softmax(&(0..self.data).map(logit).collect::<Vec<_>>())
        };
        (0..x.len()).map(row).collect()
    }
}

/// Checks every process, the bound in continuous time, and how bounds in discrete time come near it.
pub(super) fn check(doc: &At<'_>, all: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let denoiser = doc.get("denoiser")?;
    let formula: String = denoiser.get("formula")?.str()?.split_whitespace().collect();
    if !formula.starts_with(FORMULA) {
        report.skip("bruteforce", "no check for a denoiser of another formula");
        return Ok(());
    }
    let factors: [f64; 4] = denoiser.get("par")?.parse()?;
    for (name, entry) in all.entries()? {
        let label = format!("bruteforce/{name}");
        if entry.opt("Q").is_some() {
            process(name, &label, &entry, factors, report)?;
        } else if name.contains("continuous") {
            continuous(&label, &entry, factors, report)?;
        } else if name.contains("discrete_T") {
            discrete(doc, &label, &entry, factors, report)?;
        } else {
            report.skip(&label, "no check for an entry of this shape");
        }
    }
    Ok(())
}

/// Tokens and data classes of an entry, and all sequences, the last token changing fastest.
fn sequences(entry: &At<'_>) -> Result<(usize, usize, Vec<Vec<usize>>), SelftestError> {
    let (tokens, data) = (entry.get("D")?.index()?, entry.get("V")?.index()?);
    if !(1..=12).contains(&tokens) || !(1..=64).contains(&data) || (data as f64).powi(tokens as i32) > 4096.0 {
        return Err(entry.expected("at most 4096 sequences"));
    }
    Ok((tokens, data, all_of(tokens, data)))
}

fn all_of(tokens: usize, data: usize) -> Vec<Vec<usize>> {
    let digit = |n: usize, i: usize| n / data.pow((tokens - 1 - i) as u32) % data;
    (0..data.pow(tokens as u32)).map(|n| (0..tokens).map(|i| digit(n, i)).collect()).collect()
}

fn process(name: &str, label: &str, entry: &At<'_>, factors: [f64; 4], report: &mut Report<'_>) -> Result<(), SelftestError> {
    let form = if name.ends_with("/mixture") {
        Form::Mixture
    } else if name.ends_with("product") {
        Form::Product
    } else {
        report.skip(label, "no check for a reverse form of this name");
        return Ok(());
    };
    let (tokens, data, x0s) = sequences(entry)?;
    let chain = chain(&entry.get("Q")?, form)?;
    let prior = entry.get("prior")?.f64s()?;
    if prior.len() != chain.classes() || data > chain.classes() {
        return Err(entry.expected("a prior of each class"));
    }
    let toy = Toy { factors, data, copies: name.contains("subs") && !name.contains("no_subs") };
    let model = Model { chain: &chain, prior: &prior, tokens, data, estimate: |x: &[usize], t: usize| toy.estimate(x, t) };
    let refused = |e: crate::Error| entry.expected(format!("a model that can be enumerated ({e})"));
    let (bounds, exact) = (model.bounds(&x0s).map_err(refused)?, model.negative_log_likelihoods().map_err(refused)?);
    let results = entry.get("results")?.items()?;
    let mut compare = Compare::new(CLOSED);
    compare.number("K", chain.classes() as f64, entry.get("K")?.f64()?);
    compare.number("T", chain.len() as f64, entry.get("T")?.f64()?);
    compare.number("number of results", x0s.len() as f64, results.len() as f64);
    super::kernels::family(&mut compare, name, &chain, None);
    for (i, result) in results.iter().enumerate() {
        let x0 = result.get("x0")?.items()?.iter().map(At::index).collect::<Result<Vec<_>, _>>()?;
        let Some(place) = x0s.iter().position(|x| *x == x0) else { return Err(result.get("x0")?.expected("a sequence of data classes")) };
        compare.number("order of x0", place as f64, i as f64);
        let bound = &bounds[place];
        for (key, expected) in result.entries()? {
            let ours = match key {
                "x0" => continue,
                "L_T" => vec![bound.prior],
                "terms_t_desc" => bound.terms.clone(),
                "nelbo_nats" => vec![bound.total()],
                "bits_per_char" => vec![bits_per_token(bound.total(), tokens)],
                "hybrid_ce_mean_over_t" => vec![bound.cross_entropy],
                "neg_log_p_exact_nats" => vec![exact[place]],
                _ => {
                    compare.fail(format!("{key} is not known"));
                    continue;
                }
            };
            let expected = if expected.value().is_array() { expected.f64s()? } else { vec![expected.f64()?] };
            compare.numbers(&format!("{key} of {x0:?}"), &ours, &expected);
        }
        compare.number("the bound is above the likelihood", f64::from(bound.total() >= exact[place] - CLOSED), 1.0);
    }
    report.add(label, compare);
    Ok(())
}

fn continuous(label: &str, entry: &At<'_>, factors: [f64; 4], report: &mut Report<'_>) -> Result<(), SelftestError> {
    let (tokens, data, x0s) = sequences(entry)?;
    let toy = Toy { factors, data, copies: true };
    let results = entry.get("results")?.items()?;
    let mut compare = Compare::new(CLOSED);
    compare.number("number of results", x0s.len() as f64, results.len() as f64);
    for (x0, result) in x0s.iter().zip(&results) {
        let expected = result.get("x0")?.f64s()?;
        compare.numbers("x0", &x0.iter().map(|&c| c as f64).collect::<Vec<_>>(), &expected);
        let tokens_of = |x: &[u32]| x.iter().map(|&c| c as usize).collect::<Vec<_>>();
        let clean: Vec<u32> = x0.iter().map(|&c| c as u32).collect();
        let bound = continuous_bound(&clean, data as u32, |x| toy.estimate(&tokens_of(x), 0));
        let bound = bound.map_err(|e| entry.expected(e.to_string()))?;
        compare.number(&format!("nelbo_nats of {x0:?}"), bound, result.get("nelbo_nats")?.f64()?);
        compare.number(&format!("bits_per_char of {x0:?}"), bits_per_token(bound, tokens), result.get("bits_per_char")?.f64()?);
    }
    report.add(label, compare);
    Ok(())
}

/// Bounds of all sequences for growing numbers of steps, with an estimate that does not see the time.
fn discrete(doc: &At<'_>, label: &str, entry: &At<'_>, factors: [f64; 4], report: &mut Report<'_>) -> Result<(), SelftestError> {
    // The entry does not say how long its sequences are: as those beside it.
    let beside = doc.get("bruteforce")?.entries()?;
    let Some((_, beside)) = beside.iter().find(|(_, e)| e.opt("D").is_some()) else {
        return Err(entry.expected("an entry beside it with 'D'"));
    };
    let (tokens, data, x0s) = sequences(beside)?;
    let toy = Toy { factors, data, copies: true };
    for (steps, expected) in entry.entries()? {
        let number: usize =
            steps.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| entry.expected("numbers of steps as keys"))?;
        let matrices = schedule::inverse_time(number).into_iter().map(|b| kernel::absorbing(data + 1, data, b)).collect();
        let chain = Chain::new(matrices, Form::Mixture).map_err(|e| entry.expected(e.to_string()))?;
        let mut prior = vec![0.0; data + 1];
        prior[data] = 1.0;
        let model = Model { chain: &chain, prior: &prior, tokens, data, estimate: |x: &[usize], _: usize| toy.estimate(x, 0) };
        let bounds = model.bounds(&x0s).map_err(|e| entry.expected(e.to_string()))?;
        let mut compare = Compare::new(CLOSED);
        compare.numbers(steps, &bounds.iter().map(|b| b.total()).collect::<Vec<_>>(), &expected.f64s()?);
        report.add(&format!("{label}/{steps}"), compare);
    }
    Ok(())
}
