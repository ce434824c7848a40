import { count } from './element.js';

// What a turn says of itself: { tone, text, detail, action }. `tone` is "plain", "ok" or "bad", `detail` what others say of it, and `action` what a
// button offers: "retry" or "ask". The texts say what a person can do.
export function wordsOf(turn, name) {
  if (turn.state === 'refused') return refusalInWords(turn.refusal, name, turn.callId !== '');
  if (turn.state === 'ended') return endInWords(turn.end, turn.callId !== '');
  return { tone: 'plain', text: runningInWords(turn), detail: '' };
}

function runningInWords({ state, problem, resumesAt }) {
  switch (state) {
    case 'asking':
      return 'Asking…';
    case 'waiting':
      return problem === '' ? 'Going on where it was…' : `The connection is lost; going on where it was as soon as it is back. ${problem}`;
    case 'cut':
      return `Cut. Going on in ${Math.max(0, Math.ceil((resumesAt - performance.now()) / 1000))} s…`;
    case 'stopping':
      return 'Stopping…';
    default:
      return '';
  }
}

function refusalInWords({ status, message, retryAfterMs }, name, isOpen) {
  const soon = retryAfterMs > 0 ? `in ${Math.ceil(retryAfterMs / 1000)} s` : 'in a moment';
  const said = (text, action) => ({ tone: 'bad', text, detail: `${status}: ${message}`, action });
  if (status === 401) return said('The bridge wants to know who asks. Give it a token under “Connection”, and this goes on.', 'retry');
  if (status === 403) return said(`You may not call “${name}” with this token. Give another one under “Connection”.`, 'retry');
  if (status === 404 && isOpen) return said('The bridge no longer has this answer: too old, or it was restarted. Ask again.', 'ask');
  if (status === 404) return said(`Nothing can be called “${name}” at this bridge. Its operator adds it to calls.names.`, 'retry');
  if (status === 413) return said('This is longer than the bridge takes. Ask something shorter.');
  if (status === 429) return said(`Too many calls are open already. Stop one, or try again ${soon}.`, 'retry');
  if (status === 503) return said(`No worker can take this now. Start one that serves “${name}”, or try again ${soon}.`, 'retry');
  return said('The bridge did not take this.', 'retry');
}

const ENDS = {
  failed: 'The worker could not answer this. Ask again, or ask something else.',
  abandoned: 'Nobody was reading any more, so the worker stopped. Ask again for the rest.',
  deadline: 'It took too long, so the worker was stopped. Ask again, or for less.',
  limit: 'The answer became longer than the bridge takes. Ask for less.',
  no_worker: 'No worker was free in time. Ask again in a moment.',
  worker_lost: 'The worker was lost and has not come back. Ask again.',
  lost: 'The bridge was stopped, and this answer with it. Ask again.',
};

function endInWords({ status, message = '', usage }, isOpen) {
  const used = usageInWords(usage);
  if (status === 'ok') return { tone: 'ok', text: ['Complete', ...used].join(' · '), detail: '' };
  const stopped = isOpen ? 'Stopped' : 'Stopped before the bridge had answered';
  if (status === 'cancelled') return { tone: 'plain', text: [stopped, ...used].join(' · '), detail: '' };
  const text = Object.hasOwn(ENDS, status) ? ENDS[status] : `The answer has ended: ${status}.`;
  return { tone: 'bad', text, detail: [message, ...used].filter((part) => part !== '').join(' · '), action: 'ask' };
}

const USAGE_MAX = 6;

// As the worker counts, whatever it counts, in an order that is always the same.
function usageInWords(usage) {
  return Object.entries(usage ?? {}).sort().slice(0, USAGE_MAX).map(([name, value]) => {
    const words = name.replaceAll('_', ' ');
    if (typeof value !== 'number') return `${words}: ${typeof value === 'string' ? value : JSON.stringify(value)}`;
    return /tokens$/.test(name) ? `${count(value)} ${words}` : `${words} ${Number(value.toFixed(3))}`;
  });
}
