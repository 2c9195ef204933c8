//! Cancellation: one flag that loops look at between steps.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A flag shared by whoever may ask to stop and whoever must.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The flag of this process that Ctrl-C (and a termination signal) sets; a second Ctrl-C ends the program at once, with code 130.
    pub fn on_ctrl_c() -> Self {
        static FLAG: OnceLock<Cancel> = OnceLock::new();
        let flag = FLAG.get_or_init(|| {
            let cancel = Self::new();
            let flag = cancel.clone();
            // Refused where the process has a handler of its own, which then keeps working.
            let _ = ctrlc::set_handler(move || {
                if flag.0.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            });
            cancel
        });
        flag.clone()
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether someone asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// `Break` once someone asked to stop.
    pub fn check(&self) -> ControlFlow<()> {
        if self.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
