// Rendering at most once per animation frame, however often something changes.

const waiting = new Set();

function renderWaiting() {
  const renders = [...waiting];
  waiting.clear();
  for (const render of renders) render();
}

// Returns a function that says "something has changed": `render` runs in the next frame, once.
export function onFrame(render) {
  return () => {
    if (waiting.size === 0) requestAnimationFrame(renderWaiting);
    waiting.add(render);
  };
}
