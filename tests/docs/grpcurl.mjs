import { execFileSync } from 'node:child_process';

// Why there are no commands with grpcurl, which Debian does not have, or false.
export function whyNoGrpcurl() {
  try {
    execFileSync('grpcurl', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'there is no grpcurl on the path';
  }
}
