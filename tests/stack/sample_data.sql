-- Inserts a thousand orders of ten users over the last day, in every state, with their work and their statistics.
-- Running it again adds nothing.

WITH sample AS (
    SELECT 'sample-' || to_char(i, 'FM0000') AS order_id,
        'user-' || i % 10 AS user_id,
        (SELECT array_agg('item-' || (i * n) % 97) FROM generate_series(1, 1 + i % 4) AS n) AS item_ids,
        (i * 7919 % 50000)::numeric / 100 AS total_amount,
        CASE WHEN i % 100 < 2 THEN 'pending' WHEN i % 100 < 3 THEN 'processing' WHEN i % 100 < 5 THEN 'failed'
            WHEN i % 100 < 9 THEN 'cancelled' ELSE 'completed' END AS status,
        now() - (1 + i) * interval '80 seconds' AS created_at,
        make_interval(secs => 2 + i % 5 * 0.1) AS queueing,
        make_interval(secs => 5 + i % 7 * 0.3) AS processing
    FROM generate_series(1, 1000) AS i
), inserted AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount, cancelled, created_at, started_at, finished_at, attempts, failure)
    SELECT order_id, user_id, item_ids, total_amount, status = 'cancelled', created_at,
        CASE WHEN status IN ('completed', 'failed') THEN created_at + queueing END,
        CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN created_at + queueing + processing END,
        CASE WHEN status = 'completed' THEN 1 WHEN status = 'failed' THEN 5 ELSE 0 END,
        CASE WHEN status = 'failed' THEN 'the fulfilment endpoint answered 422 Unprocessable Entity' END
    FROM sample
    ON CONFLICT DO NOTHING
    RETURNING order_id, created_at, started_at, finished_at
), counted AS (
    SELECT inserted.*, sample.status FROM inserted JOIN sample USING (order_id)
), work AS (
    INSERT INTO order_work (order_id, created_at, started_at, due_at)
    SELECT order_id, created_at, CASE WHEN status = 'processing' THEN created_at + interval '2 s' END, now()
    FROM counted WHERE status IN ('pending', 'processing')
)
INSERT INTO order_outcomes (minute, completed, failed, cancelled, seconds, processing, queueing)
SELECT date_trunc('minute', finished_at),
    count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0),
    -- The buckets of shared/src/db/stats.rs.
    coalesce(array_agg(least(400, greatest(0, ceil(ln(greatest(1, 1000 * extract(epoch FROM finished_at - started_at))) / ln(1.05))))::smallint)
        FILTER (WHERE status = 'completed'), '{}'),
    coalesce(array_agg(least(400, greatest(0, ceil(ln(greatest(1, 1000 * extract(epoch FROM started_at - created_at))) / ln(1.05))))::smallint)
        FILTER (WHERE status = 'completed'), '{}')
FROM counted WHERE finished_at IS NOT NULL GROUP BY 1;
