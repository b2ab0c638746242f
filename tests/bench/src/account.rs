//! CPU time and memory of processes, as the kernel counts them.

use std::path::Path;

/// The CPU time that a process and its threads have used, user and system, in milliseconds; 0 if the process has ended.
pub fn cpu_ms(process: i32) -> f64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return 0.0 };
    // `schedstat` counts nanoseconds, `stat` only hundredths of a second.
    let nanos = threads.flatten().filter_map(|thread| number(&thread.path().join("schedstat")));
    nanos.sum::<f64>() / 1e6
}

/// The sum of the CPU times of several processes, in milliseconds.
pub fn cpu_ms_of(processes: &[i32]) -> f64 {
    processes.iter().map(|process| cpu_ms(*process)).sum()
}

/// The resident memory of a process, in KiB.
pub fn memory_kib(process: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The ids of a process's children.
pub fn children(process: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The CPU time of the current process, in milliseconds.
pub fn own_cpu_ms() -> f64 {
    cpu_ms(std::process::id().cast_signed())
}

/// The CPU time of a process's children that have ended, in milliseconds, in steps of 10.
pub fn ended_children_cpu_ms(process: i32) -> f64 {
    const MS_A_TICK: f64 = 10.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may contain spaces; `cutime` and `cstime` are the 14th and 15th field after it.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    fields.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * MS_A_TICK
}

fn number(file: &Path) -> Option<f64> {
    std::fs::read_to_string(file).ok()?.split_whitespace().next()?.parse().ok()
}
