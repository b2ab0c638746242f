//! `ordermill`

use ordermill::options::Options;
use ordermill::output::{Output, end_with_closed_pipe};

#[tokio::main]
async fn main() {
    end_with_closed_pipe();
    let options = Options::of_process();
    let output = Output::of_process(options.json);
    let exit = ordermill::run(options, std::env::vars_os(), output).await;
    // A return would wait for a lookup of a name that hangs.
    std::process::exit(exit as i32);
}
