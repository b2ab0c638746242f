#!/bin/bash
# Measures what retention costs creates: retention.sh URL [ORDERS] [SLICES]
#
# URL is a PostgreSQL server's, as a role that may create databases. The script makes a database of its own with ORDERS old orders (a
# million) and creates orders at 100 a second, as the api does. In every second slice of ten seconds, of SLICES (12), it also deletes old
# orders, at the sweeper's pace: chunks of 100, then a rest of 24 times as long as the chunk took. It prints the median and
# the 95th percentile of the creates' latencies with and without, and how many orders were deleted.
set -euo pipefail
url=$1 orders=${2:-1000000} slices=${3:-12}
name=retention_$$
database="${url%/*}/$name"
work=$(mktemp -d)
cleanup() {
    rm -rf "$work"
    psql "$url" -qc "DROP DATABASE IF EXISTS $name WITH (FORCE)"
}
trap cleanup EXIT

psql "$url" -qc "CREATE DATABASE $name"
find "$(dirname "$0")/../../shared/migrations" -name 'V*.sql' -print0 | sort -zV | xargs -0 cat |
    psql "$database" -q1 -v ON_ERROR_STOP=1
psql "$database" -q -v ON_ERROR_STOP=1 <<SQL
INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at, attempts)
SELECT md5(i::text)::uuid, 'user-' || i % 1000, ARRAY['book-1', 'pen-7'], 59.98, at, at, at, 1
FROM generate_series(1, $orders) AS i, LATERAL (SELECT now() - interval '2 days' - i * interval '1 second' AS at) AS moment;
VACUUM ANALYZE orders;
CREATE PROCEDURE delete_for(seconds integer) LANGUAGE plpgsql AS \$\$
DECLARE
    began timestamptz; ends timestamptz := clock_timestamp() + make_interval(secs => seconds);
    at timestamptz := '-infinity'; id text := ''; found record;
BEGIN
    WHILE clock_timestamp() < ends LOOP
        began := clock_timestamp();
        SELECT * INTO found FROM delete_ended_orders(at, id, now() - interval '1 day', 100);
        COMMIT;
        EXIT WHEN found.seen = 0;
        at := found.last_created_at; id := found.last_order_id;
        PERFORM pg_sleep(24 * extract(epoch FROM clock_timestamp() - began));
    END LOOP;
END \$\$;
SQL
cat > "$work/create.sql" <<'SQL'
WITH inserted AS (
    INSERT INTO orders (order_id, user_id, item_ids, total_amount)
    VALUES (gen_random_uuid(), 'alice', ARRAY['book-1', 'pen-7'], 59.98) RETURNING order_id, created_at
) INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, created_at FROM inserted;
SQL
for ((slice = 0; slice < slices; slice++)); do
    kind=$([ $((slice % 2)) = 0 ] && echo without || echo with)
    # Without deletions, it is the shell that ends at once.
    { [ "$kind" = without ] || psql "$database" -qc 'CALL delete_for(10)'; } &
    pgbench "$database" -n -M prepared -c 2 -j 1 -R 100 -T 10 -l --log-prefix="$work/$kind-$slice" -f "$work/create.sql" \
        >"$work/pgbench.log" 2>&1 || { cat "$work/pgbench.log" >&2; exit 1; }
    wait $!
done
for kind in without with; do
    # The third field is the latency in microseconds; the last one is how late the transaction began, which is part of it.
    cat "$work/$kind"-* | awk '{ print $3 }' | sort -n | awk -v kind="$kind" \
        '{ at[NR] = $1 } END { printf "%-8s %6d creates, p50 %.2f ms, p95 %.2f ms\n", kind, NR, at[int(NR * 0.50)] / 1000, at[int(NR * 0.95)] / 1000 }'
done
echo "deleted  $((orders - $(psql "$database" -Atc "SELECT count(*) FROM orders WHERE finished_at IS NOT NULL"))) of $orders"
