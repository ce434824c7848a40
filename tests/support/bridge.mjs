// What the tests in JavaScript put around a bridge: the process itself, a publisher, a proxy that cuts connections, a plain subscriber.
//
//   const bridge = await startBridge({ 'http.heartbeat': '200ms' });  // settings, as --set takes them; every port is a free one
//   bridge.http, bridge.grpc, bridge.admin                           // "127.0.0.1:PORT"
//   await bridge.stop();                                             // SIGTERM, and waits: resolves with the exit code
//   const again = await startBridge({ 'http.address': bridge.http }); // the same port again: a restart
//
//   const certificate = await makeCertificate();                      // for localhost and 127.0.0.1: its own authority
//   await startBridge({ ...certificate.settings });                  // with TLS; certificate.pem is what clients have to trust
//
//   const publisher = connectPublisher(bridge.grpc);
//   const [ack] = await publisher.publish([{ topic: 'a.b', text: 'x' }]);  // an ack per request; one request of all its arguments' events
//   await publisher.close();                                         // half-closes and reads to the end
//
//   const keys = createKeys();                                      // settings that name a key, and tokens of it
//   await startBridge({ ...keys.settings }); keys.token({ subscribe: ['orders.>'], lifetimeSeconds: 60 });
//
//   const proxy = await startProxy(bridge.http);                     // a TCP proxy on proxy.address
//   proxy.cut();                                                     // cuts what is open, with a reset
//   proxy.cutAfter = () => 500;                                      // each later connection ends after that many bytes of answer
//   proxy.target = other.http;                                       // where later connections go
//   proxy.isFrozen = true;                                           // nothing passes, nothing is closed: a lost network
//
//   for await (const event of subscribe(`http://${bridge.http}/events?topic=a.*`)) { event.id, event.event, event.data }
//   await nextEvent(subscription), await take(subscription, 3)       // the same without control events
//
// BRIDGE_BIN names the binary (default: build/dev/bin/sse-bridge). What a test has not stopped is stopped when its process ends.
// The npm packages of all of these tests are those of tests/package.json.
import { execFile, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { createParser } from 'eventsource-parser';

export const repository = fileURLToPath(new URL('../../', import.meta.url));

export const bridgeBinary = process.env.BRIDGE_BIN ?? `${repository}build/dev/bin/sse-bridge`;

// Spawns a program, which gets a SIGTERM when this process ends, however it ends. `child.output` is what it has written to standard error so
// far; `child.ended` resolves with its exit code, or the signal's name.
export function start(program, args, options = {}) {
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', program, ...args], { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  child.output = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { child.output += text; });
  child.ended = new Promise((resolve) => { child.once('close', (code, signal) => resolve(code ?? signal)); });
  return child;
}

// Waits until `probe` returns something true, and returns that. Fails after `deadlineMs` with what `describe` says.
export async function eventually(probe, { deadlineMs = 20_000, describe = () => String(probe) } = {}) {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const result = await probe();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${describe()}`);
    await sleep(5);
  }
}

export async function startBridge(settings = {}) {
  const all = {
    'http.address': '127.0.0.1:0',
    'grpc.address': '127.0.0.1:0',
    'admin.address': '127.0.0.1:0',
    'http.retry': '50ms',
    'drain.delay': '0s',
    'drain.window': '0s',
    ...settings,
  };
  const child = start(bridgeBinary, Object.entries(all).flatMap(([path, value]) => ['--set', `${path}=${value}`]));
  let code;
  let isStopping = false;
  child.ended.then((result) => {
    code = result;
    if (!isStopping) console.error(`the bridge ended by itself with ${result}:\n${child.output}`);
  });
  const [, http, grpcAddress, admin] = await eventually(
    () => {
      if (code !== undefined) throw new Error(`the bridge ended with ${code}`);
      return /listening http=(\S+) grpc=(\S+) admin=(\S+)/.exec(child.output);
    },
    { describe: () => `the line "listening ..." of ${bridgeBinary}:\n${child.output}` },
  );
  return {
    http,
    grpc: grpcAddress,
    admin,
    pid: child.pid,
    output: () => child.output,
    async stop(signal = 'SIGTERM') {
      isStopping = true;
      child.kill(signal);
      return child.ended;
    },
  };
}

// A secret for tokens in a file of its own, which goes with this process, and everybody may publish.
export function createKeys() {
  const directory = mkdtempSync(path.join(tmpdir(), 'keys-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const secret = randomBytes(32).toString('hex');
  const file = path.join(directory, 'secret');
  writeFileSync(file, secret);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    settings: { 'auth.jwt.keys': `[{algorithm: HS256, secret_file: ${file}}]`, 'auth.jwt.leeway': '0s', 'auth.anonymous.publish': '[">"]' },
    // `call` are the names of calls; a token that has some has a subject too.
    token({ subscribe: patterns, call, lifetimeSeconds = 3600 }) {
      const claims = { exp: Math.floor(Date.now() / 1000) + lifetimeSeconds, sub: call && 'somebody', bridge: { subscribe: patterns, call } };
      const text = `${encode({ alg: 'HS256' })}.${encode(claims)}`;
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    },
  };
}

// A certificate and its key in files that go with this process, made by the program openssl.
export async function makeCertificate() {
  const directory = await mkdtemp(path.join(tmpdir(), 'bridge-test-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => path.join(directory, name));
  await promisify(execFile)('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', certificate,
  ]);
  return {
    file: certificate,
    keyFile: key,
    pem: await readFile(certificate, 'utf8'),
    settings: { 'http.tls.certificate_file': certificate, 'http.tls.key_file': key },
  };
}

const definition = protoLoader.loadSync('bridge/v1/publisher.proto', { includeDirs: [`${repository}proto`], keepCase: true, defaults: true });
const { Publisher } = grpc.loadPackageDefinition(definition).bridge.v1;

// A client of the service, as @grpc/grpc-js makes it.
export const connectClient = (address, authority) =>
  new Publisher(address, authority ? grpc.credentials.createSsl(Buffer.from(authority)) : grpc.credentials.createInsecure());

// One Publish stream, without reconnects; over TLS where there is an authority's certificate, in PEM.
export function connectPublisher(address, authority) {
  const client = connectClient(address, authority);
  const stream = client.Publish();
  const waiting = [];
  let requests = 0;
  const ended = new Promise((resolve) => stream.once('status', resolve));
  stream.on('error', () => {});  // told by the status
  stream.on('data', ({ acks }) => acks.forEach((ack) => waiting.shift().resolve(ack)));
  ended.then((status) => waiting.splice(0).forEach(({ reject }) => reject(new Error(`Publish ended: ${status.code} ${status.details}`))));

  const send = (events) => new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    stream.write({ request_id: String(++requests), events });
  });
  return {
    // Sends each array of events as one request; resolves with their acks. Fails when the stream ends before.
    publish: (...batches) => Promise.all(batches.map(send)),
    async close() {
      stream.end();
      const status = await ended;
      client.close();
      return status;
    },
  };
}

export async function startProxy(target) {
  const pairs = new Set();
  const proxy = {
    target,
    accepted: 0,
    cutAfter: () => Infinity,
    get isFrozen() { return frozen; },
    set isFrozen(value) {
      frozen = value;
      for (const sockets of pairs) sockets.forEach((socket) => (frozen ? socket.pause() : socket.resume()));
    },
    cut: () => pairs.forEach((sockets) => sockets.forEach((socket) => socket.resetAndDestroy())),
    async stop() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  let frozen = false;

  const server = net.createServer({ noDelay: true }, (client) => {
    proxy.accepted += 1;
    const [host, port] = proxy.target.split(':');
    const upstream = net.connect({ host, port: Number(port), noDelay: true });
    const sockets = [client, upstream];
    pairs.add(sockets);
    let left = proxy.cutAfter();
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      client.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left > 0) return;
      upstream.resetAndDestroy();
      client.destroySoon();  // so that the client sees all the bytes before the cut
    });
    if (frozen) sockets.forEach((socket) => socket.pause());
    for (const [socket, peer] of [[client, upstream], [upstream, client]]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(sockets);
        peer.destroySoon();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.address = `127.0.0.1:${server.address().port}`;
  return proxy;
}

// The events of an answer, control events too, until it ends.
export async function* eventsOf(response) {
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    yield* events.splice(0);
  }
}

// The events of one event stream, without reconnects: until the stream ends or the caller stops reading.
export async function* subscribe(url, init = {}) {
  const stop = new AbortController();
  try {
    const response = await fetch(url, { ...init, signal: stop.signal });
    if (response.status !== 200) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    yield* eventsOf(response);
  } finally {
    stop.abort();
  }
}

// The next event of a subscription that is not a control event. Fails when the stream ends before.
export async function nextEvent(subscription) {
  for (;;) {
    const { value: event, done } = await subscription.next();
    if (done) throw new Error('the event stream has ended');
    if (!event.event?.startsWith('bridge.')) return event;
  }
}

// The next `count` events, and the end of the subscription.
export async function take(subscription, count) {
  const events = [];
  while (events.length < count) events.push(await nextEvent(subscription));
  await subscription.return();
  return events;
}
