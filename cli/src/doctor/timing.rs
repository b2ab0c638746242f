//! Checks the order of the times of a function: time-out < lease < visibility timeout < grace period.

use std::time::Duration;

use shared::config::{Env, Timing, function_timeout};

use super::finding::Finding;

const CHECK: &str = "function.timing";
const OF_SWEEPER: &str = "LEASE_SECONDS < VISIBILITY_TIMEOUT_SECONDS < SWEEP_GRACE_SECONDS";

/// Checks the times in the processor's variables. Its time-out must be below the lease.
pub fn of_processor(name: &str, variables: &Env) -> Finding {
    let remedy = format!("set FUNCTION_TIMEOUT_SECONDS < {OF_SWEEPER}; the function does not start otherwise");
    let times = function_timeout(variables, 15).and_then(|timeout| Ok((timeout, Timing::from_env(variables)?)));
    match times {
        Ok((timeout, Timing { lease, .. })) if timeout >= lease => {
            let what = format!("its time-out is {} s, and the lease {} s", timeout.as_secs(), lease.as_secs());
            Finding::wrong(CHECK, name, what, remedy)
        }
        Ok((timeout, timing)) => {
            Finding::ok(CHECK, name, format!("time-out {} s < {}", timeout.as_secs(), in_order(timing)))
        }
        Err(error) => Finding::wrong(CHECK, name, error.to_string(), remedy),
    }
}

/// Checks the times in the sweeper's variables. It holds no lease, so its time-out may be any.
pub fn of_sweeper(name: &str, variables: &Env) -> Finding {
    match Timing::from_env(variables) {
        Ok(timing) => Finding::ok(CHECK, name, in_order(timing)),
        Err(error) => {
            let remedy = format!("set {OF_SWEEPER}; the function does not start otherwise");
            Finding::wrong(CHECK, name, error.to_string(), remedy)
        }
    }
}

fn in_order(Timing { lease, grace }: Timing) -> String {
    let [lease, grace] = [lease, grace].map(|time: Duration| time.as_secs());
    format!("lease {lease} s < visibility < grace {grace} s")
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn variables(timeout: &'static str) -> Env {
        Env::from_iter([("FUNCTION_TIMEOUT_SECONDS", timeout)])
    }

    #[test]
    fn time_out_must_be_below_the_lease_in_the_processor_alone() {
        let processor = of_processor("processor", &variables("30"));
        assert_eq!((processor.state, &*processor.what), (Verdict::Wrong, "its time-out is 30 s, and the lease 30 s"));
        let sweeper = of_sweeper("sweeper", &variables("30"));
        assert_eq!((sweeper.state, &*sweeper.what), (Verdict::Ok, "lease 30 s < visibility < grace 180 s"));
        let processor = of_processor("processor", &variables("15"));
        let what = "time-out 15 s < lease 30 s < visibility < grace 180 s";
        assert_eq!((processor.state, &*processor.what), (Verdict::Ok, what));
    }
}
