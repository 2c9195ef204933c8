//! How the program's allocator treats freed memory.

/// Keeps freed memory for the next use instead of handing it back to the system: for programs that train, which free and ask for the
/// same large arrays in every step. Handing back costs fresh pages, and an interruption of every thread, each time.
///
/// To be called before threads start. It concerns glibc, whose heaps of single threads are always handed back when they are empty, so
/// that all threads share one heap from here on; with other C libraries it does nothing.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), allow(clippy::missing_const_for_fn, reason = "it does nothing there"))]
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "settings of the C library; 11 % of a convolution's training step on one thread, 20 % on four")]
    {
        use std::ffi::c_int;
        const TRIM_THRESHOLD: c_int = -1;
        const MMAP_THRESHOLD: c_int = -3;
        const ARENA_MAX: c_int = -8;
        unsafe extern "C" {
            fn mallopt(setting: c_int, value: c_int) -> c_int;
        }
        // SAFETY: `mallopt` of glibc takes these settings at any time, and refuses values that it does not know by returning 0.
        unsafe {
            mallopt(ARENA_MAX, 1);
            mallopt(TRIM_THRESHOLD, c_int::MAX);
            mallopt(MMAP_THRESHOLD, 32 << 20);
        }
    }
}
