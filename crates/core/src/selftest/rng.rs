//! The random numbers of the whole project: known answers of Philox4x32-10, and normals made from them.

use super::{
    SelftestError,
    json::At,
    report::{Compare, Report},
};
use crate::{NoiseSource, Philox};

/// Checks an `rng` object: known answers and a run of normals.
pub(super) fn check(rng: &At<'_>, report: &mut Report<'_>) -> Result<(), SelftestError> {
    let mut words = Compare::new(1e-12);
    for (i, known) in rng.get("philox4x32_10_kat")?.items()?.iter().enumerate() {
        let [c0, c1, c2, c3] = known.get("counter")?.parse::<[u32; 4]>()?;
        let [low, high] = known.get("key")?.parse::<[u32; 2]>()?;
        let out = Philox::new(u64::from(high) << 32 | u64::from(low)).words([c0, c1, c2, c3]);
        let expected = known.get("out")?.parse::<[u32; 4]>()?;
        words.numbers(&format!("known answer {i}"), &out.map(f64::from), &expected.map(f64::from));
    }
    report.add("rng/philox", words);

    let word = |key: &str| rng.get(key)?.parse::<u32>();
    let source = Philox::new(rng.get("seed")?.parse()?);
    let (sample, node, stream) = (word("sample_id")?, word("step")?, word("stream")?);
    let expected = rng.get("normals")?.f64s()?;
    let mut exact = vec![0f64; expected.len()];
    source.fill_f64(sample, node, stream, &mut exact);
    let mut normals = Compare::new(1e-12);
    normals.numbers("normal", &exact, &expected);
    report.add("rng/normals", normals);

    let mut narrow = vec![0f32; expected.len()];
    source.fill(sample, node, stream, &mut narrow);
    let mut fast = Compare::new(5e-6);
    fast.numbers("normal", &narrow.into_iter().map(f64::from).collect::<Vec<_>>(), &expected);
    report.add("rng/normals/f32", fast);
    Ok(())
}
