-- Inserts 2,001 cancelled orders of one instant, and a completed one before them. Yesterday's orders disturb no other test.

INSERT INTO orders (order_id, user_id, item_ids, total_amount, cancelled, created_at, started_at, finished_at, attempts)
SELECT :'user' || '-' || n, :'user', '{beans}', 1, n > 0, at, CASE WHEN n = 0 THEN at END, at, 1
FROM generate_series(0, 2001) AS n, LATERAL (SELECT now() - interval '1 day' - make_interval(secs => (n = 0)::int) AS at) AS created;
