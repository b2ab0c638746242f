//! The servers of `cargo test --workspace`: PostgreSQL and the emulated AWS, without a deployment, for as long as this process runs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Their state directory, relative to the repository. It differs from that of `make run`, and so do the ports.
const DIRECTORY: &str = ".local/cargo";
const PORTS: [(&str, &str); 3] = [("PG_PORT", "15702"), ("EMULATOR_PORT", "15706"), ("ISSUER_PORT", "15707")];

/// Starts the servers, and returns the path of the file with their addresses. The first time, it installs their Python packages.
/// Returns the output if they could not be started.
pub fn start() -> Result<String, String> {
    let made = Command::new("make").args(["--silent", "--directory=..", ".venv/stack/.stamp"]).output();
    let made = made.map_err(|error| format!("could not run make: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let mut command = Command::new(".venv/stack/bin/python");
    command.args(["-m", "stack", "servers"]).current_dir("..");
    command.env("PYTHONPATH", "tests").env("STACK_DIR", DIRECTORY).envs(PORTS);
    // The servers stop at the end of their standard input, which is the end of this process.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = child.map_err(|error| format!("could not run Python: {error}"))?;
    let output = BufReader::new(child.stdout.take().ok_or("no output")?);
    std::mem::forget(child.stdin.take());
    let file = format!("{DIRECTORY}/env");
    let mut printed = String::new();
    for line in output.lines().map_while(Result::ok) {
        if line == file {
            return Ok(format!("../{file}"));
        }
        printed += &(line + "\n");
    }
    Err(format!("could not start PostgreSQL and the emulated AWS:\n{printed}"))
}
