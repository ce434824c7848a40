import { once } from 'node:events';
import net from 'node:net';

const listen = async (host, port) => {
  const server = net.createServer().listen(port, host);
  await once(server, 'listening');
  return server;
};

// A port that is free on all of these addresses.
export async function freePort(hosts = ['127.0.0.1']) {
  for (;;) {
    const servers = [];
    try {
      for (const host of hosts) servers.push(await listen(host, servers[0]?.address().port ?? 0));
      return servers[0].address().port;
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
    } finally {
      await Promise.all(servers.map((server) => new Promise((resolve) => { server.close(resolve); })));
    }
  }
}
