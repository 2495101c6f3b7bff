//! What the kernel knows of this process, read when metrics are asked for.

use std::{fs, sync::Mutex};

use super::{Metric, float_counter, gauge};

/// Kernel clock ticks a second as user space sees them: 100 on every Linux architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory in `/proc/self/status` is in units of 1024 bytes.
const KIB: f64 = 1024.0;

/// Brings the process metrics up to date. Where there is no `/proc`, they stay at nothing.
pub(super) fn update() {
    static CPU_BEFORE: Mutex<f64> = Mutex::new(0.0);
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse_stat) {
        if let (Some(counter), Ok(mut before)) = (float_counter(Metric::ProcessCpu), CPU_BEFORE.lock()) {
            let seconds = stat.cpu_ticks / TICKS_PER_SECOND;
            counter.inc_by((seconds - *before).max(0.0));
            *before = seconds;
        }
        if let Some(booted) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            gauge(Metric::ProcessStartTime, &[]).set(booted + stat.start_ticks / TICKS_PER_SECOND);
        }
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
        gauge(Metric::ProcessResidentBytes, &[]).set(bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        gauge(Metric::ProcessOpenFiles, &[]).set(f64::from(u32::try_from(files.count()).unwrap_or(u32::MAX)));
    }
}

struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
}

/// proc_pid_stat(5): utime and stime are fields 14 and 15, starttime is 22. The second, the name in
/// parentheses, may hold anything, so count from behind its last parenthesis.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
}

fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
}

fn resident_bytes(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 1000 200 18446744073709551615";
        let stat = parse_stat(stat).unwrap();
        assert_eq!((stat.cpu_ticks, stat.start_ticks), (300.0, 12345.0));
        assert!(parse_stat("no parenthesis").is_none() && parse_stat("1 (x) S 1").is_none());
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2048.0 * 1024.0));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_files_and_a_start() {
        update();
        assert!(gauge(Metric::ProcessResidentBytes, &[]).get() > 1e6);
        assert!(gauge(Metric::ProcessOpenFiles, &[]).get() >= 3.0);
        assert!(gauge(Metric::ProcessStartTime, &[]).get() > 1e9);
    }
}
