#include "tests/support/steady_port.h"

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <netinet/in.h>
#include <random>
#include <set>
#include <sys/socket.h>
#include <unistd.h>

namespace bridge::test {
namespace {

constexpr uint16_t kFirstPort = 10'000;
constexpr uint16_t kLastPort = 32'000;
constexpr int kTriesMax = 1'000;

bool CanBind(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return is_free;
}

}  // namespace

uint16_t SteadyPort() {
  static std::mutex mutex;
  static std::random_device random;
  static std::set<uint16_t> given_out;
  const std::scoped_lock lock(mutex);
  std::uniform_int_distribution<int> ports(kFirstPort, kLastPort);
  for (int i = 0; i < kTriesMax; ++i) {
    const auto port = static_cast<uint16_t>(ports(random));
    if (CanBind(port) && given_out.insert(port).second) {
      return port;
    }
  }
  std::fprintf(stderr, "no free port from %d to %d\n", kFirstPort, kLastPort);
  std::abort();
}

}  // namespace bridge::test
