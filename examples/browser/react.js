import { useEffect, useRef, useState } from 'react';

import { openEventStream } from './event-source.js';

/**
 * Holds an event stream while the component is mounted; another url or other types open another one.
 *
 *   const state = useEventStream('/events?topic=orders.*', { types: ['update'], onEvent: (event) => dispatch(JSON.parse(event.data)) });
 *
 * @returns {'connecting' | 'open'}
 */
export function useEventStream(url, { types = ['message'], onEvent, onGap, ticket }) {
  const [state, setState] = useState('connecting');

  // The newest handlers, so that new functions in a new render do not open a new stream.
  const handlers = useRef({});
  useEffect(() => {
    handlers.current = { onEvent, onGap, ticket };
  });

  const typesKey = JSON.stringify(types);
  useEffect(
    () =>
      openEventStream(url, {
        types: JSON.parse(typesKey),
        onEvent: (event) => handlers.current.onEvent(event),
        onGap: (gap) => handlers.current.onGap?.(gap),
        onState: setState,
        ticket: handlers.current.ticket && (() => handlers.current.ticket()),
      }),
    [url, typesKey],
  );
  return state;
}
