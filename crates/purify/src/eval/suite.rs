//! Which attacks are run.

use crate::attack::{Attack, Loss, Method, Norm, Path};

/// What attacks may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Bound of perturbations, data units.
    pub eps: f64,
    /// Its norm.
    pub norm: Norm,
    /// Steps of gradient attacks.
    pub steps: usize,
    /// Most draws that a gradient is the mean of.
    pub eot: usize,
    /// Queries of the square attack.
    pub queries: usize,
    /// Seed of starts and directions.
    pub seed: u64,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// The attack; none for clean inputs.
    pub attack: Option<Attack>,
}

/// The attacks on a defence: clean inputs as a control, then from blind to adaptive. Attacks that need a gradient are left out where
/// there is none, and those that differ in draws alone where nothing is random.
pub fn suite(budget: Budget, has_gradient: bool, is_random: bool) -> Vec<Entry> {
    let base = Attack { norm: budget.norm, seed: budget.seed, ..Attack::pgd(budget.eps, budget.steps) };
    let entry = |name: &str, attack: Attack| Entry { name: name.to_owned(), attack: Some(attack) };
    let mut entries = vec![Entry { name: "clean, handed in again".into(), attack: None }];
    if has_gradient {
        entries.push(entry("blind PGD", Attack { path: Path::Blind, ..base }));
        entries.push(entry("BPDA", Attack { path: Path::Bpda, eot: if is_random { budget.eot.min(8) } else { 1 }, ..base }));
        let draws: Vec<usize> = if is_random { vec![1, budget.eot.min(8), budget.eot] } else { vec![1] };
        let mut last = 0;
        for eot in draws.into_iter().filter(|&eot| std::mem::replace(&mut last, eot) < eot) {
            let name = if is_random { format!("full gradient, EOT {eot}") } else { "full gradient".into() };
            entries.push(entry(&name, Attack { eot, ..base }));
        }
        let eot = if is_random { budget.eot.min(8) } else { 1 };
        entries.push(entry("APGD-CE", Attack { method: Method::Apgd, eot, ..base }));
        entries.push(entry("APGD-DLR", Attack { method: Method::Apgd, loss: Loss::Dlr, eot, ..base }));
        if is_random {
            entries.push(entry("fixed seed", Attack { fixed_seed: true, ..base }));
        }
        entries.push(entry("low frequency", Attack { low_pass: Some(0.25), eot, ..base }));
    }
    if budget.norm == Norm::Linf {
        entries.push(entry("Square", Attack { method: Method::Square, steps: budget.queries, loss: Loss::Dlr, ..base }));
    }
    if !has_gradient || budget.norm == Norm::L2 {
        entries.push(entry("NES", Attack { method: Method::Nes, steps: budget.queries.div_ceil(32), ..base }));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_fit_what_is_attacked() {
        let budget = Budget { eps: 0.1, norm: Norm::Linf, steps: 10, eot: 20, queries: 64, seed: 1 };
        let names = |has_gradient, is_random| suite(budget, has_gradient, is_random).into_iter().map(|e| e.name).collect::<Vec<_>>();
        let random = names(true, true);
        for name in ["clean, handed in again", "blind PGD", "BPDA", "full gradient, EOT 1", "full gradient, EOT 8", "full gradient, EOT 20"]
        {
            assert!(random.iter().any(|known| known == name), "{name}");
        }
        assert!(names(true, false).iter().all(|name| !name.contains("EOT") && name != "fixed seed"));
        assert_eq!(names(false, true), ["clean, handed in again", "Square", "NES"]);
        let few = suite(Budget { eot: 1, ..budget }, true, true);
        assert_eq!(few.iter().filter(|e| e.name.starts_with("full gradient")).count(), 1);
    }
}
