// Parses text/event-stream (WHATWG HTML, 9.2.6) from pieces of text that may end anywhere: in a line, between CR and LF, in an event.
//
//   const parser = new SseParser({ onEvent: ({ type, data, lastEventId }) => …, onRetry: (milliseconds) => … });
//   parser.feed(text);
//
// An event whose blank line has not come is not handed over, and its id does not count: what it takes to resume is `lastEventId`.
export class SseParser {
  // The id of the last complete event that had one.
  lastEventId;

  #onEvent;
  #onRetry;
  #isAtStart = true;
  // The last piece ended with a CR: a LF now belongs to it.
  #isAfterReturn = false;
  // A line whose end has not come.
  #line = '';
  // The fields of the event that is being read.
  #data = [];
  #type = '';
  #id;

  constructor({ onEvent, onRetry = () => {}, lastEventId = '' }) {
    this.#onEvent = onEvent;
    this.#onRetry = onRetry;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
  }

  // Whether a part of an event has been read.
  get isInsideEvent() {
    return this.#line !== '' || this.#data.length > 0 || this.#type !== '' || this.#id !== this.lastEventId;
  }

  feed(text) {
    if (text === '') return;
    let start = 0;
    if (this.#isAtStart) {
      this.#isAtStart = false;
      if (text[0] === '\uFEFF') start = 1;
    }
    if (this.#isAfterReturn) {
      this.#isAfterReturn = false;
      if (text[0] === '\n') start = 1;
    }
    const lineEnd = /\r\n?|\n/g;
    lineEnd.lastIndex = start;
    for (let end = lineEnd.exec(text); end !== null; end = lineEnd.exec(text)) {
      this.#readLine(this.#line + text.slice(start, end.index));
      this.#line = '';
      start = lineEnd.lastIndex;
      this.#isAfterReturn = end[0] === '\r' && start === text.length;
    }
    this.#line += text.slice(start);
  }

  #readLine(line) {
    if (line === '') {
      this.#endEvent();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;  // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data.push(value);
    } else if (field === 'event') {
      this.#type = value;
    } else if (field === 'id') {
      if (!value.includes('\0')) this.#id = value;
    } else if (field === 'retry') {
      if (/^[0-9]+$/.test(value)) this.#onRetry(Number(value));
    }
  }

  #endEvent() {
    const event = { type: this.#type || 'message', data: this.#data.join('\n'), lastEventId: this.#id };
    const hasData = this.#data.length > 0;
    this.lastEventId = this.#id;
    this.#type = '';
    this.#data = [];
    if (hasData) this.#onEvent(event);
  }
}
