-- A thousand orders of ten users over the last day, in every state, with the work and the statistics that belong to them.
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
), born AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount, status, created_at, started_at, finished_at, attempts, failure)
    SELECT order_id, user_id, item_ids, total_amount, status, created_at,
        CASE WHEN status IN ('processing', 'completed', 'failed') THEN created_at + queueing END,
        CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN created_at + queueing + processing END,
        CASE WHEN status = 'completed' THEN 1 WHEN status = 'failed' THEN 5 ELSE 0 END,
        CASE WHEN status = 'failed' THEN 'the fulfilment service refused the order' END
    FROM sample
    ON CONFLICT DO NOTHING
    RETURNING order_id, status, created_at, started_at, finished_at
), work AS (
    INSERT INTO order_work (order_id, created_at, started, due_at)
    SELECT order_id, created_at, status = 'processing', now() FROM born WHERE status IN ('pending', 'processing')
)
INSERT INTO order_stats AS s
    (minute, shard, completed, failed, cancelled, seconds_sum, processing_histogram, queueing_histogram)
SELECT date_trunc('minute', finished_at), 0,
    count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    coalesce(sum(extract(epoch FROM finished_at - started_at)) FILTER (WHERE status = 'completed'), 0),
    histogram(array_agg(histogram_bucket(finished_at - started_at)) FILTER (WHERE status = 'completed')),
    histogram(array_agg(histogram_bucket(started_at - created_at)) FILTER (WHERE status = 'completed'))
FROM born WHERE finished_at IS NOT NULL GROUP BY 1
ON CONFLICT (minute, shard) DO UPDATE SET
    completed = s.completed + excluded.completed, failed = s.failed + excluded.failed,
    cancelled = s.cancelled + excluded.cancelled, seconds_sum = s.seconds_sum + excluded.seconds_sum,
    processing_histogram = histogram_add(s.processing_histogram, excluded.processing_histogram),
    queueing_histogram = histogram_add(s.queueing_histogram, excluded.queueing_histogram);
