import { ref, toValue, watchEffect } from 'vue';

import { openEventStream } from './event-source.js';

/**
 * Holds an event stream while the component is mounted. `url` and `types` may be refs or getters: another value opens another stream.
 *
 *   const { state } = useEventStream(() => `/events?topic=orders.${id.value}`, { types: ['update'], onEvent: (event) => orders.push(event) });
 *
 * @returns {{state: import('vue').Ref<'connecting' | 'open'>}}
 */
export function useEventStream(url, { types = ['message'], onEvent, onGap, ticket }) {
  const state = ref('connecting');
  watchEffect((onCleanup) => {
    const close = openEventStream(toValue(url), {
      types: toValue(types),
      onEvent,
      onGap,
      ticket,
      onState: (value) => {
        state.value = value;
      },
    });
    onCleanup(close);
  });
  return { state };
}
