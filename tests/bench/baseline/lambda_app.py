"""The replaced service on Lambda: the same application behind Mangum, run by AWS's runtime client.

The handler is ``lambda_app.handler``. An environment serves one call at a time, so it has one connection, which it
opens while it starts. The queue in memory has no worker, because Lambda freezes the environment between calls. With
``QUEUE_URL`` it sends a message to SQS instead, as a deployment that processes its orders has to.
"""

import asyncio
import os

import app
import asyncpg
import boto3
import uvloop
from mangum import Mangum

loop = uvloop.new_event_loop()
asyncio.set_event_loop(loop)
app.pool = loop.run_until_complete(asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1))


class Queue:
    """An SQS queue with the interface of the queue in memory."""

    def __init__(self, url: str) -> None:
        """Create the client. It connects with the first message."""
        self.url = url
        self.client = boto3.client("sqs")

    def put_nowait(self, order_id: str) -> None:
        """Send a message. It may block, because the environment has no other call to serve."""
        self.client.send_message(QueueUrl=self.url, MessageBody=order_id)


if url := os.environ.get("QUEUE_URL"):
    app.queue = Queue(url)

# The application's own lifespan would open a pool for each call.
handler = Mangum(app.app, lifespan="off")
