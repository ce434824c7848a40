import { build } from 'esbuild';

import { repository } from './bridge.mjs';

// The code of examples/browser and what it imports as one script, which defines the global `examples`.
export async function bundleExamples() {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        export { Call, CallRefusal } from './call.js';
        export { fetchEventSource } from '@microsoft/fetch-event-source';
        export { openEventStream } from './event-source.js';
        export { openFetchStream } from './fetch-event-source.js';
        export { takeTicket } from './tickets.js';
        export { useEventStream as useInReact } from './react.js';
        export { useEventStream as useInVue } from './vue.js';
        export { createElement } from 'react';
        export { createRoot } from 'react-dom/client';
        export { createApp, h, ref } from 'vue';`,
      resolveDir: `${repository}examples/browser`,
    },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'examples',
    define: {
      'process.env.NODE_ENV': '"production"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
  });
  return outputFiles[0].text;
}
