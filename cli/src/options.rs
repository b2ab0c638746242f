//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use shared::order::{OrderId, UserId};
use shared::timestamp;
use time::OffsetDateTime;

use crate::export::Format;
use crate::output::is_plain;

const AFTER_HELP: &str = "\
Without --url or --env-file the command uses the stack that `make up` started: .local/env, or env in STACK_DIR.

Exit status:
    0  everything is right
    1  something is wrong, and the output names it
    2  wrong usage
    3  the service is out of reach or refuses the token
  130  interrupted by SIGINT (Ctrl-C); tail then ends with 0
  141  the reader closed the pipe
  143  interrupted by SIGTERM

Only terminals get colours; NO_COLOR and CI turn them off.";

/// The shortest and the longest wait of `tail` between two polls.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);

/// Ordermill at the terminal
#[derive(Debug, Parser)]
#[command(name = "ordermill", version, after_help = AFTER_HELP, propagate_version = true)]
pub struct Options {
    /// Write JSON: one document, or for `tail` one document a line
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
    /// Which deployment to use.
    #[command(flatten, next_help_heading = "Deployment")]
    pub target: Target,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Options {
    /// Reads the command line of this process. Ends the process after its help, and at wrong usage.
    #[must_use]
    pub fn of_process() -> Self {
        let colour = if is_plain() { ColorChoice::Never } else { ColorChoice::Auto };
        let matches = Self::command().color(colour).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The deployment, and the token for it. [`crate::deployment`] also reads the variables that the help names.
#[derive(Debug, Default, Clone, Args)]
pub struct Target {
    /// The API's URL [variable: `ORDERMILL_URL`]
    #[arg(long, global = true, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub url: Option<String>,
    /// The bearer token for the calls [variable: `ORDERMILL_TOKEN`]
    #[arg(long, global = true, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    pub token: Option<String>,
    /// Certificate authorities (PEM) to trust besides the machine's [variable: `ORDERMILL_CA_FILE`]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// A file of NAME=value lines that describes a deployment [variable: `ORDERMILL_ENV_FILE`]
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a deployment, and say how to mend what is wrong
    Doctor,
    /// Create orders, follow each to its end, and report how long they took
    Load(Load),
    /// Show an order, or all orders, as they change
    Tail(Tail),
    /// Write the orders of a span of time to a file, newest first
    Export(Export),
}

/// The load.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// How many orders
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub orders: u32,
    /// The most calls at once
    #[arg(long, short = 'c', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// How many orders to start in a second; as fast as possible by default
    #[arg(long, short = 'r', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,
    /// How many orders to send in a call, by POST /orders/batch
    #[arg(long, short = 'b', value_parser = clap::value_parser!(u32).range(1..=500))]
    pub batch: Option<u32>,
    /// How many seconds after the last acceptance until active orders count as unfinished
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub patience: u64,
    /// Draw a plot of the times into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The orders to follow.
#[derive(Debug, Clone, Args)]
pub struct Tail {
    /// The order to follow until it ends; all orders by default
    pub order_id: Option<OrderId>,
    /// Show only this user's orders
    #[arg(long, conflicts_with = "order_id", value_name = "USER")]
    pub user: Option<UserId>,
    /// The least number of seconds between two polls
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = interval)]
    pub interval: Duration,
    /// How many of the existing orders to show first
    #[arg(long, default_value_t = 10, conflicts_with = "order_id", value_parser = clap::value_parser!(u8).range(0..=200))]
    pub last: u8,
}

/// The orders to export.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Export orders created at this time or later: a date, or a time by RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: OffsetDateTime,
    /// Export orders created before this time; now by default
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<OffsetDateTime>,
    /// How to write orders
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    pub format: Format,
    /// Write the orders into this new file; to standard output by default
    #[arg(long, short = 'o', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Store in this file where the export stands, and go on from there if it exists
    #[arg(long, value_name = "STATE", requires = "file")]
    pub resume: Option<PathBuf>,
    /// How many calls to make in a second, each of up to 200 orders
    #[arg(long, short = 'r', default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let time = timestamp::parse(text).or_else(|_| timestamp::parse(&format!("{text}T00:00:00Z")));
    time.map_err(|_| {
        "must be a date such as 2026-11-24, which begins at midnight in UTC, or a time by RFC 3339".to_owned()
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let interval = interval.filter(|interval| (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(interval));
    interval.ok_or_else(|| "must be a number of seconds from 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval_of(text: &str) -> Result<Duration, String> {
        let options = Options::try_parse_from(["ordermill", "tail", &format!("--interval={text}")]);
        match options.map_err(|error| error.to_string())?.command {
            Command::Tail(tail) => Ok(tail.interval),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn interval_is_a_number_of_seconds_within_bounds() {
        assert_eq!(interval_of("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(interval_of("3600"), Ok(Duration::from_hours(1)));
        for text in ["-1", "-0.0", "0.09", "3600.1", "1e300", "nan", "inf", "soon", ""] {
            let refused = interval_of(text).unwrap_err();
            assert!(refused.contains("must be a number of seconds from 0.1 to 3600"), "{text}: {refused}");
        }
    }
}
