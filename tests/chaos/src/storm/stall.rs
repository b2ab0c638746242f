//! The faults that keep the service from accepting or finishing orders, and how soon it recovers from them.

use std::time::Duration;

use sandbox::Result;
use sandbox::postgres::Stop;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Storm;
use crate::clients;
use crate::faults::Fault;
use crate::journal::Moment;

/// How long after the fault the run waits for the next accepted order and the next outcome.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the service recovered from a fault.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    pub fault: Fault,
    /// How many seconds the fault lasted.
    pub away: f64,
    /// Seconds from the fault's end until an order was accepted.
    pub accept: f64,
    /// Seconds from the fault's end until an outcome was recorded.
    pub finish: f64,
}

impl Storm {
    /// Injects the fault once, and measures the recovery.
    pub(super) async fn stall(&self, fault: Fault) -> Result<()> {
        if fault == Fault::Failover {
            self.world.database.add_standby().await?;
        }
        if fault == Fault::Paused {
            // Orders that have started then wait for another attempt, and are due during the pause.
            self.lasting(Fault::EndpointFails, self.spell).await;
        }
        if fault != Fault::QueueHangs {
            // For `QueueHangs` the queue's hook records the orders: it alone knows which ones wait for the queue.
            self.happened(fault, &self.world.active().await?);
        }
        let (journal, from) = (&self.world.journal, self.world.journal.now());
        let away = self.last(fault).await?.as_secs_f64();
        journal.outages.add(from, journal.now());
        self.recover(fault, away).await;
        if fault == Fault::Failover {
            // The stopped server returns as a standby at the other address. Cutting the connections makes the functions
            // choose between both servers.
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
        self.recoveries.lock().push(recovery);
    }

    /// Injects the fault, waits until it is over, and returns how long it lasted.
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
            Fault::Paused => self.pause_processing(stall).await,
            // Longer than any function's time-out.
            _ => self.lasting(fault, stall.mul_f64(1.5)).await,
        }
        Ok(begin.elapsed())
    }

    /// Pauses processing as an operator does, and records from when to when no order may start.
    async fn pause_processing(&self, stall: Duration) {
        let (world, journal) = (&self.world, &self.world.journal);
        clients::switch(world, "pause").await;
        let from = journal.now();
        sleep(stall).await;
        journal.pauses.add(from, journal.now());
        clients::switch(world, "resume").await;
    }

    async fn lock(&self, table: &str, stall: Duration) -> Result<()> {
        let session = self.world.database.sql().await?;
        session.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        sleep(stall).await;
        Ok(session.batch_execute("COMMIT").await?)
    }
}

/// Waits for the next event after `moment` and returns its time. Returns infinity if it takes longer than `PATIENCE`.
async fn after(last: &watch::Sender<Moment>, moment: Moment) -> Moment {
    let mut last = last.subscribe();
    let next = timeout(PATIENCE, last.wait_for(|last| *last > moment)).await;
    next.ok().and_then(|next| next.ok().map(|next| *next)).unwrap_or(Moment::INFINITY)
}
