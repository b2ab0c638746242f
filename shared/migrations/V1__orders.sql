-- orders holds each request and its end, order_work the work that is left, order_stats and its like the statistics.
-- A statement that changes an active order locks its row of order_work first; two of them therefore can't deadlock.

-- The rules of values that never change are domains: they are checked when a value is stored, and not again when its row is
-- updated. They are the same bounds as the API's, so that no other way in can store what the API could not show.
CREATE DOMAIN order_id AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9._:-]{1,64}$' AND VALUE NOT IN ('.', '..'));
CREATE DOMAIN user_id AS text COLLATE "C" CHECK (char_length(VALUE) BETWEEN 1 AND 128);
CREATE DOMAIN item_ids AS text[] CHECK (cardinality(VALUE) BETWEEN 1 AND 500);
CREATE DOMAIN amount AS numeric(14,2) CHECK (VALUE >= 0);

-- Written twice in a life: inserted, and updated once when the order ends. Columns of a fixed width come first, so that no
-- padding lies between them.
CREATE TABLE orders (
    created_at      timestamptz   NOT NULL DEFAULT now(),
    -- How the order ended. All are as inserted while it is active.
    started_at      timestamptz,
    finished_at     timestamptz,
    attempts        integer       NOT NULL DEFAULT 0,
    cancelled       boolean       NOT NULL DEFAULT false,
    failure         text,
    -- The request.
    order_id        order_id      PRIMARY KEY,
    user_id         user_id       NOT NULL,
    item_ids        item_ids      NOT NULL,
    total_amount    amount        NOT NULL,
    idempotency_key bytea,

    -- An order that completed or failed was started, and no other order was.
    CONSTRAINT orders_started_at CHECK ((started_at IS NOT NULL) = (finished_at IS NOT NULL AND NOT cancelled)),
    CONSTRAINT orders_failure CHECK (failure IS NULL OR started_at IS NOT NULL),
    CONSTRAINT orders_cancelled CHECK (NOT cancelled OR finished_at IS NOT NULL)
)
-- Room on each page for a second, longer version of all its rows, even if one batch completes them all. An order that
-- completes then stays on its page (HOT) and touches no index, because none holds a column that changes then.
WITH (fillfactor = 45);

COMMENT ON COLUMN orders.started_at IS 'When work first began; order_work has it while the order is active';
COMMENT ON COLUMN orders.attempts IS 'How often work was tried; written once, when the order ends';
COMMENT ON COLUMN orders.idempotency_key IS 'SHA-256 of the caller and its Idempotency-Key header, so that callers cannot collide';

-- Most orders have no key, and cost this index nothing.
CREATE UNIQUE INDEX orders_idempotency_key ON orders (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Lists run from the newest to the oldest, and by order_id among orders of the same time, which are few: those of one batch. So
-- the indexes hold no order_id. They ascend, because a new entry at the end of an index leaves full pages behind.
CREATE INDEX orders_newest ON orders (created_at);
CREATE INDEX orders_newest_of_user ON orders (user_id, created_at);
-- Lists of the rare ends.
CREATE INDEX orders_failed ON orders (created_at) WHERE failure IS NOT NULL;
CREATE INDEX orders_cancelled ON orders (created_at) WHERE cancelled;

-- A row exists exactly while its order is active: the statement that creates the order inserts it, and the one that ends the
-- order deletes it. There is no foreign key: it could state only one direction of that, and would cost every insert a lookup
-- and a row lock.
CREATE TABLE order_work (
    order_id    text COLLATE "C" PRIMARY KEY,
    -- The same as in orders, so that a page of active orders can be chosen without reading orders.
    created_at  timestamptz NOT NULL,
    -- When work first began. The order is processing from then on, and pending before.
    started_at  timestamptz,
    -- When the order next wants attention: first the end of the cancel window, then the end of the lease while a worker
    -- holds it, then the end of a wait.
    due_at      timestamptz NOT NULL,
    -- When the sweeper last sent another message. due_at stays, so that it says how long an order has been kept waiting.
    requeued_at timestamptz,
    -- The fencing token of the worker that holds the lease; null when there is none.
    claim       uuid,
    -- Attempts that ended without an outcome.
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0)
)
-- Every row is updated several times in a short life and deleted: vacuum early, keep it small. No index holds a column that
-- an update changes, so that updates stay on their page. Once a minute the sweeper reads the whole table instead, which is as
-- long as there are active orders: a tenth of a second for a million.
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Orders as they are now: the one place that derives an order's status.
CREATE VIEW order_states AS
SELECT o.order_id, o.user_id, o.item_ids, o.total_amount, o.created_at, o.idempotency_key,
    CASE
        WHEN o.cancelled THEN 'cancelled'
        WHEN o.failure IS NOT NULL THEN 'failed'
        WHEN o.finished_at IS NOT NULL THEN 'completed'
        WHEN w.started_at IS NOT NULL THEN 'processing'
        ELSE 'pending'
    END AS status,
    coalesce(w.started_at, o.started_at) AS started_at, o.finished_at, o.failure,
    -- While the order is active: the attempts that ended without an outcome, and the one under way.
    coalesce(w.attempts + (w.started_at IS NOT NULL)::int, o.attempts) AS attempts,
    w.due_at, w.claim
FROM orders AS o LEFT JOIN order_work AS w ON w.order_id = o.order_id;

-- Statistics are inserted and never updated: a counter that each outcome updates makes a chain of versions, which an old
-- snapshot keeps and every further update walks. The statement that ends orders inserts one row, and the sweeper folds rows
-- of past minutes into the two tables below.
CREATE TABLE order_outcomes (
    -- The minute of the outcomes.
    minute     timestamptz NOT NULL,
    completed  integer NOT NULL DEFAULT 0,
    -- Less the operators' retries, so a row may be negative.
    failed     integer NOT NULL DEFAULT 0,
    cancelled  integer NOT NULL DEFAULT 0,
    -- Messages that the sweeper sent again.
    requeued   integer NOT NULL DEFAULT 0,
    -- Of completed orders: the sum of the seconds from start to finish.
    seconds    double precision NOT NULL DEFAULT 0,
    -- Of each completed order: the bucket of its time from start to finish, and of the time before, from creation to start.
    processing smallint[] NOT NULL DEFAULT '{}',
    queueing   smallint[] NOT NULL DEFAULT '{}'
);

CREATE INDEX order_outcomes_minute ON order_outcomes (minute);

-- Outcomes by minute, all of them folded: order_outcomes holds only later minutes than the newest here. So a reader starts
-- there, and never walks over dead rows. '-infinity' holds all that is older than the sweeper keeps by the minute.
CREATE TABLE order_stats (
    minute    timestamptz PRIMARY KEY,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    cancelled bigint NOT NULL,
    requeued  bigint NOT NULL,
    seconds   double precision NOT NULL
);

-- How many completed orders of ten minutes had a time in a bucket; shared/src/db/stats.rs has the buckets' bounds.
CREATE TABLE order_durations (
    slot       timestamptz NOT NULL,
    bucket     smallint NOT NULL,
    processing bigint NOT NULL,
    queueing   bigint NOT NULL,
    PRIMARY KEY (slot, bucket)
);
