// Creates an order and follows it, with types that are generated from the OpenAPI document, and makes an operator's calls. Calls
// that differ from the document do not compile. Writes the successful calls into the file of CALLED.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { calls, clientOf } from "./client.js";
import { operate } from "./operate.js";
import type { components } from "./ordermill.js";

type Problem = components["schemas"]["Problem"];

const client = clientOf(process.env.TOKEN);
const order_id = `client-${randomUUID().slice(0, 12)}`;
const order = { order_id, user_id: "alice", item_ids: ["book-1"], total_amount: "12.50" };
const deadline = Date.now() + 60_000;

function isProblem(error: object): error is Problem {
  return "type" in error;
}

const { data: health } = await client.GET("/healthz");
assert.equal(health?.status, "ok");
const created = await client.POST("/orders", { body: order });
assert.equal(created.response.status, 201);
assert.deepEqual(created.data?.next, ["cancel"]);

const conflict = await client.POST("/orders", { body: { ...order, total_amount: 99 } });
assert(conflict.error && isProblem(conflict.error) && conflict.error.type === "/docs/problems#conflict");

const path = { params: { path: { order_id } } };
for (;;) {
  const { data } = await client.GET("/orders/{order_id}/status", path);
  if (data?.status === "completed") break;
  assert(Date.now() < deadline, `${order_id} is ${data?.status}`);
  await pause(200);
}
const { data: done } = await client.GET("/orders/{order_id}", path);
assert.equal(done?.total_amount, "12.50");


const process_after = new Date(Date.now() + 3_600_000).toISOString();
const { data: scheduled } = await client.POST("/orders", { body: { ...order, order_id: null, process_after } });
const later = scheduled?.order_id ?? "";
const { data: cancelled } = await client.POST("/orders/{order_id}/cancel", { params: { path: { order_id: later } } });
assert.deepEqual([cancelled?.status, cancelled?.next], ["cancelled", []]);

const { data: page } = await client.GET("/orders", { params: { query: { status: "completed", limit: 1 } } });
assert.equal(page?.orders.length, 1);
const both = { order_id: [order_id, later], created_from: done?.created_at };
const { data: found } = await client.GET("/orders", { params: { query: both } });
assert.deepEqual(new Set(found?.orders.map((order) => order.order_id)), new Set(both.order_id));

await operate(clientOf(process.env.OPERATOR_TOKEN));
if (process.env.CALLED) writeFileSync(process.env.CALLED, calls.join("\n"));
console.log("The generated client created its order and saw it completed.");
