// NATS's rules: "*" stands for one token, a last ">" for one token or more.
export function matches(pattern, topic) {
  const wanted = pattern.split('.');
  const tokens = topic.split('.');
  for (const [i, want] of wanted.entries()) {
    if (want === '>' && i === wanted.length - 1) return tokens.length > i;
    if (i >= tokens.length || (want !== '*' && want !== tokens[i])) return false;
  }
  return wanted.length === tokens.length;
}
