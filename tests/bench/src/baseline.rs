//! The replaced service, see `baseline/app.py`: a `FastAPI` application in its own process.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandbox::Result;
use sandbox::postgres::free_port;
use sandbox::process::Process;
use sandbox::runtime::Function;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::world::World;

/// How many connections to the database it has: one for each of the function's environments.
pub const CONNECTIONS: usize = 16;
/// How long it may take to start with a small share of a CPU.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running service. Dropping it ends the process.
pub struct Baseline {
    pub address: SocketAddr,
    process: Process,
}

impl Baseline {
    /// Starts the service and waits until it accepts connections.
    pub async fn start(world: &World, processing: bool) -> Result<Self> {
        let mut command = Command::new(python()?);
        command.env("DATABASE_URL", world.baseline_url());
        let baseline = Self::launch(&mut command, CONNECTIONS, processing)?;
        baseline.wait_until_ready().await?;
        Ok(baseline)
    }

    /// Starts the service by this command, which runs Python and has `DATABASE_URL` set.
    pub fn launch(command: &mut Command, connections: usize, processing: bool) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        command
            .args(["-m", "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools"])
            .args(["--no-access-log", "--log-level", "warning", "--app-dir", "tests/bench/baseline"])
            .args(["--port", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("POOL_SIZE", connections.to_string())
            .env("PROCESSING", if processing { "on" } else { "off" });
        Ok(Self { address, process: Process::start(command)? })
    }

    /// Waits until the service accepts connections.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            if !self.process.is_running() || Instant::now() > end {
                return Err("the FastAPI service does not start".into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    pub fn process_id(&self) -> i32 {
        self.process.id()
    }
}

/// The same application as a function, see `baseline/lambda_app.py`. AWS's runtime client runs it, with one connection.
/// With `sends`, it sends a message to SQS for each order.
pub fn function(world: &World, database_url: &str, sends: bool) -> Result<Function> {
    let bootstrap = world.directory.path().join("fastapi-bootstrap");
    let python = std::path::absolute(python()?)?;
    let script = format!("#!/bin/sh\nexec {} -m awslambdaric lambda_app.handler\n", python.display());
    std::fs::write(&bootstrap, script)?;
    std::fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755))?;
    let root = std::path::absolute("tests/bench/baseline")?.display().to_string();
    let variables = [
        ("DATABASE_URL", database_url),
        ("PYTHONPATH", &root),
        ("LAMBDA_TASK_ROOT", &root),
        ("POOL_SIZE", "1"),
        ("PROCESSING", "off"),
    ];
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    let queue = world.queues.variables().into_iter().chain([("AWS_DEFAULT_REGION", "us-east-1".to_owned())]);
    let variables = variables.into_iter().chain(queue.filter(|_| sends));
    Ok(Function::new("fastapi", bootstrap, variables, Duration::from_mins(1)))
}

/// The path of the Python with the baseline's packages.
pub fn python() -> Result<PathBuf> {
    let python = Path::new(".venv/bench/bin/python");
    if python.exists() { Ok(python.into()) } else { Err("`make bench` installs the baseline's packages".into()) }
}
