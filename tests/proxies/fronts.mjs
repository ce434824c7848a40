// The proxies of docs/proxies, started for real, and the replicas behind them.
//
//   const replicas = await startReplicas({ 'http.heartbeat': '300ms' });     // two, on one log
//   const front = await startFront('nginx', replicas, certificate);          // of makeCertificate()
//   front.origin                                                             // "https://localhost:PORT"
//   await startFront('nginx', replicas, null);                               // without TLS, "http://localhost:PORT"
//   await replicas[0].stop('SIGKILL'); await replicas[0].start();            // at the same addresses
//   await front.stop(); await stopReplicas(replicas);
//
// The files are used as they are; in the place of the reader's names stand the test's addresses, and, where the test wants it, an idle timeout.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { eventually, repository, start, startBridge } from '../support/bridge.mjs';
import { startNats } from '../support/nats.mjs';
import { freePort } from '../support/ports.mjs';

const fileOf = { nginx: 'nginx.conf', haproxy: 'haproxy.cfg', caddy: 'Caddyfile' };
export const names = Object.keys(fileOf);

// The addresses of the two replicas: the ports are the same on both, because a proxy may know one admin port only.
const hosts = ['127.0.0.1', '127.0.0.2'];

export async function startReplicas(settings = {}) {
  const nats = await startNats();
  const [http, admin] = [await freePort(hosts), await freePort(hosts)];
  const replicas = hosts.map((host) => ({
    http: `${host}:${http}`,
    admin: `${host}:${admin}`,
    nats,
    bridge: null,
    async start() {
      this.bridge = await startBridge({
        'http.address': this.http,
        'admin.address': this.admin,
        'log.jetstream.url': nats.url,
        ...settings,
      });
      await eventually(async () => (await fetch(`http://${this.admin}/readyz`)).ok, { describe: () => this.bridge.output() });
    },
    async stop(signal) {
      await this.bridge?.stop(signal);
      this.bridge = null;
    },
  }));
  for (const replica of replicas) await replica.start();
  return replicas;
}

export async function stopReplicas(replicas) {
  for (const replica of replicas) await replica.stop('SIGKILL');
  await replicas[0].nats.stop();
}

// Puts what the pairs say into the place of what stands in a file; all of it has to stand there.
function replace(text, pairs) {
  let result = text;
  for (const [from, to] of pairs) {
    assert.ok(result.includes(from), `the file has ${from}`);
    result = result.replaceAll(from, to);
  }
  return result;
}

const replicaNames = (replicas) => replicas.map(({ http }, index) => [`bridge-${index}:8080`, http]);
const adminPort = ([{ admin }]) => admin.split(':')[1];

// How each program is started in `directory` with its file from docs/proxies.
const prepare = {
  nginx({ directory, text, port, replicas, certificate, idleTimeout }) {
    writeFileSync(path.join(directory, 'bridge.conf'), replace(text, [
      ...replicaNames(replicas),
      ['60s', idleTimeout],
      ...(certificate
        ? [['listen 443 ', `listen 127.0.0.1:${port} `], ['/etc/bridge/tls.crt', certificate.file], ['/etc/bridge/tls.key', certificate.keyFile]]
        : [['listen 443 ssl http2;', `listen 127.0.0.1:${port};`], ['ssl_', '# ssl_']]),
    ]));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${directory}/${kind};`);
    // What Debian's nginx.conf has around it, with gzip as greedy as it gets.
    writeFileSync(path.join(directory, 'nginx.conf'), `
      daemon off;
      worker_processes 1;
      pid ${directory}/pid;
      error_log stderr warn;
      events {}
      http {
        access_log off;
        ${temporary.join(' ')}
        gzip on;
        gzip_types *;
        gzip_min_length 1;
        include bridge.conf;
      }`);
    return ['/usr/sbin/nginx', '-e', 'stderr', '-p', directory, '-c', 'nginx.conf'];
  },

  haproxy({ directory, text, port, replicas, certificate, idleTimeout }) {
    const pem = path.join(directory, 'tls.pem');
    if (certificate) writeFileSync(pem, certificate.pem + readFileSync(certificate.keyFile, 'utf8'));
    writeFileSync(path.join(directory, 'haproxy.cfg'), replace(text, [
      ...replicaNames(replicas),
      ['bind :443 ssl crt /etc/bridge/tls.pem alpn h2,http/1.1', `bind 127.0.0.1:${port}${certificate ? ` ssl crt ${pem} alpn h2,http/1.1` : ''}`],
      ['port 8081', `port ${adminPort(replicas)}`],
      ['60s', idleTimeout],
    ]));
    return ['/usr/sbin/haproxy', '-db', '-f', path.join(directory, 'haproxy.cfg')];
  },

  caddy({ directory, text, port, replicas, certificate }) {
    writeFileSync(path.join(directory, 'Caddyfile'), replace(text, [
      ...replicaNames(replicas),
      ['\tgrace_period', '\tadmin off\n\tauto_https disable_redirects\n\tgrace_period'],
      ['events.example.com {', `${certificate ? 'https' : 'http'}://localhost:${port} {\n\tbind 127.0.0.1`],
      ['tls /etc/bridge/tls.crt /etc/bridge/tls.key', certificate ? `tls ${certificate.file} ${certificate.keyFile}` : ''],
      ['health_port 8081', `health_port ${adminPort(replicas)}`],
    ]));
    return ['/usr/bin/caddy', 'run', '--adapter', 'caddyfile', '--config', path.join(directory, 'Caddyfile')];
  },
};

const isListening = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });

export async function startFront(name, replicas, certificate, { idleTimeout = '60s' } = {}) {
  const directory = mkdtempSync(path.join(tmpdir(), `${name}-`));
  const port = await freePort();
  const text = readFileSync(path.join(repository, 'docs/proxies', fileOf[name]), 'utf8');
  const [program, ...args] = prepare[name]({ directory, text, port, replicas, certificate, idleTimeout });
  const child = start(program, args, { env: { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory } });
  await eventually(() => isListening(port), { describe: () => `${name} listens; it said ${child.output}` });
  return {
    origin: `${certificate ? 'https' : 'http'}://localhost:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await child.ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
