// Python with grpcio, as scripts/setup installs it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { repository } from '../support/bridge.mjs';

// Generates the proto's code into `directory`; returns the interpreter and an environment in which it finds that code.
export function preparePython(directory) {
  const python = path.join(repository, 'build/venv/bin/python');
  assert.ok(existsSync(python), `${python} is missing: scripts/setup --tests makes it`);
  execFileSync(python, [
    '-m', 'grpc_tools.protoc', '-I', path.join(repository, 'proto'), `--python_out=${directory}`, `--grpc_python_out=${directory}`,
    'bridge/v1/publisher.proto',
  ]);
  return { python, env: { ...process.env, PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' } };
}
