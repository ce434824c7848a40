import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const definition = protoLoader.loadSync('bridge/v1/publisher.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  keepCase: true,
  longs: Number,
  defaults: true,
});
const bridge = grpc.loadPackageDefinition(definition).bridge.v1;

const channelOptions = {
  // Each stream gets a connection of its own, so that a load balancer may send it to another replica.
  'grpc.use_local_subchannel_pool': 1,
  // Notices a bridge that vanished without a word.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

// A larger event is refused. Well below the bridge's grpc.max_request_bytes.
export const eventBytesMax = 1024 * 1024;

// After these, sending the same again is no use. Every other end of a stream is followed by a new one.
const fatal = new Set(['INVALID_ARGUMENT', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'UNIMPLEMENTED'].map((name) => grpc.status[name]));

// Half of a character, which cannot be sent as UTF-8.
const loneSurrogate = /\p{Surrogate}/u;

function hasLoneSurrogate(value) {
  if (typeof value === 'string') return loneSurrogate.test(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return Object.entries(value).some((pair) => pair.some(hasLoneSurrogate));
}

// Throws where the bridge could not parse the event.
function check(event) {
  const { length } = bridge.Publisher.service.Publish.requestSerialize({ events: [event] });
  if (length > eventBytesMax) throw new RangeError(`event on "${event.topic}": ${length} bytes; at most ${eventBytesMax}`);
  if (hasLoneSurrogate(event)) throw new TypeError(`event on "${event.topic}": half of a surrogate pair is not UTF-8`);
}

// Publishes events on one long-lived stream, in order, none lost and none twice.
//
// Each event is kept until its ack. When the stream ends, what is not acked is sent again on the next one, in the same order and with the
// same idempotency keys: what the bridge already has, it does not take twice. Ephemeral events, which have no key, are sent once.
//
// Emits 'rejected' (event, rejection) for an event that the bridge does not accept, 'reconnect' (reason, delayMs) before it connects again.
export class Publisher extends EventEmitter {
  #address;
  #window;
  #credentials;
  #token;
  #shownToken;
  #run = randomUUID();
  #published = 0;
  // Settles when all that was published has had its room in the window.
  #accepted = Promise.resolve();
  #unacked = [];
  // How many of them were sent on the present stream: the first ones.
  #sent = 0;
  #stream = null;
  // Nothing new is taken; and then: nothing waits for room any more, and the stream ends.
  #isClosed = false;
  #isEnding = false;
  #idle = new AbortController();
  #ended;
  #failure = null;

  // The id of the newest event that was acked.
  lastId = '';

  // `window` is how many events may wait for their ack. `credentials` are those of the connection, TLS with or without a certificate of the
  // client's own. `token` returns a token, or a promise of one; it is called for each stream, so that a new one follows one that has expired,
  // and later again where it throws.
  constructor(address, { window = 1000, credentials = grpc.credentials.createInsecure(), token = () => undefined } = {}) {
    super();
    this.#address = address;
    this.#window = window;
    this.#credentials = credentials;
    this.#token = token;
    this.#ended = this.#keepConnected().catch((error) => {
      this.#failure = error;
      this.emit('change');
    });
  }

  // Takes an event ({ topic, type, text }, or another payload of bridge.v1.Event); waits only while the window is full. Throws where the event
  // is larger than eventBytesMax or has text that is no Unicode, and when the publisher is closed or has failed.
  async publish(event) {
    check(event);
    if (this.#isClosed) throw new Error('the publisher is closed');
    // One at a time waits for room, so that their order is that of the calls.
    const accepted = this.#accepted.then(() => this.#accept(event));
    this.#accepted = accepted.catch(() => {});
    await accepted;
  }

  // Waits for the ack of everything that was published.
  async close() {
    this.#isClosed = true;
    await this.#accepted;
    this.#isEnding = true;
    this.#stream?.end();
    if (this.#isDone) this.#idle.abort();
    await this.#ended;
    if (this.#failure) throw this.#failure;
  }

  async #accept(event) {
    while (this.#unacked.length >= this.#window && !this.#failure) await once(this, 'change');
    if (this.#failure) throw this.#failure;
    const number = (this.#published += 1);
    const key = event.ephemeral ? {} : { idempotency_key: `${this.#run}-${number}` };
    const request = { request_id: String(number), events: [{ ...key, ...event }] };
    this.#unacked.push(request);
    if (this.#stream) this.#send(request);
  }

  // REQUIRES: those before it were sent.
  #send(request) {
    this.#sent += 1;
    this.#stream.write(request);
  }

  async #keepConnected() {
    for (let failures = 0; ; failures += 1) {
      const { status, hasAcked, retryAfterMs } = await this.#streamToItsEnd();
      this.#dropSentEphemeral();
      if (this.#isDone) return;
      const isFatal = fatal.has(status.code) && !(await this.#mayHaveAnotherToken(status));
      if (isFatal) throw new Error(`Publish: ${grpc.status[status.code]}: ${status.details}`);
      // RESOURCE_EXHAUSTED may be about what was sent, which is sent again.
      if (hasAcked && status.code !== grpc.status.RESOURCE_EXHAUSTED) failures = 0;
      const delayMs = Math.max(retryAfterMs, Math.min(30_000, 100 * 2 ** failures) * (0.5 + Math.random()));
      this.emit('reconnect', `${grpc.status[status.code]} ${status.details}`, delayMs);
      await sleep(delayMs, undefined, { signal: this.#idle.signal }).catch(() => {});
      if (this.#isDone) return;
    }
  }

  // A token that was refused, because it has expired or for another reason, is not tried again.
  async #mayHaveAnotherToken(status) {
    if (status.code !== grpc.status.UNAUTHENTICATED) return false;
    try {
      return (await this.#token()) !== this.#shownToken;
    } catch {
      return true;
    }
  }

  get #isDone() {
    return this.#isEnding && this.#unacked.length === 0;
  }

  // What was sent on the stream that has ended is sent again, but for what is to be delivered at most once.
  #dropSentEphemeral() {
    this.#unacked = this.#unacked.filter(({ events: [event] }, index) => index >= this.#sent || !event.ephemeral);
    this.#sent = 0;
    this.emit('change');
  }

  async #streamToItsEnd() {
    const metadata = new grpc.Metadata();
    try {
      this.#shownToken = await this.#token();
    } catch (error) {
      // As a bridge that is away.
      return { status: { code: grpc.status.UNAVAILABLE, details: `no token: ${error.message}` }, hasAcked: false, retryAfterMs: 0 };
    }
    if (this.#shownToken) metadata.set('authorization', `Bearer ${this.#shownToken}`);
    const client = new bridge.Publisher(this.#address, this.#credentials, channelOptions);
    const stream = client.Publish(metadata);
    let hasAcked = false;
    let retryAfterMs = 0;

    stream.on('data', ({ acks, draining }) => {
      for (const ack of acks) {
        // Acks come in the order of the requests. Another one belongs to a request that was given up below.
        const request = this.#unacked[0];
        if (ack.request_id !== request?.request_id) continue;
        const passing = ack.rejected.find(({ code }) => code === grpc.status.UNAVAILABLE || code === grpc.status.RESOURCE_EXHAUSTED);
        if (passing) {
          // Later it may be accepted: on the next stream, from this request on.
          const { seconds = 0, nanos = 0 } = passing.retry_after ?? {};
          retryAfterMs = seconds * 1000 + nanos / 1e6;
          stream.cancel();
          break;
        }
        hasAcked = true;
        this.#unacked.shift();
        this.#sent -= 1;
        if (ack.last_id) this.lastId = ack.last_id;
        for (const rejection of ack.rejected) this.emit('rejected', request.events[rejection.index], rejection);
        this.emit('change');
      }
      if (draining) {
        // Nothing more on this stream: it is read to its end, so that everything on it is acked before the next stream goes on.
        this.#stream = null;
        stream.end();
      }
    });
    stream.on('error', () => {});  // 'status' comes too

    this.#stream = stream;
    for (const request of this.#unacked) this.#send(request);
    if (this.#isEnding) stream.end();

    const status = await new Promise((resolve) => stream.once('status', resolve));
    this.#stream = null;
    client.close();
    return { status, hasAcked, retryAfterMs };
  }
}
