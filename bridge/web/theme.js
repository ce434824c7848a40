// A classic script in the head, so that the page is never painted in the wrong theme: the system's, unless one was chosen.
(() => {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);

  const stored = (() => {
    try { return localStorage.getItem('theme'); } catch { return null; }
  })();
  if (stored === 'dark' || stored === 'light') root.dataset.theme = stored;

  addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const show = () => {
      button.setAttribute('aria-pressed', String(isDark()));
      button.setAttribute('aria-label', isDark() ? 'Use the light theme' : 'Use the dark theme');
    };
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      try { localStorage.setItem('theme', root.dataset.theme); } catch { /* a browser that stores nothing */ }
      show();
    });
    system.addEventListener('change', show);
    show();
  });
})();
