//! Weights laid out for this processor once, as long as their tensor lives.
//!
//! A layout is found by the memory of its tensor. The list knows that memory by a weak reference only: it frees nothing late, and since
//! flex never writes to memory that somebody else refers to, new values are always in new memory.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, OnceLock, Weak},
};

use burn::{backend::flex::FlexTensor, tensor::Bytes};

use super::{
    factor::{Factor, Side},
    gemm::Place,
    precision::Precision,
};

/// A matrix in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    address: usize,
    at: Place,
    /// Rows and columns.
    sizes: [usize; 2],
    /// How exact it is laid out.
    precision: Precision,
}

/// Of the address alone: few matrices share their memory, and small products notice the time of a hash.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.address);
    }
}

struct Entry {
    memory: Weak<Bytes>,
    packed: Arc<OnceLock<Factor>>,
}

static LAYOUTS: LazyLock<Mutex<HashMap<Key, Entry>>> = LazyLock::new(Mutex::default);

/// The right factor `weight`, `[terms, lanes]` at `at` in its storage, laid out now or by an earlier call.
pub(super) fn right(weight: &FlexTensor, at: Place, [terms, lanes]: [usize; 2]) -> Option<Arc<OnceLock<Factor>>> {
    let memory = weight.data_arc();
    let key = Key { address: Arc::as_ptr(&memory).addr(), at, sizes: [terms, lanes], precision: Precision::of_thread() };
    let found = {
        let mut layouts = LAYOUTS.lock().ok()?;
        // An address is not used again while the list refers to its memory.
        if let Some(entry) = layouts.get(&key).filter(|entry| entry.memory.strong_count() > 0) {
            entry.packed.clone()
        } else {
            layouts.retain(|_, entry| entry.memory.strong_count() > 0);
            let packed = Arc::new(OnceLock::new());
            layouts.insert(key, Entry { memory: Arc::downgrade(&memory), packed: packed.clone() });
            packed
        }
    };
    // Outside the lock: workers wait only for the weight that they need themselves.
    found.get_or_init(|| {
        let mut packed = Factor::empty(Side::Right);
        packed.fill(lanes, terms, weight.storage(), at);
        packed
    });
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{factor, host::array},
        *,
    };

    #[test]
    fn a_layout_serves_as_long_as_its_memory_holds_the_same_values() {
        if !factor::suits([1024; 3], 1024) {
            eprintln!("skipped: nothing is laid out for this processor");
            return;
        }
        let at = Place::rows(3);
        let find = |weight: &FlexTensor| right(weight, at, [2, 3]).expect("it is laid out");
        let mut weight = array(vec![1.0; 6], [2, 3].into());
        let first = find(&weight);
        assert!(Arc::ptr_eq(&first, &find(&weight.clone())), "the same memory is laid out once");
        assert!(!Arc::ptr_eq(&first, &right(&weight, at.transposed(), [2, 2]).expect("it is laid out")), "another matrix in it is not");
        weight.storage_mut::<f32>()[0] = 2.0;
        assert!(!Arc::ptr_eq(&first, &find(&weight)), "written to, although nobody else holds it");
        let memory = Arc::downgrade(&weight.data_arc());
        drop(weight);
        assert_eq!(memory.strong_count(), 0, "the list keeps no weights");
        find(&array(vec![1.0; 6], [2, 3].into()));
        assert!(LAYOUTS.lock().expect("nobody panicked").values().all(|entry| !entry.memory.ptr_eq(&memory)), "and forgets the dead");
    }
}
