// The publishers of examples/, told by a test what to do, and a bridge that does what a test says.
//
//   for (const { name, prepare, skip } of publishersIn(scratch)) const example = prepare();  // builds it as its README says
//
//   const driver = startDriver(example.driver, bridge.grpc, { TOKENS: '["a", "!", "b"]', WINDOW: 1 });  // "!": token() throws
//   driver.publish({ topic: 'a.b', text: 'x' }, { times: 2 });  // the same object twice
//   driver.publish({ topic: 'a.b', text: 'y' }, { waits: true });  // another thread's: what follows does not wait for it
//   driver.close();
//   await driver.has('published', 2)  // waits until it has said so much: published, reconnect, rejected, closed; resolves with all of these
//   driver.errors()                   // what it has written to standard error
//   await driver.end()                // its exit code
//
//   const fake = await startFakeBridge();
//   fake.scripts.push(endsAfter(3, grpc.status.UNAVAILABLE));  // of the next stream; those without a script ack all
//   fake.streams                                               // of each stream: the events that came on it
import { execFileSync } from 'node:child_process';
import { cpSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { eventually, repository, start } from '../support/bridge.mjs';
import { whyNoGo } from './go.mjs';
import { preparePython } from './python.mjs';

const definition = loadSync('bridge/v1/publisher.proto', { includeDirs: [`${repository}proto`], keepCase: true, defaults: true });
const { service } = grpc.loadPackageDefinition(definition).bridge.v1.Publisher;

const examples = path.join(repository, 'examples');
const drivers = path.join(repository, 'tests/interop/drivers');
const run = (program, args, options) => execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options });

function prepareNode() {
  const cwd = path.join(examples, 'node');
  return { command: [process.execPath, 'main.js'], cwd, driver: { command: [process.execPath, path.join(drivers, 'publish.mjs')], cwd } };
}

function prepareInPython(scratch) {
  const { python, env } = preparePython(scratch);
  const cwd = path.join(examples, 'python');
  const driver = { command: [python, path.join(drivers, 'publish.py')], cwd, env: { ...env, PYTHONPATH: `${env.PYTHONPATH}:${cwd}` } };
  return { command: [python, 'main.py'], cwd, env, driver };
}

// A copy, because another test may generate code there at the same time.
function prepareGo(scratch) {
  const cwd = path.join(scratch, 'examples/go');
  cpSync(path.join(examples, 'go'), cwd, { recursive: true, filter: (source) => !['bin', 'bridgev1'].includes(path.basename(source)) });
  cpSync(path.join(drivers, 'publish.go'), path.join(cwd, 'driver/publish.go'));
  symlinkSync(path.join(repository, 'proto'), path.join(scratch, 'proto'));
  const [binary, driver] = ['publisher', 'driver'].map((name) => path.join(scratch, name));
  run('go', ['generate', './...'], { cwd });
  run('go', ['build', '-o', binary, '.'], { cwd });
  run('go', ['build', '-o', driver, './driver'], { cwd });
  return { command: [binary], cwd, driver: { command: [driver], cwd } };
}

// With the folder `scratch` for what is built. An example has a `command`, a `cwd` and an `env`, and so has its `driver`.
export const publishersIn = (scratch) => [
  { name: 'Node.js, @grpc/grpc-js', prepare: prepareNode },
  { name: 'Python, grpcio', prepare: () => prepareInPython(scratch) },
  { name: 'Go, google.golang.org/grpc', prepare: () => prepareGo(scratch), skip: whyNoGo() },
];

export function startDriver({ command: [program, ...args], cwd, env = process.env }, address, moreEnv = {}) {
  const child = start(program, [...args, address], { cwd, env: { ...env, ...moreEnv }, stdio: 'pipe' });
  const said = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    said.push(...lines.map((line) => JSON.parse(line)));
  });
  child.stdin.on('error', () => {});  // it ended early: the test sees what it has said
  const tell = (what) => child.stdin.write(`${JSON.stringify(what)}\n`);
  return {
    publish: (event, more = {}) => tell({ publish: event, ...more }),
    close: () => tell({ close: true }),
    errors: () => child.output,
    async has(what, count = 1) {
      const all = () => said.filter((each) => what in each);
      const describe = () => `${count} of ${what}; it said ${JSON.stringify(said)} ${child.output}`;
      await eventually(() => all().length >= count, { describe });
      return all();
    },
    async end() {
      child.stdin.end();
      return child.ended;
    },
  };
}

export async function startFakeBridge() {
  const fake = { scripts: [], streams: [], stop };

  function Publish(stream) {
    const events = [];
    stream.on('data', (request) => events.push(...request.events));
    stream.on('error', () => {});  // the client has cancelled it
    const script = fake.scripts[fake.streams.length] ?? acceptsAll();
    fake.streams.push(events);
    script(stream);
  }

  const server = new grpc.Server();
  server.addService(service, { Publish, PublishOnce() {} });
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  fake.address = `127.0.0.1:${port}`;

  async function stop() {
    server.forceShutdown();
  }
  return fake;
}

// Acks each request, `afterMs` it has come, and ends when the client does.
export const acceptsAll = ({ afterMs = 0 } = {}) => (stream) => {
  let acked = Promise.resolve();
  stream.on('data', ({ request_id: id }) => {
    acked = acked.then(() => (afterMs > 0 ? sleep(afterMs) : undefined)).then(() => stream.write({ acks: [{ request_id: id }] }));
  });
  stream.on('end', () => acked.then(() => stream.end()));
};

// Acks none of so many requests, and ends with a status.
export const endsAfter = (count, code) => (stream) => {
  let left = count;
  stream.on('data', () => {
    left -= 1;
    if (left === 0) stream.emit('error', { code, details: 'of a test' });
  });
};
