// Creates an order and follows it, with types that are generated from the OpenAPI document. Calls that differ from the document
// do not compile.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./ordermill.js";

type Problem = components["schemas"]["Problem"];

const token = process.env.TOKEN ?? "";
const client = createClient<paths>({
  baseUrl: process.env.API_URL ?? "",
  headers: { Authorization: `Bearer ${token}` },
});
const order_id = `client-${randomUUID().slice(0, 12)}`;
const order = { order_id, user_id: "alice", item_ids: ["book-1"], total_amount: "12.50" };
const deadline = Date.now() + 60_000;

function isProblem(error: object): error is Problem {
  return "type" in error;
}

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

const { data: page } = await client.GET("/orders", { params: { query: { status: "completed", limit: 1 } } });
assert.equal(page?.orders.length, 1);
console.log("The generated client created its order and saw it completed.");
