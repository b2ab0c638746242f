// The breaking changes between two OpenAPI documents, and those that a changelog announces.

import { createRequire } from 'node:module';

const root = new URL('../../', import.meta.url);
// `make contract` installs the packages there.
const { apiCompare } = createRequire(new URL('.local/contract/package.json', root))('api-smart-diff');

// Returns each breaking change as { operation, description }.
export function breakingChanges(before, after) {
  const { diffs } = apiCompare(withWebhooks(before), withWebhooks(after));
  const changes = diffs.filter(isBreaking).map((diff) => ({
    operation: operationOf(diff.path),
    // Some descriptions of the package lack their subject.
    description: diff.description?.startsWith('[') ? diff.description : `[${diff.action}] ${diff.path.join('/')}`,
  }));
  return [...changes, ...changesOfSchemes(before, after)];
}

// Returns the breaking changes that no line `**Breaking:** … METHOD /path …` under Unreleased announces.
export function unannounced(changes, changelog) {
  const unreleased = changelog.split(/^## /m).find((section) => section.startsWith('[Unreleased]')) ?? '';
  const lines = unreleased.split('\n').filter((line) => /^(- )?\*\*Breaking:\*\*/.test(line));
  const announced = new Set(lines.flatMap((line) => line.match(/\b[A-Z]+ \/[^\s`,;:]*|every operation/g) ?? []));
  return changes.filter((change) => !announced.has(change.operation));
}

// The package does not compare webhooks. An endpoint reads the body and the headers of a call as a client reads those of an answer.
function withWebhooks({ webhooks = {}, ...document }) {
  const answer = ({ requestBody, parameters = [] }) => ({
    ...requestBody,
    headers: Object.fromEntries(parameters.map(({ name, ...header }) => [name, header])),
  });
  const called = Object.entries(webhooks).map(([name, { post }]) => [`/${name}`, { post: { responses: { 200: answer(post) } } }]);
  return { ...document, paths: { ...document.paths, ...Object.fromEntries(called) } };
}

// The package calls some changes compatible that break a client: a property that has gone from a body, which then refuses it, another
// type or format of a member of an answer, and another scope. Components count where operations use them.
function isBreaking({ type, action, path }) {
  if (path[0] === 'components') return false;
  const hasGone = action === 'remove' && path.at(-2) === 'properties';
  const hasOtherType = action === 'replace' && ['type', 'format'].includes(path.at(-1)) && path.includes('responses');
  const hasOtherScope = action !== 'remove' && path.includes('x-required-scopes');
  return type === 'breaking' || hasGone || hasOtherType || hasOtherScope;
}

function operationOf([section, path, method]) {
  if (section !== 'paths' || path === undefined) return 'every operation';
  return method === undefined ? `${path}` : `${method.toUpperCase()} ${path}`;
}

// A changed or removed way to identify the caller. The package does not compare these.
function changesOfSchemes(before, after) {
  const old = Object.entries(before.components?.securitySchemes ?? {});
  const essence = ({ description, ...scheme } = {}) => JSON.stringify(scheme);
  const changed = old.filter(([name, scheme]) => essence(scheme) !== essence(after.components?.securitySchemes?.[name]));
  return changed.map(([name]) => {
    return { operation: 'every operation', description: `[Changed] components/securitySchemes/${name}` };
  });
}
