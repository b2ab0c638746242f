//! `ordermill`

use std::process::ExitCode;

use clap::Parser;
use ordermill::options::Options;
use ordermill::output::{Output, end_with_closed_pipe};

#[tokio::main]
async fn main() -> ExitCode {
    end_with_closed_pipe();
    let options = Options::parse();
    let output = Output::of_process(options.json);
    ordermill::run(options, std::env::vars_os(), output).await.into()
}
