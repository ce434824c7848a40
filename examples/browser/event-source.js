const controlTypes = ['bridge.open', 'bridge.gap', 'bridge.heartbeat', 'bridge.closing', 'bridge.expiring'];

/**
 * An EventSource that always comes back.
 *
 * The browser's own reconnects after a cut by itself, with the last event id. But after an answer other than 200 (a load balancer's 502
 * while no replica is there) it is CLOSED for good, and it does not notice a network that vanished. Here a new EventSource is opened then,
 * which goes on after the last event.
 *
 * With `ticket` each stream is opened with a ticket of its own, because a ticket opens one. Before the token behind it ends
 * (bridge.expiring) the next stream is opened, and takes over from where the last one is.
 *
 * @param {string} url of the event stream: "/events?topic=orders.*"
 * @param {object} options
 * @param {string[]} [options.types] the event types to listen to
 * @param {(event: MessageEvent) => void} options.onEvent
 * @param {(gap: {requested: string, oldest: string, reason: string}) => void} [options.onGap] events may be missing here: load anew
 *     what they would have told
 * @param {(state: 'connecting' | 'open') => void} [options.onState]
 * @param {boolean} [options.withCredentials] send cookies to another origin
 * @param {() => Promise<string>} [options.ticket] takes a ticket: see tickets.js
 * @param {number} [options.minDelayMs] the delay before the first new EventSource; it doubles up to 30 s
 * @returns {() => void} ends it
 */
export function openEventStream(url, options) {
  const { types = ['message'], onEvent, onGap, onState, withCredentials = false, ticket, minDelayMs = 1000 } = options;
  let source;
  let isClosed = false;
  let isTakingTicket = false;
  let lastEventId = '';
  let failures = 0;
  let reopenTimer;
  let watchdogTimer;
  let silenceMsMax = 60_000;

  async function open() {
    if (isClosed) return;
    const target = new URL(url, location.href);
    target.searchParams.set('heartbeat', 'event');  // a script does not see comments
    if (ticket) {
      if (isTakingTicket) return;
      isTakingTicket = true;
      const taken = await ticket().catch(() => undefined);
      isTakingTicket = false;
      if (isClosed) return;
      if (!taken) {
        openLater();
        return;
      }
      target.searchParams.set('ticket', taken);
    }
    source?.close();
    if (lastEventId) target.searchParams.set('last_event_id', lastEventId);
    source = new EventSource(target, { withCredentials });
    source.onerror = () => {
      onState?.('connecting');
      // The browser's own reconnect would show the same ticket again.
      if (ticket || source.readyState === EventSource.CLOSED) reopen();
    };
    for (const type of controlTypes) source.addEventListener(type, onControlEvent);
    for (const type of types) {
      source.addEventListener(type, (event) => {
        noteLife(event);
        onEvent(event);
      });
    }
    watch();
  }

  function reopen() {
    source.close();
    clearTimeout(watchdogTimer);
    openLater();
  }

  // A handler may have ended it.
  function openLater() {
    if (isClosed) return;
    const delayMs = Math.min(30_000, minDelayMs * 2 ** failures) * (0.5 + Math.random());
    failures += 1;
    clearTimeout(reopenTimer);
    reopenTimer = setTimeout(open, delayMs);
  }

  function onControlEvent(event) {
    noteLife(event);
    if (event.type === 'bridge.gap') onGap?.(JSON.parse(event.data));
    if (event.type === 'bridge.expiring' && ticket) open();
    if (event.type === 'bridge.open') {
      failures = 0;
      silenceMsMax = 3 * JSON.parse(event.data).heartbeat_ms;
      watch();
      onState?.('open');
    }
  }

  function noteLife(event) {
    lastEventId = event.lastEventId || lastEventId;
    watch();
  }

  // Without an event or a heartbeat for so long, the connection is dead, whatever TCP believes.
  function watch() {
    clearTimeout(watchdogTimer);
    if (isClosed) return;
    watchdogTimer = setTimeout(() => {
      onState?.('connecting');
      reopen();
    }, silenceMsMax);
  }

  onState?.('connecting');
  open();
  return () => {
    isClosed = true;
    clearTimeout(reopenTimer);
    clearTimeout(watchdogTimer);
    source?.close();
  };
}
