// Measures how many orders a second pg-boss finishes, with one worker that fetches batches and updates the orders of a batch
// in one statement. Usage: node pg-boss.mjs JOBS BATCH, with DATABASE_URL. It inserts the jobs, prints `ready`, starts when
// it reads a line, prints the rate, and exits when it reads another line.
import readline from 'node:readline/promises';
import pg from 'pg';
import { PgBoss } from 'pg-boss';

const [jobs, batchSize] = process.argv.slice(2).map(Number);
const connectionString = process.env.DATABASE_URL;
const pool = new pg.Pool({ connectionString, max: 2 });

const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
boss.on('error', console.error);
await boss.start();
await boss.createQueue('finish');
await boss.deleteAllJobs('finish');
for (let n = 1; n <= jobs; n += 10000) {
  await boss.insert('finish', Array.from({ length: Math.min(10000, jobs - n + 1) }, (_, i) => ({ data: { id: `job-${n + i}` } })));
}

const sql = "UPDATE orders SET status = 'completed', started_at = now(), finished_at = now() WHERE order_id = ANY ($1)";
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log('ready');
await lines.next();
const begin = performance.now();
for (let left = jobs; left > 0;) {
  const batch = await boss.fetch('finish', { batchSize });
  await pool.query({ name: 'finish', text: sql, values: [batch.map((job) => job.data.id)] });
  await boss.complete('finish', batch.map((job) => job.id));
  left -= batch.length;
}
console.log(jobs / ((performance.now() - begin) / 1000));
await lines.next();
await boss.stop();
await pool.end();
process.exit();
