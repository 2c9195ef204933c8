//! What the doctor can know of the machine at no cost.

use serde::Serialize;

/// Main memory, in bytes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    pub(super) total_bytes: u64,
    /// What a new program can have without swapping.
    pub(super) available_bytes: u64,
}

/// Memory of this machine, where the system has `/proc/meminfo`.
pub(super) fn memory() -> Option<Memory> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(text: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total_bytes: kilobytes("MemTotal")?, available_bytes: kilobytes("MemAvailable")? })
}

/// Vector features of this processor that matter for speed.
pub(super) fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [
            ("sse4.1", is_x86_feature_detected!("sse4.1")),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("f16c", is_x86_feature_detected!("f16c")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
        ];
        all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let all = [("neon", std::arch::is_aarch64_feature_detected!("neon")), ("fp16", std::arch::is_aarch64_feature_detected!("fp16"))];
        all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:       16000 kB\nMemFree:          500 kB\nMemAvailable:    8000 kB\n";
        assert_eq!(parse(text), Some(Memory { total_bytes: 16_384_000, available_bytes: 8_192_000 }));
        assert_eq!(parse("MemTotal: x kB\n"), None);
        assert_eq!(parse(""), None);
    }
}
