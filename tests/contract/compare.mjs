// Compares the OpenAPI document with the last release's. Fails for a breaking change that CHANGELOG.md does not announce.

import { readFileSync } from 'node:fs';

import { breakingChanges, unannounced } from './breaking.mjs';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const [released, present] = ['tests/contract/released.json', 'functions/site/assets/openapi.json'].map((path) => JSON.parse(read(path)));
const missing = unannounced(breakingChanges(released, present), read('CHANGELOG.md'));
if (missing.length > 0) {
  console.error('error: these changes of the OpenAPI document break clients of the last release:');
  for (const { operation, description } of missing) console.error(`  ${operation}: ${description}`);
  console.error('Undo them, or announce each operation under Unreleased in CHANGELOG.md, in a line such as:');
  console.error(`  - **Breaking:** \`${missing[0].operation}\` …`);
  process.exit(1);
}
