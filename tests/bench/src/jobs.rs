//! Job queues on PostgreSQL, compared with the drain: see `baseline/queues` and `rivals`.

use std::path::Path;
use std::process::Stdio;

use sandbox::Result;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::account::cpu_ms;
use crate::baseline::python;
use crate::server::Done;
use crate::stats::count;
use crate::world::World;

/// The directory into which `make bench` installs the queues from npm.
const INSTALLED: &str = ".local/bench/queues";
/// The program with the queues in Rust, as `make bench` builds it.
const BUILT: &str = "target/rivals/release/rivals";

/// The language of a queue, and its program.
#[derive(Debug, Clone, Copy)]
enum Program {
    Node(&'static str),
    Python(&'static str),
    Rust(&'static str),
}

/// A job queue with one worker.
#[derive(Debug, Clone, Copy)]
pub struct Rival {
    pub name: &'static str,
    /// How many orders it drains: enough for some seconds.
    pub orders: usize,
    program: Program,
    more: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// Orders finished a second.
    pub rate: f64,
    /// The worker's CPU time, in milliseconds an order.
    pub worker_cpu_ms: f64,
    /// The database server's work for an order.
    pub server: Done,
}

const ALL: [Rival; 5] = [
    Rival {
        name: "graphile-worker, one worker, 24 jobs at once",
        orders: 5_000,
        program: Program::Node("graphile-worker.mjs"),
        more: &[],
    },
    Rival {
        name: "pg-boss, one worker, batches of 1000",
        orders: 20_000,
        program: Program::Node("pg-boss.mjs"),
        more: &["1000"],
    },
    Rival { name: "awa, one worker, 100 jobs at once", orders: 10_000, program: Program::Rust("awa"), more: &[] },
    Rival {
        name: "apalis-postgres, one worker, batches of 100",
        orders: 5_000,
        program: Program::Rust("apalis"),
        more: &[],
    },
    Rival {
        name: "procrastinate, one worker, 30 jobs at once",
        orders: 2_000,
        program: Program::Python("procrastinate_queue.py"),
        more: &["30"],
    },
];

impl Program {
    fn is_installed(self) -> bool {
        match self {
            Self::Node(_) => Path::new(INSTALLED).join("node_modules").exists(),
            Self::Python(_) => python().is_ok(),
            Self::Rust(_) => Path::new(BUILT).exists(),
        }
    }

    /// The command that installs it.
    const fn installation(self) -> &'static str {
        match self {
            Self::Node(_) => "cd .local/bench/queues && npm ci",
            Self::Python(_) => "make .venv/bench/.stamp",
            Self::Rust(_) => "make rivals",
        }
    }
}

/// The installed queues.
pub fn available() -> Vec<Rival> {
    ALL.into_iter().filter(|rival| rival.program.is_installed()).collect()
}

/// Fails unless every queue is installed. Without the best one, a written page would compare with the second best.
pub fn require_all() -> Result<()> {
    let missing = ALL.into_iter().filter(|rival| !rival.program.is_installed());
    let missing: Vec<_> =
        missing.map(|rival| format!("install {} by `{}`", rival.name, rival.program.installation())).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("; ").into()) }
}

impl Rival {
    /// Runs the queue's worker until all its orders are finished.
    pub async fn drain(&self, world: &World) -> Result<Drained> {
        let orders = world.options.either(self.orders, self.orders / 5);
        let insert = format!(
            "DELETE FROM orders;
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, status)
            SELECT 'job-' || n, 'user-1', '{{book-1,pen-7}}', 59.98, 'pending' FROM generate_series(1, {orders}) AS n"
        );
        world.baseline_sql().await?.batch_execute(&insert).await?;
        let mut worker = Worker::start(self.command(world, orders)?)?;
        let drained = self.drain_by(world, &mut worker, orders).await;
        drained.map_err(|error| format!("{}: {error}", self.name).into())
    }

    async fn drain_by(&self, world: &World, worker: &mut Worker, orders: usize) -> Result<Drained> {
        worker.read_line().await?;
        world.baseline_sql().await?.batch_execute("VACUUM ANALYZE").await?;
        let sql = world.sql().await?;
        sql.batch_execute("CHECKPOINT").await?;
        let (before, cpu) = (Done::until_now(world, &sql).await?, worker.cpu_ms());
        worker.send_line().await?;
        let rate = worker.read_line().await?.parse()?;
        let (after, worker_cpu_ms) = (Done::until_now(world, &sql).await?, worker.cpu_ms() - cpu);
        worker.send_line().await?;
        worker.process.wait().await?;
        let many = count(orders);
        Ok(Drained { rate, worker_cpu_ms: worker_cpu_ms / many, server: after.since(&before, many) })
    }

    fn command(&self, world: &World, orders: usize) -> Result<Command> {
        let mut command = match self.program {
            Program::Node(script) => {
                let mut command = Command::new("node");
                command.current_dir(INSTALLED).arg(script);
                command
            }
            Program::Python(script) => {
                let mut command = Command::new(python()?);
                command.arg(Path::new("tests/bench/baseline/queues").join(script));
                command
            }
            Program::Rust(name) => {
                let mut command = Command::new(BUILT);
                command.arg(name);
                command
            }
        };
        command.arg(orders.to_string()).args(self.more).env("DATABASE_URL", world.baseline_url());
        Ok(command)
    }
}

/// A running worker. It starts the drain when it reads a line, and exits when it reads another.
struct Worker {
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let (input, lines) = (process.stdin.take(), process.stdout.take());
        let lines = BufReader::new(lines.ok_or("no output")?).lines();
        Ok(Self { process, input: input.ok_or("no input")?, lines })
    }

    async fn read_line(&mut self) -> Result<String> {
        self.lines.next_line().await?.ok_or_else(|| "the worker exited; see its output for the reason".into())
    }

    async fn send_line(&mut self) -> Result<()> {
        Ok(self.input.write_all(b"\n").await?)
    }

    fn cpu_ms(&self) -> f64 {
        self.process.id().map_or(0.0, |process| cpu_ms(process.cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run in the directory of the package, where no queue is installed.
    #[test]
    fn missing_queues_are_named_with_their_installation() {
        let error = require_all().unwrap_err().to_string();
        for rival in ALL {
            let named = format!("install {} by `{}`", rival.name, rival.program.installation());
            assert!(error.contains(&named), "{error}");
        }
    }
}
