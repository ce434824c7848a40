// A nats-server with JetStream on a free port and in a directory of its own.
//
//   const nats = await startNats();
//   await startBridge({ 'log.jetstream.url': nats.url });
//   await nats.stop();
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { eventually, start } from './bridge.mjs';
import { freePort } from './ports.mjs';

export async function startNats() {
  const directory = mkdtempSync(path.join(tmpdir(), 'nats-'));
  const port = await freePort();
  const child = start('nats-server', ['--jetstream', '--store_dir', directory, '--addr', '127.0.0.1', '--port', String(port)]);
  await eventually(() => child.output.includes('Server is ready'), { describe: () => `nats-server is ready; it said ${child.output}` });
  return {
    url: `nats://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await child.ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
