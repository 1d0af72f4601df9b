//! What a process costs, as Linux tells it under /proc. Elsewhere nothing is known, and reports say so.

use std::{collections::BTreeMap, fs};

/// Processor time and memory of a process at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time since its start, user and system, all threads that ever were.
    pub cpu_s: f64,
    /// Time for which its threads were ready to run and had no processor, added up; of those alive.
    pub wait_s: f64,
    /// Of each thread that is alive.
    pub threads: BTreeMap<u32, ThreadUsage>,
    /// Memory in use.
    pub rss_bytes: u64,
    /// Most memory that was ever in use.
    pub rss_peak_bytes: u64,
}

/// Processor time of a thread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThreadUsage {
    /// Name.
    pub name: String,
    /// Since its start.
    pub cpu_s: f64,
}

impl Usage {
    /// Of the process `pid`, with its threads; `None` when it is gone or the system does not tell.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let (mut threads, mut wait_s) = (BTreeMap::new(), 0.0);
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let tid: u32 = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
            // A thread may end meanwhile.
            let (Some(cpu_s), Ok(name)) =
                (cpu_seconds(&entry.path().join("stat")), fs::read_to_string(entry.path().join("comm")))
            else {
                continue;
            };
            wait_s += fs::read_to_string(entry.path().join("schedstat")).ok().and_then(|text| wait_seconds(&text)).unwrap_or(0.0);
            threads.insert(tid, ThreadUsage { name: name.trim_end().to_owned(), cpu_s });
        }
        Some(Self {
            cpu_s: Self::cpu_seconds_of(pid)?,
            wait_s,
            threads,
            rss_bytes: kib_line(&status, "VmRSS:")?,
            rss_peak_bytes: kib_line(&status, "VmHWM:")?,
        })
    }

    /// Processor time of the process `pid`.
    #[must_use]
    pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
        cpu_seconds(format!("/proc/{pid}/stat").as_ref())
    }

    /// Processor time since `earlier` by the names of threads, without their numbers (`rdk:broker3` counts as `rdk:broker`).
    #[must_use]
    pub fn by_name_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (tid, thread) in &self.threads {
            let before = earlier.threads.get(tid).map_or(0.0, |thread| thread.cpu_s);
            let name = thread.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            *sums.entry(name.to_owned()).or_default() += (thread.cpu_s - before).max(0.0);
        }
        sums
    }
}

/// Seconds for which the processors of this machine were busy, and how many there are.
#[must_use]
pub fn machine_busy() -> Option<(f64, usize)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let busy = fields.iter().take(3).sum::<f64>() + fields.iter().skip(5).take(2).sum::<f64>(); // without idle and iowait
    let processors = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Some((busy / ticks_per_second(), processors))
}

fn cpu_seconds(stat: &std::path::Path) -> Option<f64> {
    cpu_ticks(&fs::read_to_string(stat).ok()?).map(|ticks| ticks as f64 / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second().max(1) as f64
}

/// utime + stime of a stat line. The name in brackets may hold anything, brackets included.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// Time on the run queue of a schedstat line: the second of its numbers, in nanoseconds.
fn wait_seconds(schedstat: &str) -> Option<f64> {
    schedstat.split_whitespace().nth(1)?.parse::<f64>().ok().map(|nanos| nanos / 1e9)
}

fn kib_line(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(cpu_ticks("42 (a"), None);
        assert_eq!(wait_seconds("7 2500000000 3\n"), Some(2.5));
        assert_eq!(kib_line("VmHWM:\t  20 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1_024));
        assert_eq!(kib_line("VmHWM:\t  20 kB\n", "VmRSS:"), None);
    }

    #[test]
    fn threads_are_summed_by_name() {
        let thread = |name: &str, cpu_s| ThreadUsage { name: name.to_owned(), cpu_s };
        let earlier = Usage { threads: [(1, thread("rdk:broker0", 1.0))].into(), ..Usage::default() };
        let threads = [(1, thread("rdk:broker0", 3.0)), (2, thread("rdk:broker12", 1.0)), (3, thread("apply-1", 5.0))];
        let later = Usage { threads: threads.into(), ..Usage::default() };
        let sums = later.by_name_since(&earlier);
        assert_eq!(sums, BTreeMap::from([("rdk:broker".to_owned(), 3.0), ("apply".to_owned(), 5.0)]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_threads_and_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(!usage.threads.is_empty() && usage.rss_bytes > 0 && usage.rss_peak_bytes >= usage.rss_bytes, "{usage:?}");
        assert!(machine_busy().is_some_and(|(busy, processors)| busy > 0.0 && processors > 0));
    }
}
