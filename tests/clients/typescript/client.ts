// A client of the generated types, which notes its successful calls.

import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./ordermill.js";

const baseUrl = process.env.API_URL ?? "";

export type OrdersClient = Client<paths>;

/** The successful calls of all clients: `POST /orders/order-1/cancel`. */
export const calls: string[] = [];

export function clientOf(token: string | undefined): OrdersClient {
  const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  client.use({
    onResponse({ request, response }) {
      const path = request.url.slice(baseUrl.length).split("?")[0];
      if (response.ok) calls.push(`${request.method} ${path}`);
    },
  });
  return client;
}
