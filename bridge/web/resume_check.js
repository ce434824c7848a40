// The series that are remembered; with more, the oldest are forgotten.
const SERIES_MAX = 1000;

// Checks that nothing was lost and nothing came twice, by the numbers that the demo's events carry: in each `series`, `n` counts without a
// hole, and `t` is when the event was published. Also finds out which events were missed while the page was not connected.
export class ResumeCheck {
  // What has been found since the last resume; null before the first one.
  //   after     the event id that the stream was resumed after
  //   checked   events with numbers that have come since
  //   replayed  those of them that were published before the stream was open again
  //   lost, twice
  //   gap       the reason of the bridge.gap that came, if one did
  found = null;

  #lastOf = new Map();
  #backAtMs = 0;
  // The publisher's clock against this one's, and the way: the smallest difference seen.
  #delayMs = Infinity;

  // Another stream begins: nothing is known about where its series stand.
  forget() {
    this.#lastOf.clear();
    this.found = null;
  }

  resume({ after, backAtMs }) {
    this.#backAtMs = backAtMs;
    this.found = { after, checked: 0, replayed: 0, lost: 0, twice: 0, gap: '' };
  }

  // Events may be missing, and the bridge has said so.
  gap(reason) {
    this.#lastOf.clear();
    if (this.found !== null) this.found.gap = reason;
  }

  observe(data, arrivedAtMs) {
    const { series, n, t } = data ?? {};
    if (typeof series !== 'string' || !Number.isSafeInteger(n)) return;
    const last = this.#lastOf.get(series);
    const isTwice = last !== undefined && n <= last;
    this.#lastOf.delete(series);
    this.#lastOf.set(series, isTwice ? last : n);
    if (this.#lastOf.size > SERIES_MAX) this.#lastOf.delete(this.#lastOf.keys().next().value);
    if (typeof t === 'number') this.#delayMs = Math.min(this.#delayMs, arrivedAtMs - t);

    if (this.found === null) return;
    this.found.checked += 1;
    if (typeof t === 'number' && t + this.#delayMs < this.#backAtMs) this.found.replayed += 1;
    if (isTwice) this.found.twice += 1;
    if (last !== undefined && n > last + 1) this.found.lost += n - last - 1;
  }
}
