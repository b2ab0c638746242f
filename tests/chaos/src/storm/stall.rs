//! The faults that keep the service from taking orders or from finishing them, and how soon it does both again.

use std::time::Duration;

use sandbox::Result;
use sandbox::gate::Pace;
use sandbox::postgres::Stop;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Storm;
use crate::faults::Fault;
use crate::journal::Moment;

/// How long after the fault the next order and the next outcome are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the service came back after a fault; in seconds since the fault's end.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Which fault.
    pub fault: Fault,
    /// How long it lasted.
    pub away: f64,
    /// Until an order was accepted.
    pub accept: f64,
    /// Until an outcome was recorded.
    pub finish: f64,
}

/// Whether it is one of these.
pub fn is_stall(fault: Fault) -> bool {
    use Fault::{Crash, Failover, FastRestart, OrdersLocked, PacketsVanish, QueueHangs, WorkLocked};
    matches!(fault, FastRestart | Crash | OrdersLocked | WorkLocked | PacketsVanish | Failover | QueueHangs)
}

impl Storm {
    /// Lets it happen once, and measures the recovery.
    pub(super) async fn stall(&self, fault: Fault) -> Result<()> {
        let _turn = self.turn.lock().await;
        if fault == Fault::Failover {
            self.world.database.add_standby().await?;
        }
        if fault != Fault::QueueHangs {
            // It is the hook of the queue that knows which orders meet a queue that hangs.
            self.happened(fault, &self.world.active().await?);
        }
        let away = self.last(fault).await?.as_secs_f64();
        self.recover(fault, away).await;
        if fault == Fault::Failover {
            // The server that was stopped comes back as a standby at the other address. Cut off, the functions find both.
            self.world.database.add_standby().await?;
            self.world.database.cut();
            self.recover(fault, 0.0).await;
        }
        Ok(())
    }

    /// Measures how soon orders are accepted and finished again.
    async fn recover(&self, fault: Fault, away: f64) {
        let journal = &self.world.journal;
        let end = journal.now();
        let (accept, finish) = tokio::join!(after(&journal.last_accept, end), after(&journal.last_finish, end));
        let recovery = Recovery { fault, away, accept: accept - end, finish: finish - end };
        self.recoveries.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(recovery);
    }

    /// Returns when it is over; gives how long it lasted.
    async fn last(&self, fault: Fault) -> Result<Duration> {
        let (world, stall, begin) = (&self.world, Duration::from_secs(self.world.times.stall), Instant::now());
        match fault {
            Fault::FastRestart => return world.database.restart(Stop::Fast).await,
            Fault::Crash => return world.database.restart(Stop::Immediate).await,
            Fault::Failover => return world.database.fail_over().await,
            Fault::OrdersLocked => self.lock("orders", stall).await?,
            Fault::WorkLocked => self.lock("order_work", stall).await?,
            Fault::PacketsVanish => {
                world.database.swallow(true);
                sleep(stall).await;
                world.database.swallow(false);
            }
            _ => {
                world.gate.set(Pace::Hang);
                // Longer than any function may take.
                self.lasting(fault, stall.mul_f64(1.5)).await;
                world.gate.set(Pace::Prompt);
            }
        }
        Ok(begin.elapsed())
    }

    async fn lock(&self, table: &str, stall: Duration) -> Result<()> {
        let session = self.world.database.sql().await?;
        session.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        sleep(stall).await;
        Ok(session.batch_execute("COMMIT").await?)
    }
}

/// When it next happens after `moment`; infinitely late where that takes too long.
async fn after(last: &watch::Sender<Moment>, moment: Moment) -> Moment {
    let mut last = last.subscribe();
    let next = timeout(PATIENCE, last.wait_for(|last| *last > moment)).await;
    next.ok().and_then(|next| next.ok().map(|next| *next)).unwrap_or(Moment::INFINITY)
}
