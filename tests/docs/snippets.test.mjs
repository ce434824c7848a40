// Every block of README.md and docs/ is run, compared or checked by a test, or says why not.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { bridgeBinary, makeCertificate, repository } from '../support/bridge.mjs';
import { blocksOf, pages } from './snippets.mjs';

const all = pages.flatMap((page) => blocksOf(page).map((block) => ({ page, ...block })));
const where = ({ page, line }) => `${page}:${line}`;

const folder = path.join(repository, 'tests/docs');
const tests = readdirSync(folder).filter((name) => name.endsWith('.mjs')).map((name) => readFileSync(path.join(folder, name), 'utf8')).join('\n');

test('every snippet is run by a test, or says why it is not', () => {
  // These are checked below, all of them; text is nothing to be run.
  const checked = ['yaml', 'json', 'text'];
  assert.deepEqual(all.filter(({ kind, language }) => !kind && !checked.includes(language)).map(where), []);
  const unused = all.filter(({ page, kind, value }) => kind === 'test' && !tests.includes(`'${page}', '${value}'`));
  assert.deepEqual(unused.map(where), [], 'no test of tests/docs asks for these');
});

test('what a page shows of a file is what stands there', () => {
  const shown = all.filter(({ kind }) => kind === 'file');
  assert.ok(shown.length >= 3);
  for (const { page, value, code } of shown) {
    assert.equal(code, readFileSync(path.join(repository, path.dirname(page), value), 'utf8'), `${page}: ${value}`);
  }
});

test('JSON is JSON', () => {
  for (const { page, line, code } of all.filter(({ language }) => language === 'json')) {
    assert.doesNotThrow(() => JSON.parse(code.replaceAll('...', '')), `${page}:${line}`);
  }
});

describe('configurations', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'configurations-'));
  let certificate;
  before(async () => { certificate = await makeCertificate(); });
  after(() => rmSync(directory, { recursive: true, force: true }));

  // With files of the test in the place of the reader's, and nobody on the network.
  const withFiles = (yaml) =>
    yaml
      .replace('https://id.example/.well-known/jwks.json', 'http://127.0.0.1:1/jwks.json')
      .replace(/\/etc\/bridge\/\S+\.crt/g, certificate.file)
      .replace(/\/etc\/bridge\/\S+\.key/g, certificate.keyFile)
      .replace(/\/var\/lib\/sse-bridge/g, path.join(directory, 'store'));

  for (const block of all.filter(({ language }) => language === 'yaml')) {
    test(`${where(block)} is accepted`, () => {
      mkdirSync(directory, { recursive: true });
      const file = path.join(directory, 'bridge.yaml');
      writeFileSync(file, withFiles(block.code));
      // What says nothing about who may do what is a part of a configuration.
      const rest = block.code.includes('auth:') ? [] : ['--set', 'auth.allow_anonymous=true'];
      execFileSync(bridgeBinary, ['--check-config', '--config', file, ...rest], { stdio: ['ignore', 'ignore', 'inherit'] });
    });
  }
});
