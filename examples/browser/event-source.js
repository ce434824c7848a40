const controlTypes = ['bridge.open', 'bridge.gap', 'bridge.heartbeat', 'bridge.closing', 'bridge.expiring'];

/**
 * An EventSource that always comes back.
 *
 * The browser's own reconnects after a cut by itself, with the last event id. But after an answer other than 200 (a load balancer's 502
 * while no replica is there) it is CLOSED for good, and it does not notice a network that vanished. Here a new EventSource is opened then,
 * which goes on after the last event.
 *
 * @param {string} url of the event stream: "/events?topic=orders.*"
 * @param {object} options
 * @param {string[]} [options.types] the event types to listen to
 * @param {(event: MessageEvent) => void} options.onEvent
 * @param {(gap: {requested: string, oldest: string, reason: string}) => void} [options.onGap] events may be missing here: load anew
 *     what they would have told
 * @param {(state: 'connecting' | 'open') => void} [options.onState]
 * @param {boolean} [options.withCredentials] send cookies to another origin
 * @param {number} [options.minDelayMs] the delay before the first new EventSource; it doubles up to 30 s
 * @returns {() => void} ends it
 */
export function openEventStream(url, { types = ['message'], onEvent, onGap, onState, withCredentials = false, minDelayMs = 1000 }) {
  let source;
  let lastEventId = '';
  let failures = 0;
  let reopenTimer;
  let watchdogTimer;
  let silenceMsMax = 60_000;

  function open() {
    const target = new URL(url, location.href);
    target.searchParams.set('heartbeat', 'event');  // a script does not see comments
    if (lastEventId) target.searchParams.set('lastEventId', lastEventId);
    source = new EventSource(target, { withCredentials });
    source.onerror = () => {
      onState?.('connecting');
      if (source.readyState === EventSource.CLOSED) reopen();
    };
    for (const type of controlTypes) source.addEventListener(type, onControlEvent);
    for (const type of types) {
      source.addEventListener(type, (event) => {
        noteLife(event);
        onEvent(event);
      });
    }
    watch();
    onState?.('connecting');
  }

  function reopen() {
    source.close();
    clearTimeout(watchdogTimer);
    const delayMs = Math.min(30_000, minDelayMs * 2 ** failures) * (0.5 + Math.random());
    failures += 1;
    reopenTimer = setTimeout(open, delayMs);
  }

  function onControlEvent(event) {
    noteLife(event);
    if (event.type === 'bridge.gap') onGap?.(JSON.parse(event.data));
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
    watchdogTimer = setTimeout(() => {
      onState?.('connecting');
      reopen();
    }, silenceMsMax);
  }

  open();
  return () => {
    clearTimeout(reopenTimer);
    clearTimeout(watchdogTimer);
    source.close();
  };
}
