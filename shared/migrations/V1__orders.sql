-- orders holds each request and its outcome, order_work the work to do, order_stats and the tables like it the statistics.
-- A statement that changes an active order locks its row of order_work first, so that two such statements don't deadlock.

-- Values that never change have domains: PostgreSQL checks a domain when it stores a value, and not again when it updates the row.
-- The bounds are those of the API, so that no other client can store a value that the API could not show.
CREATE DOMAIN order_id AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9._:-]{1,64}$' AND VALUE NOT IN ('.', '..'));
CREATE DOMAIN user_id AS text COLLATE "C" CHECK (char_length(VALUE) BETWEEN 1 AND 128);
CREATE DOMAIN item_ids AS text[] CHECK (cardinality(VALUE) BETWEEN 1 AND 500);
-- No currency has more than four decimal places. A number takes no more room for places that it does not use.
CREATE DOMAIN amount AS numeric(16,4) CHECK (VALUE >= 0);
CREATE DOMAIN currency AS text COLLATE "C" CHECK (VALUE ~ '^[A-Z]{3}$');
-- A flat object of strings. A regular expression counts up to 255 repetitions.
CREATE DOMAIN metadata AS jsonb CHECK (
    jsonb_typeof(VALUE) = 'object'
    AND jsonb_array_length(jsonb_path_query_array(VALUE, '$.keyvalue()')) BETWEEN 1 AND 20
    AND NOT jsonb_path_exists(VALUE, '$.keyvalue().key ? (!(@ like_regex "^[^[:cntrl:]]{1,40}$"))')
    AND NOT jsonb_path_exists(VALUE, '$.* ? (@.type() != "string" || !(@ like_regex "^.{0,250}.{0,250}$" flag "s"))')
);

-- A row is written twice: inserted, and updated once when the order ends. Columns of a fixed width come first, so that no
-- padding lies between them.
CREATE TABLE orders (
    created_at      timestamptz   NOT NULL DEFAULT now(),
    -- Null in most orders.
    process_after   timestamptz,
    -- How the order ended. These keep their defaults while it is active.
    started_at      timestamptz,
    finished_at     timestamptz,
    attempts        integer       NOT NULL DEFAULT 0,
    -- Null in most orders: how often an operator has retried the order.
    retries         integer,
    cancelled       boolean       NOT NULL DEFAULT false,
    failure         text,
    -- The request.
    order_id        order_id      PRIMARY KEY,
    user_id         user_id       NOT NULL,
    item_ids        item_ids      NOT NULL,
    total_amount    amount        NOT NULL,
    -- The api names a currency in each insert, so that a change of its default changes no order.
    currency        currency      NOT NULL DEFAULT 'EUR',
    -- Null in most orders.
    metadata        metadata,
    idempotency_key bytea,

    -- Completed and failed orders have a start, and no other order has one.
    CONSTRAINT orders_started_at CHECK ((started_at IS NOT NULL) = (finished_at IS NOT NULL AND NOT cancelled)),
    CONSTRAINT orders_failure CHECK (failure IS NULL OR started_at IS NOT NULL),
    CONSTRAINT orders_cancelled CHECK (NOT cancelled OR finished_at IS NOT NULL)
)
-- Each page has room for a second, longer version of all its rows, even if one batch completes them all. A completed order then
-- stays on its page (HOT) and touches no index, because no index holds a column that changes.
-- Retention deletes the oldest orders, and each of its passes begins at the front of orders_newest. Their entries stay there until a
-- vacuum, so it comes after two ended or deleted orders of a hundred, not twenty.
WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02);

COMMENT ON COLUMN orders.started_at IS 'When work first started; order_work has it while the order is active';
COMMENT ON COLUMN orders.attempts IS 'The number of attempts; written once, when the order ends';
COMMENT ON COLUMN orders.idempotency_key IS 'SHA-256 of the caller and its Idempotency-Key header, so that the keys of two callers cannot collide';

-- Most orders have no key and so no entry in this index.
CREATE UNIQUE INDEX orders_idempotency_key ON orders (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Lists run from the newest to the oldest, and by order_id among orders of the same time, which are few: those of one batch. So
-- the indexes hold no order_id. They ascend, because a new entry at the end of an index leaves full pages behind.
CREATE INDEX orders_newest ON orders (created_at);
CREATE INDEX orders_newest_of_user ON orders (user_id, created_at);
-- For lists of the rare outcomes.
CREATE INDEX orders_failed ON orders (created_at) WHERE failure IS NOT NULL;
CREATE INDEX orders_cancelled ON orders (created_at) WHERE cancelled;

-- A row exists exactly while its order is active: the statement that creates the order inserts it, and the one that ends the order
-- deletes it. A foreign key could state only one direction of that, and would cost every insert a lookup and a row lock.
CREATE TABLE order_work (
    order_id    text COLLATE "C" PRIMARY KEY,
    -- A copy from orders, so that a page of active orders can be chosen without reading orders.
    created_at  timestamptz NOT NULL,
    -- When work first started. The order is pending before, and processing from then on.
    started_at  timestamptz,
    -- When the order next needs attention: at the end of the cancel window or at process_after, at the end of the lease while a
    -- worker holds it, or of a wait.
    due_at      timestamptz NOT NULL,
    -- A copy from orders. An order that is due much later than it was created has no message until the sweeper sends it.
    process_after timestamptz,
    -- When the sweeper last sent a message, or the api at the retry of a scheduled order. due_at stays unchanged, so that it shows how long an order has been overdue.
    requeued_at timestamptz,
    -- The fencing token of the worker that holds the lease; null without one.
    claim       uuid,
    -- Attempts that are used up: they failed, or their worker crashed.
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0)
)
-- Every row is updated several times in a short life and then deleted. Autovacuum comes after two changed rows of a hundred, which keeps
-- a large table small, and after a thousand at least, so that a small one does not need it each minute. No index holds a column that
-- an update changes, so updates stay on their page. If one batch claims almost all rows of a page, up to a quarter of them move, because
-- a claimed row is longer. The price: once a minute the sweeper reads the whole table, which has one row for each active order.
-- A million rows take a quarter of a second. If there are more than its time allows, a run reads a part of the table.
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- The part of an order's past that the rows above do not hold. An ordinary order has no row here. The statement that makes the change inserts
-- its row. An order has at most 100 rows before attempts and requeues are no longer recorded, and 200 before retries are not.
CREATE TABLE order_events (
    order_id    order_id    NOT NULL REFERENCES orders ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT now(),
    event       text        NOT NULL
        CHECK (event IN ('attempt_failed', 'requeued', 'requeue_failed', 'retried', 'cancelled')),
    -- The number of the failed attempt. A retry has the number of attempts until then.
    attempt     integer,
    -- The cause of the failed attempt. A retry has the failure that it takes back.
    cause       text,
    -- A retry has the start and the end that it takes back from the order's row.
    started_at  timestamptz,
    finished_at timestamptz,
    -- A retry and a cancel have the subject and the client of the caller's token.
    subject     user_id,
    client      text CHECK (char_length(client) <= 255)
);

CREATE INDEX order_events_of_order ON order_events (order_id, at);

-- A table with a logical replica takes updates and deletes only if something identifies its rows. This one has no key, so the whole
-- row does. A blue/green deployment of RDS, for an upgrade, makes such a replica. It needs wal_level = logical, and with another level
-- nothing more is logged.
ALTER TABLE order_events REPLICA IDENTITY FULL;

-- An erasure replaces an order's user. The history follows, as the owner of the tables: the functions' role can't change it. A machine's
-- token names the same identifier as its subject and as its client.
CREATE FUNCTION replace_user_in_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- By other changes of the user, the functions' role could give any change another author.
    IF NEW.user_id !~ '^erased-' AND NOT pg_has_role(session_user, current_user, 'MEMBER') THEN
        RAISE insufficient_privilege USING MESSAGE = 'only the owner of the tables may change an order''s user, except to erase it';
    END IF;
    EXECUTE format('UPDATE %I.order_events SET subject = $1, client = nullif(client, $3) WHERE order_id = $2 AND subject = $3', TG_TABLE_SCHEMA)
        USING NEW.user_id, NEW.order_id, OLD.user_id;
    RETURN NULL;
END;
$$;

-- A statement runs it only if it assigns the user.
CREATE TRIGGER replace_user_in_history AFTER UPDATE OF user_id ON orders
FOR EACH ROW EXECUTE FUNCTION replace_user_in_history();

-- Everybody may use a new function. In a trigger of a caller's temporary table it would run, as the owner, what the caller has attached to
-- a temporary table of the name order_events.
REVOKE ALL ON FUNCTION replace_user_in_history FROM PUBLIC;

-- Ends that are not announced yet, in a deployment with an event bus; empty without one. The statement that ends an order inserts its
-- row, and the row goes once the bus has taken the event. Retention and erasure leave such orders alone. An order has more than one
-- row only if it was retried before its failure was announced.
CREATE TABLE order_ends (
    order_id   text COLLATE "C" NOT NULL,
    -- 1 for the order's first end, 2 for the end after its first retry, and so on.
    sequence   integer NOT NULL,
    ended_at   timestamptz NOT NULL,
    -- Values that the retry took back from the order's row; null while the order's row has them.
    started_at timestamptz,
    attempts   integer,
    failure    text,

    CONSTRAINT order_ends_taken_back CHECK (num_nonnulls(started_at, attempts, failure) IN (0, 3)),
    PRIMARY KEY (order_id, sequence)
)
-- Rows live for less than a second, as long as the bus takes events. The sweeper reads the whole table once a minute for the age of the
-- oldest. An index on ended_at would spare that, and make each end a tenth dearer.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- One row: whether processing is paused. Every claim and every sweep reads it.
CREATE TABLE processing_pause (
    -- Keeps a second row out.
    is_only    boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- When the pause began, why, and the subject of the operator's token; null while processing runs.
    paused_at  timestamptz,
    reason     text CHECK (char_length(reason) BETWEEN 1 AND 500),
    paused_by  text CHECK (char_length(paused_by) BETWEEN 1 AND 128),
    -- The end of the last pause. An order that was due by then has no message any more.
    resumed_at timestamptz,

    CONSTRAINT processing_pause_is_whole CHECK (num_nonnulls(paused_at, reason, paused_by) IN (0, 3))
);
INSERT INTO processing_pause DEFAULT VALUES;

-- The current state of each order. This is the only place that derives an order's status.
-- `ANY (ARRAY[…])` makes PostgreSQL look up each order's work by its key. With `=` it may walk over all of order_work for each order,
-- while it takes that table for empty.
CREATE VIEW order_states AS
SELECT o.order_id, o.user_id, o.item_ids, o.total_amount, o.currency, o.metadata, o.process_after, o.created_at, o.idempotency_key,
    CASE
        WHEN o.cancelled THEN 'cancelled'
        WHEN o.failure IS NOT NULL THEN 'failed'
        WHEN o.finished_at IS NOT NULL THEN 'completed'
        WHEN w.started_at IS NOT NULL THEN 'processing'
        ELSE 'pending'
    END AS status,
    coalesce(w.started_at, o.started_at) AS started_at, o.finished_at, o.failure,
    -- While the order is active: the attempts that are used up, and the current one.
    coalesce(w.attempts + (w.started_at IS NOT NULL)::int, o.attempts) AS attempts,
    w.due_at, w.claim
FROM orders AS o LEFT JOIN order_work AS w ON w.order_id = ANY (ARRAY[o.order_id]);

-- Retention. The functions' role may not delete orders, so it calls this function, which runs as the owner of the tables. It deletes
-- ended orders alone, and none that ended within the last day. Each call walks over at most `most` orders, the oldest first, and
-- returns where it stopped, so that orders which stay do not keep it from those behind them.
-- The body is parsed here, so its names can't mean other tables later; the search path guards what is not parsed yet. The settings
-- leave the planner only the indexes, because such a function has generic plans, and those depend on statistics; and they keep it from
-- compiling a plan for half a second, which the high cost of what they forbid would make it do.
-- Conflicts: an order that another statement has locked stays for a later call.
CREATE FUNCTION delete_ended_orders(after_created_at timestamptz, after_order_id text, ended_before timestamptz, most integer,
    OUT seen bigint, OUT deleted bigint, OUT last_created_at timestamptz, OUT last_order_id text)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off
BEGIN ATOMIC
    WITH walked AS MATERIALIZED (
        SELECT order_id, created_at FROM orders
        WHERE (created_at, order_id) > (after_created_at, after_order_id)
            AND created_at < least(ended_before, now() - interval '1 day')
        ORDER BY created_at, order_id LIMIT least(most, 1000)
    ), old AS (
        SELECT o.order_id FROM walked JOIN orders AS o ON o.order_id = ANY (ARRAY[walked.order_id])
        WHERE o.finished_at < least(ended_before, now() - interval '1 day')
            AND NOT EXISTS (SELECT FROM order_work AS w WHERE w.order_id = ANY (ARRAY[o.order_id]))
            AND NOT EXISTS (SELECT FROM order_ends AS e WHERE e.order_id = ANY (ARRAY[o.order_id]))
        FOR UPDATE OF o SKIP LOCKED
    ), gone AS (
        DELETE FROM orders AS o USING old WHERE o.order_id = ANY (ARRAY[old.order_id]) RETURNING o.order_id
    ), last AS (
        SELECT created_at, order_id FROM walked ORDER BY created_at DESC, order_id DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM walked), (SELECT count(*) FROM gone), (SELECT created_at FROM last), (SELECT order_id FROM last);
END;

-- Everybody may use a new function.
REVOKE ALL ON FUNCTION delete_ended_orders FROM PUBLIC;

-- Outcomes are inserted and never updated. A counter that each outcome updates would become a chain of row versions: an old
-- snapshot keeps them, and every update walks through them. The statement that ends orders inserts one row. The sweeper folds the
-- rows of past minutes into the four tables below.
CREATE TABLE order_outcomes (
    -- The minute of the orders' end.
    minute     timestamptz NOT NULL,
    completed  integer NOT NULL DEFAULT 0,
    -- An operator's retry subtracts from it, so a row may be negative.
    failed     integer NOT NULL DEFAULT 0,
    cancelled  integer NOT NULL DEFAULT 0,
    -- Messages that the sweeper sent again.
    requeued   integer NOT NULL DEFAULT 0,
    -- The sum of the completed orders' times from start to finish, in seconds.
    seconds    double precision NOT NULL DEFAULT 0,
    -- For each completed order, the bucket of its time from start to finish and of its time from creation to start.
    processing smallint[] NOT NULL DEFAULT '{}',
    queueing   smallint[] NOT NULL DEFAULT '{}'
);

CREATE INDEX order_outcomes_minute ON order_outcomes (minute);

-- It has no key, as order_events.
ALTER TABLE order_outcomes REPLICA IDENTITY FULL;

-- Folded outcomes by minute. order_outcomes holds only later minutes than the newest here, so a reader starts there and does not walk
-- over dead rows, while orders end at least every two hours. '-infinity' holds everything older than the sweeper keeps by the minute.
CREATE TABLE order_stats (
    minute    timestamptz PRIMARY KEY,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    cancelled bigint NOT NULL,
    requeued  bigint NOT NULL,
    seconds   double precision NOT NULL
);

-- The number of completed orders per ten minutes and bucket; shared/src/db/stats.rs has the buckets' bounds.
CREATE TABLE order_durations (
    slot       timestamptz NOT NULL,
    bucket     smallint NOT NULL,
    processing bigint NOT NULL,
    queueing   bigint NOT NULL,
    PRIMARY KEY (slot, bucket)
);

-- The same outcomes by the hour, for 90 days: a range of a day or a week reads few rows.
CREATE TABLE order_hours (
    hour      timestamptz PRIMARY KEY,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    cancelled bigint NOT NULL,
    requeued  bigint NOT NULL,
    seconds   double precision NOT NULL
);

-- The number of completed orders per hour and bucket.
CREATE TABLE order_hour_durations (
    hour       timestamptz NOT NULL,
    bucket     smallint NOT NULL,
    processing bigint NOT NULL,
    queueing   bigint NOT NULL,
    PRIMARY KEY (hour, bucket)
);
