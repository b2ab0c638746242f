"""Measures how many orders a second procrastinate finishes, with one worker that runs many jobs concurrently.

Usage: ``procrastinate_queue.py JOBS CONCURRENCY``, with ``DATABASE_URL``. It inserts the jobs, prints ``ready``, starts
when it reads a line, prints the rate, and exits when it reads another line. procrastinate's documentation recommends
concurrency for speed, and ``delete_jobs`` for small tables.
"""

import asyncio
import logging
import os
import sys
import time

import procrastinate
import psycopg

SQL = "UPDATE orders SET status = 'completed', started_at = now(), finished_at = now() WHERE order_id = %s"
CHUNK = 1000


async def set_up(app: procrastinate.App, connection: psycopg.AsyncConnection) -> None:
    """Create the schema if it is missing."""
    found = await connection.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL")
    if not (await found.fetchone())[0]:
        await app.schema_manager.apply_schema_async()


async def main(jobs: int, concurrency: int) -> None:
    """Insert the jobs, run them and print the rate."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    connector = procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=4, max_size=25)
    app = procrastinate.App(connector=connector)

    @app.task(name="finish", queue="finish")
    async def finish(order: str) -> None:
        async with connector.pool.connection() as connection:
            await connection.execute(SQL, [order])

    async with app.open_async():
        async with connector.pool.connection() as connection:
            await set_up(app, connection)
        for first in range(1, jobs + 1, CHUNK):
            orders = [{"order": f"job-{n}"} for n in range(first, min(first + CHUNK, jobs + 1))]
            await finish.batch_defer_async(*orders)
        print("ready", flush=True)
        sys.stdin.readline()
        begin = time.perf_counter()
        await app.run_worker_async(
            queues=["finish"],
            concurrency=concurrency,
            wait=False,
            listen_notify=False,
            delete_jobs="always",
            install_signal_handlers=False,
        )
        print(jobs / (time.perf_counter() - begin), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
