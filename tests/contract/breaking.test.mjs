// The comparison notices what breaks a client, and accepts what does not. `make contract` runs these tests.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { breakingChanges, unannounced } from './breaking.mjs';

const text = readFileSync(new URL('released.json', import.meta.url), 'utf8');
const schemas = (document) => document.components.schemas;
const list = (document) => document.paths['/orders'].get;

// The operations that a change of the last release's document breaks.
function broken(change) {
  const changed = JSON.parse(text);
  change(changed);
  return [...new Set(breakingChanges(JSON.parse(text), changed).map(({ operation }) => operation))].sort();
}

const BREAKING = {
  'removed operation': ['GET /metrics', (document) => delete document.paths['/metrics'].get],
  'removed path': ['GET /metrics', (document) => delete document.paths['/metrics']],
  'removed property of an answer': ['GET /orders', (document) => delete schemas(document).Order.properties.status],
  'removed property of a body': ['POST /orders', (document) => delete schemas(document).NewOrder.properties.order_id],
  'removed webhook': ['POST /orderEnded', (document) => delete document.webhooks.orderEnded],
  'removed property of a webhook': ['POST /fulfilOrder', (document) => delete schemas(document).OrderNotice.properties.user_id],
  'removed header of a webhook': ['POST /fulfilOrder', (document) => document.webhooks.fulfilOrder.post.parameters.pop()],
  'property of a webhook that is no longer certain': ['POST /orderEnded', (document) => schemas(document).EndedOrder.required.pop()],
  'new required property of a body': [
    'POST /orders',
    (document) => {
      schemas(document).NewOrder.properties.currency = { type: 'string' };
      schemas(document).NewOrder.required.push('currency');
    },
  ],
  'property of an answer that is no longer certain': ['GET /orders', (document) => schemas(document).OrderList.required.pop()],
  'removed value of a parameter': ['GET /orders', (document) => list(document).parameters[0].schema.enum.shift()],
  'another type in an answer': ['GET /orders/{order_id}', (document) => (schemas(document).Order.properties.total_amount.type = 'number')],
  'another format in an answer': ['GET /orders', (document) => (schemas(document).Order.properties.created_at.format = 'date')],
  'another type in a body': ['POST /orders', (document) => (schemas(document).NewOrder.properties.user_id.type = 'integer')],
  'narrower bound of a body': [
    'POST /dead-letters/redrive',
    (document) => (schemas(document).RedriveOptions.properties.limit.maximum = 5),
  ],
  'new required parameter': [
    'GET /orders',
    (document) => list(document).parameters.push({ name: 'shop', in: 'query', required: true, schema: { type: 'string' } }),
  ],
  'removed parameter': ['GET /orders', (document) => list(document).parameters.pop()],
  'removed status': ['GET /orders', (document) => delete list(document).responses['422']],
  'removed format of an answer': ['GET /metrics', (document) => delete document.paths['/metrics'].get.responses['200'].content['text/plain']],
  'another scope': ['GET /orders', (document) => (list(document)['x-required-scopes'] = ['orders/admin'])],
  'scope of a call that needed none': [
    'GET /healthz',
    (document) => (document.paths['/healthz'].get['x-required-scopes'] = ['orders/admin']),
  ],
  'another way to identify the caller': [
    'every operation',
    (document) => (document.components.securitySchemes.token = { type: 'apiKey', in: 'header', name: 'key' }),
  ],
};

const COMPATIBLE = {
  'no change': () => {},
  'new optional property of a body': (document) => (schemas(document).NewOrder.properties.note = { type: 'string' }),
  'new property of an answer': (document) => {
    schemas(document).Order.properties.note = { type: 'string' };
    schemas(document).Order.required.push('note');
  },
  'new property of a webhook': (document) => (schemas(document).OrderNotice.properties.note = { type: 'string' }),
  'new operation': (document) => (document.paths['/shops'] = { get: { responses: { 200: { description: 'The shops' } } } }),
  'new optional parameter': (document) =>
    list(document).parameters.unshift({ name: 'shop', in: 'query', schema: { type: 'string' } }),
  'new status': (document) => (list(document).responses['418'] = { description: 'A teapot' }),
  'wider bound of a body': (document) => (schemas(document).RedriveOptions.properties.limit.maximum = 5000),
  'other descriptions and examples': (document) => {
    list(document).description = 'Other words';
    schemas(document).NewOrder.examples = [];
  },
};

for (const [name, [operation, change]] of Object.entries(BREAKING)) {
  test(`${name} is noticed`, () => assert.ok(broken(change).includes(operation), `${broken(change)}`));
}

for (const [name, change] of Object.entries(COMPATIBLE)) {
  test(`${name} is accepted`, () => assert.deepEqual(broken(change), []));
}

test('breaking change needs a line that names its operation', () => {
  const changes = breakingChanges(JSON.parse(text), { ...JSON.parse(text), paths: {} });
  const lines = (unreleased) => `# Changelog\n\n## [Unreleased]\n\n${unreleased}\n\n## [1.0.0]\n\n- **Breaking:** \`GET /metrics\`\n`;
  const left = (unreleased) => unannounced(changes, lines(unreleased)).map(({ operation }) => operation);
  assert.ok(left('').includes('GET /metrics'));
  assert.ok(left('- `GET /metrics` is gone').includes('GET /metrics'));
  assert.ok(!left('- **Breaking:** `GET /metrics` is gone').includes('GET /metrics'));
  const rest = left('- **Breaking:** `GET /orders/{order_id}` and `POST /orders/batch` are gone');
  assert.ok(!rest.includes('GET /orders/{order_id}') && !rest.includes('POST /orders/batch'));
  assert.ok(rest.includes('GET /orders/{order_id}/status') && rest.includes('POST /orders'));
});
