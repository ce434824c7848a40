import { ref, toValue, watch } from 'vue';

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
  // Only these open another stream, and not what a handler or ticket() looks at while this one is opened.
  const asked = [() => toValue(url), () => toValue(types)];
  watch(asked, ([currentUrl, currentTypes], before, onCleanup) => {
    const close = openEventStream(currentUrl, {
      types: currentTypes,
      onEvent,
      onGap,
      ticket,
      onState: (value) => {
        state.value = value;
      },
    });
    onCleanup(close);
  }, { immediate: true });
  return { state };
}
