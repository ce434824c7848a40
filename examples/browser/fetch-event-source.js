import { fetchEventSource } from '@microsoft/fetch-event-source';

// An answer that trying again does not change.
class Refusal extends Error {}

// The token is about to end: the next connection shows another one.
class Renewal extends Error {}

// What a handler throws is its own, and no reason to read again.
function call(handler, ...args) {
  try {
    handler?.(...args);
  } catch (error) {
    reportError(error);
  }
}

/**
 * An event stream by fetch: POST and an Authorization header, which EventSource has not.
 *
 * @param {string} url of the event stream: "/events"
 * @param {object} options
 * @param {string[]} options.topics patterns
 * @param {() => string | Promise<string>} options.token gives the bearer token of each connection, one that does not end soon: it is
 *     asked again when that of the open stream is about to
 * @param {(event: {id: string, event: string, data: string}) => void} options.onEvent `event` is '' for the type "message"
 * @param {(gap: {requested: string, oldest: string, reason: string}) => void} [options.onGap] events may be missing here
 * @param {(state: 'connecting' | 'open') => void} [options.onState]
 * @param {AbortSignal} [options.signal] ends it
 * @returns {Promise<void>} resolves when it was ended, is rejected when the bridge refuses it for good
 */
export function openFetchStream(url, { topics, token, onEvent, onGap, onState, signal }) {
  let lastEventId = '';
  let failures = 0;
  let connection;

  call(onState, 'connecting');
  return fetchEventSource(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ topics }),
    signal,
    // Else it ends whenever its tab is hidden, and starts anew.
    openWhenHidden: true,

    async fetch(input, init) {
      connection?.abort();  // of one that was left because its token was about to end
      connection = new AbortController();
      const headers = new Headers(init.headers);
      headers.set('Authorization', `Bearer ${await token()}`);
      // The library has its own idea of the last id: it counts one whose event has not arrived as a whole, and would lose it after a cut.
      headers.delete('Last-Event-ID');
      if (lastEventId) headers.set('Last-Event-ID', lastEventId);
      return fetch(input, { ...init, headers, signal: AbortSignal.any([init.signal, connection.signal]) });
    },

    async onopen(response) {
      if (response.ok) return;
      const problem = await response.json().catch(() => ({}));
      const message = `${response.status}: ${problem.detail ?? response.statusText}`;
      if (response.status < 500 && response.status !== 429) throw new Refusal(message);
      const error = new Error(message);
      error.retryAfterMs = 1000 * (Number(response.headers.get('Retry-After')) || 0);  // it may be a date
      throw error;
    },

    onmessage(event) {
      lastEventId = event.id || lastEventId;
      if (event.event === 'bridge.open') {
        failures = 0;
        call(onState, 'open');
      } else if (event.event === 'bridge.gap') {
        call(onGap, JSON.parse(event.data));
      } else if (event.event === 'bridge.expiring') {
        throw new Renewal('the token is about to end');
      } else if ((event.data || event.event || event.id) && !event.event.startsWith('bridge.')) {  // else it was a comment
        call(onEvent, event);
      }
    },

    // Without this, a stream that the bridge ends (a roll-out) would be the end.
    onclose() {
      throw new Error('the stream has ended');
    },

    // Returns how long to wait before the next try; throwing ends it.
    onerror(error) {
      if (error instanceof Refusal) throw error;
      if (error instanceof Renewal) return 0;
      call(onState, 'connecting');
      const delayMs = Math.min(30_000, 500 * 2 ** failures) * (0.5 + Math.random());
      failures += 1;
      return Math.max(delayMs, error.retryAfterMs ?? 0);
    },
  });
}
