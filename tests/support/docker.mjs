// The engine that `docker` reaches: see docker-engine beside this file.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { eventually, repository } from './bridge.mjs';

const run = promisify(execFile);

// The standard output of a docker command, without the line feed at its end. Fails where it fails, with what it said.
export async function docker(...args) {
  const { stdout } = await run('docker', args, { cwd: repository, maxBuffer: 1 << 24 });
  return stdout.trimEnd();
}

// Of a container or an image: inspect(name, '.State.Health.Status').
export const inspect = async (name, path) => JSON.parse(await docker('inspect', '--format', `{{json ${path}}}`, name));

// What a container has written: standard output and standard error.
export async function logs(container, ...args) {
  const { stdout, stderr } = await run('docker', ['logs', ...args, container], { maxBuffer: 1 << 24 });
  return stdout + stderr;
}

// Waits until the container ends, and returns its exit code.
export async function ended(container) {
  await eventually(async () => !await inspect(container, '.State.Running'), { describe: () => `${container} ends` });
  return inspect(container, '.State.ExitCode');
}

export async function becomesHealthy(container) {
  await eventually(async () => await inspect(container, '.State.Health.Status') === 'healthy', {
    deadlineMs: 60_000,
    describe: () => `${container} is healthy`,
  });
}

// A published port of a container, as "127.0.0.1:PORT".
export async function published(container, port) {
  const addresses = (await docker('port', container, `${port}/tcp`)).split('\n');
  assert.equal(addresses.length, 1);
  return addresses[0];
}
