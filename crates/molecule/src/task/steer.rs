//! Temporary.
/// Held.
#[derive(Clone, Debug)]
pub struct Held { /// Atoms.
 pub atoms: Vec<(usize, crate::Point)> }
/// Steer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steer<'a> { /// Held.
 pub held: Option<&'a Held> }
impl Steer<'_> {
    /// Idle.
    pub fn is_idle(&self) -> bool { true }
    /// Apply.
    pub fn apply(&self, _: &mut [Vec<crate::Point>], _: f64) {}
}
