-- Orders: what happened (orders), what still wants doing (order_work), what it adds up to (order_stats).
-- Whatever changes an order that is active holds its row of order_work first: there they meet, and none can deadlock with
-- another.

CREATE TABLE orders (
    order_id        text COLLATE "C" PRIMARY KEY,
    user_id         text COLLATE "C" NOT NULL,
    item_ids        text[]        NOT NULL,
    total_amount    numeric(14,2) NOT NULL,
    status          text COLLATE "C" NOT NULL DEFAULT 'pending',
    created_at      timestamptz   NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    attempts        integer       NOT NULL DEFAULT 0,
    failure         text,
    idempotency_key bytea UNIQUE,

    -- The same bounds as the API's, so that no other way in can store what the API could not show.
    CONSTRAINT orders_order_id CHECK (order_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
    CONSTRAINT orders_user_id CHECK (char_length(user_id) BETWEEN 1 AND 128),
    CONSTRAINT orders_item_ids CHECK (cardinality(item_ids) BETWEEN 1 AND 500),
    CONSTRAINT orders_total_amount CHECK (total_amount >= 0),
    -- Text and a CHECK rather than an enum type: a status can be added without locking the table for long.
    CONSTRAINT orders_status CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    -- Both directions: an order has an end exactly when it has ended.
    CONSTRAINT orders_finished_at CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
    -- Work was begun on whatever is being processed or was processed, and on nothing that still waits or was cancelled.
    CONSTRAINT orders_started_at CHECK ((started_at IS NOT NULL) = (status IN ('processing', 'completed', 'failed'))),
    -- A failure has a cause, and nothing else has one.
    CONSTRAINT orders_failure CHECK ((failure IS NOT NULL) = (status = 'failed'))
)
-- Room on each page for a second, slightly longer version of each of its rows, even if one batch updates them all: with no
-- index on a column that changes, every update of the usual life (pending, processing, completed) then stays on its page
-- (HOT) and touches no index. A third version takes the place of the first, which is dead by then.
WITH (fillfactor = 45);

COMMENT ON COLUMN orders.attempts IS 'How often work was tried; written once, when the order ends';
COMMENT ON COLUMN orders.idempotency_key IS 'SHA-256 of the caller and its Idempotency-Key header, so that callers cannot collide';

CREATE INDEX orders_newest ON orders (created_at DESC, order_id DESC);
CREATE INDEX orders_newest_of_user ON orders (user_id, created_at DESC, order_id DESC);
-- The operator's list. Its predicate changes only when an order fails or is retried, which is rare.
CREATE INDEX orders_failed ON orders (created_at DESC, order_id DESC) WHERE failure IS NOT NULL;

-- A row exists exactly while its order is pending or processing: it is born with the order, in the same statement,
-- and deleted by the statement that ends it. There is no foreign key: it could state only one direction of that, and
-- would cost every insert a lookup and a row lock.
CREATE TABLE order_work (
    order_id   text COLLATE "C" PRIMARY KEY,
    -- The order's own, so that a page of active orders is known before orders is looked at.
    created_at timestamptz NOT NULL,
    -- Whether work has begun, that is, whether the order is processing and not pending: counted and listed from here.
    started    boolean NOT NULL DEFAULT false,
    -- When the order next wants attention: first when it may be worked on, then the end of the lease while somebody
    -- works on it, then the wake-up while it waits.
    due_at     timestamptz NOT NULL,
    -- The fencing token of whoever holds the lease; null when nobody does.
    claim      uuid,
    -- Attempts that ended without an outcome.
    attempts   integer NOT NULL DEFAULT 0 CHECK (attempts >= 0)
)
-- Every row is updated several times in a short life and deleted: vacuum early, keep it small.
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- For the sweep alone: claims find their rows by primary key.
CREATE INDEX order_work_due ON order_work (due_at);

-- Outcomes by minute, added to in the statement that records them, so that metrics never scan orders.
CREATE TABLE order_stats (
    -- The minute of the outcomes; '-infinity' holds everything older than the sweeper keeps by the minute.
    minute                timestamptz NOT NULL,
    -- Concurrent writers have a shard each (1 and up) and so rarely wait for one another; the sweeper folds them into 0.
    shard                 smallint    NOT NULL,
    completed             bigint      NOT NULL DEFAULT 0,
    -- Less the operators' retries, so a single row may be negative.
    failed                bigint      NOT NULL DEFAULT 0,
    cancelled             bigint      NOT NULL DEFAULT 0,
    -- Orders that the sweeper told the queue of again.
    rescued               bigint      NOT NULL DEFAULT 0,
    -- Of completed orders: started_at to finished_at.
    seconds_sum           numeric     NOT NULL DEFAULT 0,
    processing_histogram  bigint[]    NOT NULL DEFAULT array_fill(0::bigint, ARRAY[100]),
    -- Of completed orders: created_at to started_at.
    queueing_histogram    bigint[]    NOT NULL DEFAULT array_fill(0::bigint, ARRAY[100]),
    PRIMARY KEY (minute, shard),
    CONSTRAINT order_stats_histograms CHECK (cardinality(processing_histogram) = 100 AND cardinality(queueing_histogram) = 100)
)
WITH (fillfactor = 50);

-- The bucket (1 to 100) of a duration: four to each doubling, from 1 ms to 9.3 h; the first and last are open.
CREATE FUNCTION histogram_bucket(duration interval) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN least(100, 1 + ceil(4 * log(greatest(1, 1000 * extract(epoch FROM duration))::double precision) / log(2::double precision)))::integer;

-- The histogram of some durations; null buckets (rows that do not count) are left out.
CREATE FUNCTION histogram(buckets integer[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(coalesce(n, 0) ORDER BY i)
        FROM generate_series(1, 100) AS i
        LEFT JOIN (SELECT bucket, count(*) AS n FROM unnest(buckets) AS bucket GROUP BY bucket) AS counted ON bucket = i
    );

-- The sum of two histograms, bucket by bucket.
CREATE FUNCTION histogram_add(a bigint[], b bigint[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(x + y ORDER BY i) FROM unnest(a, b) WITH ORDINALITY AS both_of(x, y, i));

CREATE AGGREGATE histogram_sum(bigint[]) (
    SFUNC = histogram_add, STYPE = bigint[], PARALLEL = SAFE
);
