//! The share of a CPU that Lambda assigns to a function by its memory: a cgroup with a quota, and a script that starts a
//! program in it and records the time of the start.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::Result;

/// The memory for a whole CPU, in MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const WHOLE_CPU_MB: f64 = 1769.0;
/// The period of the quota. It is short, so that a program with bursts is throttled as often as one without.
const PERIOD: Duration = Duration::from_millis(20);

/// A share of a CPU. Dropping it removes the cgroup.
pub struct Share {
    group: Option<PathBuf>,
}

impl Share {
    /// The share of a function with this memory.
    pub fn of(memory_mb: u32) -> Self {
        let quota = PERIOD.mul_f64(f64::from(memory_mb) / WHOLE_CPU_MB);
        Self { group: v1(memory_mb, quota).or_else(|_| v2(memory_mb, quota)).ok() }
    }

    /// Whether this machine enforces the share. Otherwise programs can use a whole CPU and more.
    pub fn is_enforced(&self) -> bool {
        self.group.is_some()
    }

    /// Writes a script that runs a program with this share of the CPU.
    pub fn starter(&self, directory: &Path, name: &str, program: &Path) -> Result<Starter> {
        let (script, started) = (directory.join(name), directory.join(format!("{name}.started")));
        let join = self.group.as_ref().map(|group| format!("echo $$ >{}/cgroup.procs\n", group.display()));
        let text = format!(
            "#!/bin/bash\n{}echo $EPOCHREALTIME >{}\nexec {} \"$@\"\n",
            join.unwrap_or_default(),
            started.display(),
            std::path::absolute(program)?.display(),
        );
        std::fs::write(&script, text)?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(Starter { script, started })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            let _ = std::fs::remove_dir(group); // A cgroup that remains is reused by the next run.
        }
    }
}

/// A script that starts a program with a share of the CPU.
pub struct Starter {
    /// The path of the script. Run it instead of the program.
    pub script: PathBuf,
    started: PathBuf,
}

impl Starter {
    pub fn elapsed(&self) -> Result<Duration> {
        let started: f64 = std::fs::read_to_string(&self.started)?.trim().parse()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(now.saturating_sub(Duration::from_secs_f64(started)))
    }
}

fn v1(memory_mb: u32, quota: Duration) -> std::io::Result<PathBuf> {
    let group = group("/sys/fs/cgroup/cpu", memory_mb)?;
    std::fs::write(group.join("cpu.cfs_period_us"), PERIOD.as_micros().to_string())?;
    std::fs::write(group.join("cpu.cfs_quota_us"), quota.as_micros().to_string())?;
    Ok(group)
}

fn v2(memory_mb: u32, quota: Duration) -> std::io::Result<PathBuf> {
    let group = group("/sys/fs/cgroup", memory_mb)?;
    std::fs::write(group.join("cpu.max"), format!("{} {}", quota.as_micros(), PERIOD.as_micros()))?;
    Ok(group)
}

fn group(parent: &str, memory_mb: u32) -> std::io::Result<PathBuf> {
    let group = Path::new(parent).join(format!("ordermill-bench-{memory_mb}"));
    if !group.exists() {
        std::fs::create_dir(&group)?;
    }
    Ok(group)
}
