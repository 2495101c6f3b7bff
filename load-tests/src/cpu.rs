//! The processor time of processes, as Linux counts it.

use std::{fs, time::Duration};

/// Ticks a second in `/proc`: `USER_HZ`, the same on every architecture Rust has a tier for.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used since it started; nothing where there is no `/proc`, or no such process.
pub(crate) fn used(pid: u32) -> Option<Duration> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time are the 14th and 15th fields (proc(5)); the second, in parentheses, may hold anything.
fn parse(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 1 0 100 0 0";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse("42 (cut off) S 1"), None);
    }
}
