"""The replaced service at its best: one process, a queue in memory, a task for each order.

It loses all queued orders and all running tasks when its process ends. Of its calls it has only the create.
Its table is in schema.sql.

=============================  ====================================================  =======
variable                       meaning                                               default
=============================  ====================================================  =======
``DATABASE_URL``               the database                                          required
``POOL_SIZE``                  how many connections it has                           required
``PROCESSING_DELAY_SECONDS``   how long processing takes                             5
``PROCESSING``                 ``off``: accepted orders stay in the queue            on
=============================  ====================================================  =======
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

INSERT = "INSERT INTO orders (order_id, user_id, item_ids, total_amount, status) VALUES ($1, $2, $3, $4, 'pending')"
BEGIN = "UPDATE orders SET status = 'processing', started_at = now() WHERE order_id = $1"
FINISH = "UPDATE orders SET status = 'completed', finished_at = now() WHERE order_id = $1"

DELAY = float(os.environ.get("PROCESSING_DELAY_SECONDS", "5"))
POOL_SIZE = int(os.environ["POOL_SIZE"])

queue: asyncio.Queue[str] = asyncio.Queue()
tasks: set[asyncio.Task[None]] = set()
pool: asyncpg.Pool


class Order(BaseModel):
    """The body of a create."""

    order_id: str
    user_id: str
    item_ids: list[str]
    total_amount: float


class OrderStatus(BaseModel):
    """The status of an order."""

    order_id: str
    status: str


async def process(order_id: str) -> None:
    """Process an order by sleeping."""
    await pool.execute(BEGIN, order_id)
    await asyncio.sleep(DELAY)
    await pool.execute(FINISH, order_id)


async def process_queue() -> None:
    """Start a task for each order of the queue."""
    while True:
        task = asyncio.create_task(process(await queue.get()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect, and process orders until the service ends."""
    global pool
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE)
    worker = asyncio.create_task(process_queue()) if os.environ.get("PROCESSING", "on") == "on" else None
    yield
    if worker:
        worker.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def create(order: Order) -> OrderStatus:
    """Accept an order."""
    await pool.execute(INSERT, order.order_id, order.user_id, order.item_ids, order.total_amount)
    queue.put_nowait(order.order_id)
    return OrderStatus(order_id=order.order_id, status="pending")
