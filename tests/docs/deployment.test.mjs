// What docs/deployment.md shows beside containers.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { bridgeBinary, repository } from '../support/bridge.mjs';

function hasSystemd() {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('systemd understands all of the unit', { skip: !hasSystemd() && 'there is no systemd-analyze' }, (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'unit-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const unit = readFileSync(path.join(repository, 'deploy/systemd/sse-bridge.service'), 'utf8');
  assert.match(unit, /^ExecStart=\/usr\/local\/bin\/sse-bridge --config /m);
  const file = path.join(folder, 'sse-bridge.service');
  writeFileSync(file, unit.replace('/usr/local/bin/sse-bridge', bridgeBinary));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  // It ends with 0 for what it does not know, too.
  assert.deepEqual({ status, said: stderr.split('\n').filter((line) => line.includes('sse-bridge.service')) }, { status: 0, said: [] });
});
