// A Kubernetes cluster, the one of KUBECONFIG, as these tests use it: through kubectl and Helm, as its operator does.
//
//   const namespace = await createNamespace('jetstream');       // bridge-test-jetstream, which enforces the Pod Security Standard "restricted"
//   await namespace.install({ replicas: 3 });                   // helm install --wait; upgrade() likewise
//   await namespace.kubectl('get', 'pods');                     // what it prints
//   const address = await namespace.addressOf('push-grpc-sse-bridge-http');
//   await namespace.kill(pod, 'sse-bridge');                    // SIGKILL, which nothing inside of a container can send to its first process
//   await namespace.remove();
//
// BRIDGE_IMAGE and NATS_IMAGE name images that the nodes have, HELM the program. Clients come in through the ports of a node, which every
// cluster has.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { eventually, repository } from '../support/bridge.mjs';

const bridgeImage = process.env.BRIDGE_IMAGE;
const helmProgram = process.env.HELM ?? `${repository}build/go/bin/helm`;

const release = 'push';
export const workload = `${release}-grpc-sse-bridge`;
const waiting = ['--wait', '--timeout', '3m'];
const selector = `app.kubernetes.io/instance=${release},app.kubernetes.io/component=bridge`;

// What has to differ from the defaults, so that clients outside of the cluster reach a release of this image.
const [, repositoryOfImage, tag] = /^(.+?)(?::([^:/]+))?$/.exec(bridgeImage ?? '');
const reach = {
  image: { repository: repositoryOfImage, tag: tag ?? 'latest' },
  service: { http: { type: 'NodePort' }, grpc: { type: 'NodePort' } },
  networkPolicy: { grpc: { from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] } },
};

// Runs a program to its end, and returns what it printed. Fails where it fails, with what it said.
async function run(program, args, input = '') {
  const running = promisify(execFile)(program, args, { cwd: repository, maxBuffer: 1 << 26 });
  running.child.stdin.on('error', () => {});  // it has failed: its exit code says so
  running.child.stdin.end(input);
  const { stdout } = await running;
  return stdout.trimEnd();
}

const apply = (object, ...args) => run('kubectl', [...args, 'apply', '--filename', '-'], JSON.stringify(object));

export async function createNamespace(what, standard = 'restricted') {
  const name = `bridge-test-${what}`;
  await run('kubectl', ['delete', 'namespace', name, '--ignore-not-found', '--timeout=120s']);  // of a run that was broken off
  const labels = { 'pod-security.kubernetes.io/enforce': standard };
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  // Pods are refused until it is there.
  await eventually(() => run('kubectl', ['--namespace', name, 'get', 'serviceaccount', 'default']).catch(() => ''));

  const kubectl = (...args) => run('kubectl', ['--namespace', name, ...args]);
  const get = async (...args) => JSON.parse(await kubectl('get', ...args, '--output', 'json'));
  const helm = (args, values = {}) => run(helmProgram, ['--namespace', name, ...args], JSON.stringify(values));
  const roll = (command, values, args = waiting) => helm([command, release, 'helm', '--values', '-', ...args], { ...reach, ...values });

  return {
    name,
    kubectl,
    get,
    apply: (object) => apply(object, '--namespace', name),
    install: (values, args) => roll('install', values, args),
    upgrade: (values, args) => roll('upgrade', values, args),
    uninstall: () => helm(['uninstall', release, ...waiting]),
    test: () => helm(['test', release, '--logs', '--timeout', '2m']),
    pods: async () => (await get('pods', '--selector', selector)).items,
    // What a pod's admin port says at this path, through the API.
    admin: (pod, path) => kubectl('get', '--raw', `/api/v1/namespaces/${name}/pods/${pod}:8081/proxy${path}`),
    // An eviction, as draining a node does it.
    evict: (pod) => run('kubectl', ['create', '--raw', `/api/v1/namespaces/${name}/pods/${pod}/eviction`, '--filename', '-'],
      JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: name } })),
    // The address of a Service of the type NodePort.
    async addressOf(service) {
      const { items: [node] } = JSON.parse(await run('kubectl', ['get', 'nodes', '--output', 'json']));
      const { address } = node.status.addresses.find(({ type }) => type === 'InternalIP');
      const { spec: { ports: [{ nodePort }] } } = await get('service', service);
      return `${address}:${nodePort}`;
    },
    // Kills the program's process in a pod, and waits until the kubelet has started another one.
    async kill(pod, program) {
      const before = await get('pod', pod);
      await killOnNode(before, program);
      await eventually(async () => {
        const [now] = (await get('pod', pod)).status.containerStatuses;
        return now.ready && now.restartCount > before.status.containerStatuses[0].restartCount;
      }, { deadlineMs: 90_000, describe: () => `${pod} is ready again` });
    },
    async remove() {
      await helm(['uninstall', release, '--ignore-not-found']);
      await run('kubectl', ['delete', 'namespace', name, '--timeout=120s']);
    },
  };
}

export const isReady = ({ metadata, status }) => !metadata.deletionTimestamp
  && (status.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True');

// Runs a script as root on a node, in a pod that sees all of the node's processes, and its folder /var/tmp as /node. Returns what it wrote.
export async function runOnNode(node, script) {
  const namespace = await createNamespace('node', 'privileged');
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'script' },
    spec: {
      nodeName: node,
      hostPID: true,
      restartPolicy: 'Never',
      containers: [{
        name: 'script',
        image: bridgeImage,
        imagePullPolicy: 'IfNotPresent',
        command: ['bash', '-euc', script],
        securityContext: { runAsUser: 0, runAsGroup: 0 },
        volumeMounts: [{ name: 'node', mountPath: '/node' }],
      }],
      volumes: [{ name: 'node', hostPath: { path: '/var/tmp' } }],
    },
  });
  const phase = await eventually(
    async () => /Succeeded|Failed/.exec((await namespace.get('pod', 'script')).status.phase)?.[0],
    { deadlineMs: 60_000, describe: () => 'a script on the node ends' },
  );
  const output = await namespace.kubectl('logs', 'script');
  await namespace.kubectl('delete', 'namespace', namespace.name, '--wait=false');
  if (phase === 'Failed') throw new Error(`on the node: ${script}\n${output}`);
  return output;
}

function killOnNode({ metadata: { uid }, spec: { nodeName } }, program) {
  return runOnNode(nodeName, `
    killed=0
    for process in /proc/[0-9]*; do
      if [[ $(cat "$process/comm" 2>&1) == ${program} ]] && grep -q ${uid.replaceAll('-', '[-_]')} "$process/cgroup"; then
        kill -KILL "\${process#/proc/}"
        killed=$((killed + 1))
      fi
    done
    [[ $killed -eq 1 ]] || { echo "$killed processes"; exit 1; }`);
}

// A nats-server with JetStream in a namespace, at nats://nats:4222. Its store outlives its process, not its pod.
export async function startNats(namespace) {
  const labels = { app: 'nats' };
  await namespace.apply({
    apiVersion: 'v1', kind: 'Service', metadata: { name: 'nats' }, spec: { selector: labels, ports: [{ port: 4222 }] },
  });
  await namespace.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'nats' },
    spec: {
      selector: { matchLabels: labels },
      strategy: { type: 'Recreate' },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [{
            name: 'nats',
            image: process.env.NATS_IMAGE,
            imagePullPolicy: 'IfNotPresent',
            command: ['nats-server', '--jetstream', '--store_dir', '/data'],
            readinessProbe: { tcpSocket: { port: 4222 }, periodSeconds: 1 },
            securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          }],
          volumes: [{ name: 'data', emptyDir: {} }],
        },
      },
    },
  });
  await namespace.kubectl('rollout', 'status', 'deployment/nats', '--timeout=120s');
}
