-- The replaced service's table, with only the columns that it needs.
CREATE TABLE orders (
    order_id     text PRIMARY KEY,
    user_id      text NOT NULL,
    item_ids     text[] NOT NULL,
    total_amount double precision NOT NULL,
    status       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz
);
