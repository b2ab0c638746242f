"""The replaced service on Lambda: the same application behind Mangum, run by AWS's runtime client.

The handler is ``lambda_app.handler``. An environment takes one call at a time, so it has one connection, which it opens
while it starts. The queue in memory has no worker: the environment is frozen between calls.
"""

import asyncio
import os

import app
import asyncpg
import uvloop
from mangum import Mangum

loop = uvloop.new_event_loop()
asyncio.set_event_loop(loop)
app.pool = loop.run_until_complete(asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1))

# The application's own start would open a pool for each call.
handler = Mangum(app.app, lifespan="off")
