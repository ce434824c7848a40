#include "tests/chaos/nginx_front.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "tests/support/bridge_process.h"
#include "tests/support/steady_port.h"

namespace bridge::chaos {
namespace {

constexpr char kBinary[] = "/usr/sbin/nginx";

// $0: its directory, $1: its port, $2: the upstream's servers. The read timeout is above the bridges' heartbeat.
// max_fails=0: nginx takes a server for alive again once a request to it has ended well, and event streams do not end;
// until then it would let one of them through in each fail_timeout.
constexpr char kConfiguration[] = R"(
daemon off;
worker_processes 1;
pid $0/nginx.pid;
error_log stderr warn;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path $0/body;
  proxy_temp_path $0/proxy;
  fastcgi_temp_path $0/fastcgi;
  uwsgi_temp_path $0/uwsgi;
  scgi_temp_path $0/scgi;
  upstream bridges {
    $2
  }
  server {
    listen 127.0.0.1:$1 backlog=1024;
    location / {
      proxy_pass http://bridges;
      proxy_set_header Host $$host;
      proxy_connect_timeout 1s;
      proxy_read_timeout 4s;
      proxy_next_upstream error timeout http_502 http_503;
    }
  }
}
)";

std::string WriteConfiguration(const std::string& directory, uint16_t port, const std::vector<uint16_t>& bridge_ports) {
  std::string servers;
  for (const uint16_t bridge_port : bridge_ports) {
    absl::StrAppend(&servers, "server 127.0.0.1:", bridge_port, " max_fails=0;");
  }
  std::string path = absl::StrCat(directory, "/nginx.conf");
  std::ofstream(path) << absl::Substitute(kConfiguration, directory, port, servers);
  return path;
}

}  // namespace

NginxFront::NginxFront(const std::string& directory, const std::vector<uint16_t>& bridge_ports)
    : port_(test::SteadyPort()),
      process_({kBinary, "-e", "stderr", "-p", directory, "-c", WriteConfiguration(directory, port_, bridge_ports)},
               absl::StrCat(directory, "/nginx.log")) {
  process_.Start();
  if (!test::Eventually([this] { return test::IsListening(port_); })) {
    std::fprintf(stderr, "nginx did not start:\n%s\n", Log().c_str());
    std::abort();
  }
}

}  // namespace bridge::chaos
