-- Inserts a thousand orders of ten users over the last day, in every state, with their work, their history and their statistics.
-- Running it again adds nothing. The service completes the active ones as its own: pending ones are scheduled for the next days, and
-- processing ones have only begun. They are overdue by just enough that the next sweep requeues them.

WITH sample AS (
    SELECT 'sample-' || to_char(i, 'FM0000') AS order_id,
        'user-' || i % 10 AS user_id,
        (SELECT array_agg('item-' || (i * n) % 97) FROM generate_series(1, 1 + i % 4) AS n) AS item_ids,
        (i * 7919 % 50000)::numeric / 100 AS total_amount,
        CASE WHEN i % 100 < 2 THEN 'pending' WHEN i IN (2, 102, 202) THEN 'processing' WHEN i % 100 IN (3, 4) THEN 'failed'
            WHEN i % 100 BETWEEN 5 AND 8 THEN 'cancelled' ELSE 'completed' END AS status,
        now() - CASE WHEN i IN (2, 102, 202) THEN interval '3 seconds' ELSE (1 + i) * interval '80 seconds' END AS created_at,
        CASE WHEN i % 100 < 2 THEN date_trunc('hour', now()) + make_interval(hours => 2 + i * 7 % 70) END AS process_after,
        make_interval(secs => 2 + i % 5 * 0.1) AS queueing,
        make_interval(secs => 5 + i % 7 * 0.3) AS processing
    FROM generate_series(1, 1000) AS i
), inserted AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount, cancelled, created_at, process_after, started_at, finished_at,
        attempts, failure)
    SELECT order_id, user_id, item_ids, total_amount, status = 'cancelled', created_at, process_after,
        CASE WHEN status IN ('completed', 'failed') THEN created_at + queueing END,
        CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN created_at + queueing + processing END,
        CASE WHEN status IN ('completed', 'failed') THEN 1 ELSE 0 END,
        CASE WHEN status = 'failed' THEN 'the fulfilment endpoint answered 422 Unprocessable Entity' END
    FROM sample
    ON CONFLICT DO NOTHING
    RETURNING order_id, user_id, created_at, process_after, started_at, finished_at
), counted AS (
    SELECT inserted.*, sample.status FROM inserted JOIN sample USING (order_id)
), work AS (
    INSERT INTO order_work (order_id, created_at, started_at, due_at, process_after)
    SELECT order_id, created_at, CASE WHEN status = 'processing' THEN created_at + interval '2 s' END,
        coalesce(process_after, now() - interval '185 s'), process_after
    FROM counted WHERE status IN ('pending', 'processing')
), history AS (
    INSERT INTO order_events (order_id, at, event, subject)
    SELECT order_id, finished_at, 'cancelled', user_id FROM counted WHERE status = 'cancelled'
)
INSERT INTO order_outcomes (minute, completed, failed, cancelled, seconds, processing, queueing)
SELECT date_trunc('minute', finished_at),
    count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0),
    -- The buckets of shared/src/db/stats.rs.
    coalesce(array_agg(least(440, greatest(0, ceil(ln(greatest(1, 1000 * extract(epoch FROM finished_at - started_at))) / ln(1.05))))::smallint)
        FILTER (WHERE status = 'completed'), '{}'),
    coalesce(array_agg(least(440, greatest(0, ceil(ln(greatest(1, 1000 * extract(epoch FROM started_at - created_at))) / ln(1.05))))::smallint)
        FILTER (WHERE status = 'completed'), '{}')
FROM counted WHERE finished_at IS NOT NULL GROUP BY 1;
