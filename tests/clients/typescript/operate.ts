// The calls of an operator: they pause processing, and retry, cancel and erase orders. The stack is one of its own with the
// sample data, because the calls concern other users' orders too.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { OrdersClient } from "./client.js";

const cause = "answered 422";

export async function operate(client: OrdersClient): Promise<void> {
  await retryFailed(client);
  await cancelAndErase(client);
  await pauseAndResume(client);
  for (const dry_run of [true, false]) {
    const { data } = await client.POST("/dead-letters/redrive", { body: { dry_run, limit: 10, per_second: 100 } });
    assert.deepEqual([data?.dry_run, data?.found], [dry_run, 0]);
  }
  const { by_hour, total_orders } = await metricsOf(client);
  assert(by_hour?.hours === 24 && by_hour.outcomes.length > 0 && total_orders > 0);
}

/** Retries one failed order of the sample data, and then two more together. */
async function retryFailed(client: OrdersClient): Promise<void> {
  const { data: failed } = await client.GET("/orders", { params: { query: { status: "failed", cause, limit: 3 } } });
  const [order_id = "", ...order_ids] = failed?.orders.map((order) => order.order_id) ?? [];
  const path = { params: { path: { order_id } } };
  const { data: retried } = await client.POST("/orders/{order_id}/retry", path);
  assert.deepEqual([retried?.status, retried?.failure], ["pending", null]);
  const { data: history } = await client.GET("/orders/{order_id}/history", path);
  const retries = history?.changes.filter(({ change }) => change === "retried");
  assert.deepEqual(retries?.map(({ by, subject }) => [by, subject]), [["caller", "admin"]]);
  for (const [dry_run, count] of [[true, 0], [false, 2]] as const) {
    const { data } = await client.POST("/orders/retry", { body: { dry_run, order_ids, cause } });
    assert.deepEqual([data?.dry_run, data?.matched, data?.retried], [dry_run, 2, count]);
    assert.deepEqual(data?.causes.map(({ orders }) => orders), [2]);
  }
}

/** Cancels two orders of a new user together, and then removes the user. */
async function cancelAndErase(client: OrdersClient): Promise<void> {
  const user_id = `client-${randomUUID().slice(0, 12)}`;
  const process_after = new Date(Date.now() + 3_600_000).toISOString();
  const scheduled = { user_id, item_ids: ["book-1"], total_amount: 1, process_after };
  const { data: first } = await client.POST("/orders", { body: scheduled });
  const { data: batch } = await client.POST("/orders/batch", { body: { orders: [scheduled] } });
  assert(first?.status === "pending" && batch?.accepted === 1);
  // @ts-expect-error The types refuse an order of a batch that lacks its items; the service refuses it in its place.
  const { data: lacking } = await client.POST("/orders/batch", { body: { orders: [{ user_id, total_amount: 1 }] } });
  assert.deepEqual([lacking?.accepted, lacking?.results[0]?.status], [0, 422]);
  const ours = { user_id, created_from: first.created_at };
  for (const [dry_run, count] of [[true, 0], [false, 2]] as const) {
    const { data } = await client.POST("/orders/cancel", { body: { dry_run, ...ours } });
    assert.deepEqual([data?.dry_run, data?.matched, data?.cancelled], [dry_run, 2, count]);
  }
  const { data: erased } = await client.POST("/users/{user_id}/erase", { params: { path: { user_id } } });
  assert.deepEqual(erased, { erased: 2, more: false });
  const { data: none } = await client.GET("/orders", { params: { query: { user_id } } });
  assert.deepEqual(none?.orders, []);
}

async function pauseAndResume(client: OrdersClient): Promise<void> {
  const { data: paused } = await client.POST("/processing/pause", { body: { reason: "stocktaking" } });
  assert.deepEqual([paused?.pause?.reason, paused?.pause?.by], ["stocktaking", "admin"]);
  assert.deepEqual((await metricsOf(client)).pause, paused?.pause);
  const { data: resumed } = await client.POST("/processing/resume", { body: { reason: "the stock is counted" } });
  assert.deepEqual(resumed, { pause: null });
}

/** The metrics in JSON. The text formats are strings. */
async function metricsOf(client: OrdersClient) {
  const { data } = await client.GET("/metrics", { params: { query: { hours: 24 } } });
  assert(typeof data === "object");
  return data;
}
