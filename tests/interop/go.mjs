import { execFileSync } from 'node:child_process';

// Why examples/go cannot be built here, or false.
export function whyNoGo() {
  let version;
  try {
    version = execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'there is no go on the path';
  }
  const [, minor] = /^go1\.(\d+)/.exec(version) ?? [];
  return Number(minor) >= 24 ? false : `examples/go needs Go 1.24, this is ${version}`;
}
