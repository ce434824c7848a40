import { problemOf } from './problem.js';

// What a token may be made of (RFC 6750, 2.1): others could not be sent in a header.
const TOKEN = /^[\w.~+/-]+=*$/;

// The bridge did not give a ticket, and said why.
export class Refusal extends Error {
  constructor(problem, { status, retryAfterMs = 0 }) {
    super(problem);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

// The token that a person has given to the page, if one has. It is in this object and nowhere else: neither in an address, nor in a storage.
export class Access {
  #token = '';

  get hasToken() {
    return this.#token !== '';
  }

  get token() {
    return this.#token;
  }

  // What a request needs to show the token; nothing where there is none.
  get headers() {
    return this.hasToken ? { Authorization: `Bearer ${this.#token}` } : {};
  }

  // Takes what a person has written for the token from now on, if the bridge does. Throws where it does not; then the last one stays.
  async use(written) {
    const token = written.trim().replace(/^Bearer\s+/i, '');
    if (!TOKEN.test(token)) throw new Error('This is no token: it has characters that are in none.');
    await takeTicket(token);
    this.#token = token;
  }

  // A ticket, with which an address opens one event stream. Throws a Refusal, or what fetch throws. REQUIRES: there is a token.
  ticket() {
    return takeTicket(this.#token);
  }
}

async function takeTicket(token) {
  const response = await fetch(new URL('tickets', document.baseURI), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: '{}',
    cache: 'no-store',
  });
  if (!response.ok) {
    const retryAfterMs = 1000 * (Number(response.headers.get('retry-after')) || 0);  // it may be a date
    throw new Refusal(await problemOf(response), { status: response.status, retryAfterMs });
  }
  return (await response.json()).ticket;
}
