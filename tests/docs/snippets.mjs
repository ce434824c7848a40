// The fenced blocks of README.md and docs/. A comment above one says what becomes of it:
//
//   <!-- test: NAME -->     a test of this folder runs it, as snippet('docs/page.md', 'NAME')
//   <!-- file: PATH -->     it is that file's content; relative to the page
//   <!-- not run: WHY -->   it cannot be run here
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { repository, start } from '../support/bridge.mjs';

const inDocs = readdirSync(path.join(repository, 'docs')).filter((name) => name.endsWith('.md'));
export const pages = ['README.md', ...inDocs.map((name) => `docs/${name}`)];

// All blocks of a page: { language, code, line, kind, value }; `kind` is 'test', 'file', 'not run' or undefined.
export function blocksOf(page) {
  const text = readFileSync(path.join(repository, page), 'utf8');
  const blocks = text.matchAll(/(?:^<!-- (test|file|not run): (.+?) -->\n)?^```(\S+)\n(.*?)^```$/gms);
  return [...blocks].map(({ 1: kind, 2: value, 3: language, 4: code, index }) => ({
    kind, value, language, code, line: text.slice(0, index).split('\n').length,
  }));
}

export function snippet(page, name) {
  const found = blocksOf(page).filter(({ kind, value }) => kind === 'test' && value === name);
  assert.equal(found.length, 1, `${page} has one snippet ${name}`);
  return found[0].code;
}

// A snippet with the addresses of `bridge` in the place of the default ones.
export const snippetFor = (bridge, page, name) =>
  snippet(page, name).replaceAll('127.0.0.1:8080', bridge.http).replaceAll('127.0.0.1:9090', bridge.grpc);

// Starts code in a shell. `shell.said` is what it has written to standard output so far, `shell.ended` its exit code; stop() ends it with all
// that it has started.
export function startShell(code, { cwd, env = process.env } = {}) {
  const child = start('sh', ['-c', code], { stdio: ['ignore', 'pipe', 'pipe'], detached: true, cwd, env });
  const shell = {
    said: '',
    ended: child.ended,
    async stop() {
      process.kill(-child.pid, 'SIGTERM');
      await child.ended;
    },
  };
  child.stdout.setEncoding('utf8').on('data', (text) => { shell.said += text; });
  return shell;
}
