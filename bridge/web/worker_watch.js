// What the demo's worker says of itself, in events on demo.worker: { state: "working" | "idle", call_id, tokens }. It goes another way than the
// answer: so it shows that the worker has stopped, and not only that nothing is read any more.
export const WORKER_TOPIC = 'demo.worker';

// With more calls, the oldest are forgotten.
const CALLS_MAX = 50;

export class WorkerWatch {
  // By call id: { isWorking, tokens, at }, the last on performance.now()'s clock.
  #calls = new Map();

  observe(data) {
    const { state, call_id: callId, tokens } = data ?? {};
    if (typeof callId !== 'string' || callId === '' || (state !== 'working' && state !== 'idle')) return;
    const known = this.#calls.get(callId);
    const isWorking = state === 'working';
    // The moment of the change is kept, not that of a repeat.
    const at = known !== undefined && known.isWorking === isWorking ? known.at : performance.now();
    this.#calls.delete(callId);
    this.#calls.set(callId, { isWorking, tokens: Number.isSafeInteger(tokens) ? tokens : 0, at });
    if (this.#calls.size > CALLS_MAX) this.#calls.delete(this.#calls.keys().next().value);
  }

  // Null where it has said nothing of this call.
  of(callId) {
    return this.#calls.get(callId) ?? null;
  }
}
