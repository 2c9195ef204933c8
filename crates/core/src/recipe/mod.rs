//! What a config may choose, and which choices go together.
//!
//! [`Objective`] is the training half (schedule, parameterisation, weight, times, what else is learned), [`Sampling`] the sampling half
//! (solver or driver, grid, steps, guidance, thresholds). Both are plain data that a TOML table fills in; unknown keys are refused while
//! reading, and combinations that cannot work by `check` or [`Sampling::compile`], with the reason.

mod method;
mod objective;
mod run;
mod sampling;

pub use method::{Driver, Method};
pub use objective::{Batch, Importance, LearnedSchedule, LearnedVariance, Objective};
pub use run::Run;
pub use sampling::{Sampling, Threshold};

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// Reads a value from its short name or from a table of its settings: `grid = "karras"`, `grid = { kind = "karras", rho = 5 }`.
fn name_or_table<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr<Err = crate::Error>,
{
    struct Either<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + FromStr<Err = crate::Error>> de::Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or a table with a `kind`")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
            name.parse().map_err(E::custom)
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(Either(PhantomData))
}
