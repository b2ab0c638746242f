-- Inserts the orders of a busy hour with their statistics. Running it again adds nothing.

WITH minute AS (
    SELECT date_trunc('minute', now()) - make_interval(mins => m) AS at,
        (22 + 9 * sin(m / 7.0) + 4 * sin(m * 1.7) + m * 7919 % 6)::int AS orders
    FROM generate_series(1, 61) AS m
), sample AS (
    SELECT 'order-' || (20000 + row_number() OVER (ORDER BY at, i)) AS order_id,
        (ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'frank'])[1 + (i * 7 + extract(minute FROM at)::int) % 6] AS user_id,
        (ARRAY['espresso-machine', 'grinder', 'beans', 'kettle'])[1:1 + i % 4] AS item_ids,
        (1 + (i * 7919 + extract(minute FROM at)::int * 104729) % 42000)::numeric / 100 AS total_amount,
        (i * 31 + extract(minute FROM at)::int) % 100 AS fate,
        at + (i * 60.0 / orders - 12) * interval '1 second' AS created_at,
        make_interval(secs => 2 + (i * 37 % 100) / 80.0) AS queueing,
        make_interval(secs => 0.4 + power((i * 53 % 100) / 100.0, 4) * 7) AS processing
    FROM minute, generate_series(1, orders) AS i
), inserted AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount, cancelled, created_at, started_at, finished_at, attempts, failure)
    SELECT order_id, user_id, item_ids, total_amount,
        fate IN (4, 5), created_at,
        CASE WHEN fate NOT IN (4, 5) THEN created_at + queueing END,
        created_at + queueing + processing,
        CASE WHEN fate < 4 THEN 5 WHEN fate < 6 THEN 0 ELSE 1 END,
        CASE fate WHEN 0 THEN 'the fulfilment endpoint answered 422 Unprocessable Entity' WHEN 1 THEN 'the fulfilment endpoint did not answer in time'
            WHEN 2 THEN 'the fulfilment endpoint answered 422 Unprocessable Entity' WHEN 3 THEN 'the fulfilment endpoint answered 410 Gone' END
    FROM sample
    ON CONFLICT DO NOTHING
    RETURNING order_id, created_at, started_at, finished_at
), counted AS (
    SELECT inserted.*, CASE WHEN fate < 4 THEN 'failed' WHEN fate < 6 THEN 'cancelled' ELSE 'completed' END AS status
    FROM inserted JOIN sample USING (order_id)
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
FROM counted GROUP BY 1;

-- The hours of the week before, busier by day.
WITH hour AS (
    SELECT date_trunc('hour', now()) - make_interval(hours => h) AS at,
        (760 + 540 * sin((extract(hour FROM date_trunc('hour', now()) - make_interval(hours => h)) - 9) / 24 * 2 * pi()) + h * 7919 % 120)::int AS orders
    FROM generate_series(3, 167) AS h
), timed AS (
    INSERT INTO order_hour_durations (hour, bucket, processing, queueing)
    SELECT at, bucket, orders / 5, orders / 5 FROM hour, unnest(ARRAY[160, 164, 170, 176, 180]) AS bucket
    ON CONFLICT DO NOTHING
)
INSERT INTO order_hours (hour, completed, failed, cancelled, requeued, seconds)
SELECT at, orders, orders / 40, orders / 60, 0, orders * 4.2 FROM hour
ON CONFLICT DO NOTHING;
