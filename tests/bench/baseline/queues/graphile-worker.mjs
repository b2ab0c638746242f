// Measures how many orders a second graphile-worker finishes, with one worker, tuned for throughput as its documentation
// recommends. Usage: node graphile-worker.mjs JOBS, with DATABASE_URL. It inserts the jobs, prints `ready`, starts when it
// reads a line, prints the rate, and exits when it reads another line.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import readline from 'node:readline/promises';
import pg from 'pg';

const jobs = Number(process.argv[2]);
const pgPool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 25 });
// It warns about pools without these handlers.
pgPool.on('error', console.error);
pgPool.on('connect', (client) => client.on('error', console.error));
const logger = new Logger(() => () => {});
const worker = { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

const utils = await makeWorkerUtils({ pgPool, logger });
await utils.migrate();
await utils.release();
await pgPool.query(
  "SELECT graphile_worker.add_job('finish', json_build_object('id', 'job-' || n)) FROM generate_series(1, $1) AS n", [jobs]);

const sql = "UPDATE orders SET status = 'completed', started_at = now(), finished_at = now() WHERE order_id = $1";
let left = jobs;
let allDone;
const done = new Promise((resolve) => { allDone = resolve; });
const taskList = {
  finish: async ({ id }, { query }) => {
    await query({ name: 'finish', text: sql, values: [id] });
    if (--left === 0) allDone();
  },
};
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log('ready');
await lines.next();
const begin = performance.now();
const runner = await run({ pgPool, logger, noHandleSignals: true, taskList, preset: { worker } });
await done;
await runner.stop(); // The stop records completed jobs that still wait in a batch.
console.log(jobs / ((performance.now() - begin) / 1000));
await lines.next();
await pgPool.end();
process.exit();
