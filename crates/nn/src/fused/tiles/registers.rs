//! The registers of the matrix tiles: whether there are some, and their configuration.

use std::{
    arch::x86_64::{__cpuid, __cpuid_count},
    cell::Cell,
    marker::PhantomData,
};

use super::super::vector;

/// Whether this processor has such tiles, and the system lets this process use them; asked once.
pub(in super::super) fn available() -> bool {
    #[cfg(test)]
    if super::emulated::wanted() {
        return true;
    }
    static ANSWER: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        // Leaf 7: bit 24 of EDX tells of tiles, bit 22 of their bfloat16 products.
        let known = matches!(vector::width(), vector::Width::Avx512) && __cpuid(0).eax >= 7;
        known && __cpuid_count(7, 0).edx >> 22 & 0b101 == 0b101 && allowed()
    });
    *ANSWER
}

/// Asks Linux for the tiles' registers, which threads do not save unasked.
#[cfg(target_os = "linux")]
fn allowed() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: the call reads two numbers and touches no memory of ours; a kernel that does not know it returns an error.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> bool {
    false
}

thread_local! {
    /// How many [`Configured`] this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Tiles of 16 rows of 64 bytes, until the thread's last one of these is dropped.
#[derive(Debug)]
pub(in super::super) struct Configured(PhantomData<*const ()>);

impl Configured {
    /// Configures the tiles for several products, where there are any.
    pub(in super::super) fn ahead() -> Option<Self> {
        available().then(Self::new)
    }

    pub(super) fn new() -> Self {
        #[repr(align(64))]
        struct Shapes(#[allow(dead_code, reason = "read by the processor")] [u8; 64]);
        const SHAPES: Shapes = {
            let mut shapes = [0; 64];
            shapes[0] = 1;
            let mut tile = 0;
            while tile < 8 {
                shapes[16 + 2 * tile] = 64;
                shapes[48 + tile] = 16;
                tile += 1;
            }
            Shapes(shapes)
        };
        if HELD.replace(HELD.get() + 1) == 0 && is_real() {
            // SAFETY: packed factors exist only where tiles do, and the 64 bytes are a valid configuration.
            unsafe { std::arch::asm!("ldtilecfg [{}]", in(reg) &SHAPES, options(nostack, readonly)) };
        }
        Self(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        if HELD.replace(HELD.get() - 1) == 1 && is_real() {
            // SAFETY: nothing uses the tiles after this.
            unsafe { std::arch::asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

/// Whether there are registers to configure: tests may emulate them.
fn is_real() -> bool {
    #[cfg(test)]
    return !super::emulated::wanted();
    #[cfg(not(test))]
    true
}
