// What an answer other than 200 says, in one line: from its problem document (RFC 9457) where it has one.
export async function problemOf(response) {
  const status = `${response.status} ${response.statusText}`.trim();
  try {
    if (!(response.headers.get('content-type') ?? '').startsWith('application/problem+json')) return status;
    const { title = response.statusText, detail = '', example = '' } = await response.json();
    return `${response.status} ${title}${detail && `: ${detail}`}${example && ` (for example ${example})`}`;
  } catch {
    return status;
  }
}

// Whether the same request may be answered otherwise later.
export const mayPass = (status) => status === 429 || status >= 500;

// Whether the bridge would answer otherwise to somebody else.
export const wantsToken = (status) => status === 401 || status === 403;

// Why a stream ends or is not opened for now, where that is more than its name (bridge.closing).
const CLOSINGS = {
  token_expired: 'its token has ended',
  keys_pending: 'the keys of tokens are being fetched',
  tickets_exhausted: 'too many tickets have been used in a short time',
  draining: 'the bridge is shutting down',
  starting: 'the bridge is starting',
  overloaded: 'the bridge is overloaded',
  max_age: 'it has been open for long enough',
  too_fast: 'this address opens streams too fast',
  address_full: 'this address has too many streams open',
  subject_full: 'the subject of the token has too many streams open',
};

export const closingInWords = (reason) => (Object.hasOwn(CLOSINGS, reason) ? CLOSINGS[reason] : reason);
