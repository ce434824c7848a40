// docs/metrics.md names every metric of the real page, with its kind and its labels' values, and no other.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { createKeys, makeCertificate, repository, startBridge } from '../support/bridge.mjs';

const rows = readFileSync(path.join(repository, 'docs/metrics.md'), 'utf8').split('\n').filter((line) => line.startsWith('| '));
// name -> the kind and the text of its row
const told = new Map();
for (const row of rows) {
  const [, names, kind, meaning] = /^\| (.+?) \| (counter|gauge|histogram) \| (.+) \|$/.exec(row) ?? [];
  for (const [, name, labels = ''] of (names ?? '').matchAll(/`(sse_bridge_\w+)(\{\w+\})?`/g)) told.set(name, { kind, labels, meaning });
}

let bridge;
let page;
before(async () => {
  // With everything on that adds metrics.
  bridge = await startBridge({ ...createKeys().settings, ...(await makeCertificate()).settings });
  page = await (await fetch(`http://${bridge.admin}/metrics`)).text();
});
after(() => bridge?.stop());

test('every metric is told, with its kind', () => {
  const real = [...page.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name, kind]);
  assert.ok(real.length > 30);
  assert.deepEqual([...told].map(([name, { kind }]) => [name, kind]).sort(), real.sort());
});

test('every label is told, with its values', () => {
  for (const [, name, label, value] of page.matchAll(/^(sse_bridge_\w+)\{(\w+)="([^"]*)"/gm)) {
    if (label === 'le') continue;
    const { labels, meaning } = told.get(name);
    assert.equal(labels, `{${label}}`, name);
    const isListed = meaning.includes(`\`${value}\``) || meaning.includes('reasons as above') || label === 'loop' || label === 'code';
    assert.ok(isListed, `${name}{${label}="${value}"}`);
  }
});

test('alerts ask for metrics that are there', () => {
  const alerts = rows.filter((row) => !/\| (counter|gauge|histogram) \|/.test(row));
  const names = alerts.flatMap((row) => row.match(/sse_bridge_\w+/g) ?? []);
  assert.ok(names.length > 8);
  for (const name of names) assert.ok(told.has(name.replace(/_bucket$/, '')), name);
});
