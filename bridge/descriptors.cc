#include "bridge/descriptors.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include "absl/strings/str_cat.h"

namespace bridge {
namespace {

// epoll and the descriptor that wakes it.
constexpr size_t kPerEventLoop = 2;
// The listeners, signals, gRPC's own and the log's are some twenty; the others are for the first connections.
constexpr size_t kBesides = 64;

}  // namespace

absl::Status PrepareDescriptors(const config::v1::Http& http) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  const size_t loops = http.event_loops() != 0 ? http.event_loops() : std::max(std::thread::hardware_concurrency(), 1U);
  const size_t needed = kBesides + kPerEventLoop * loops;
  // Trying it takes into account what was open before, and the limit of the whole machine.
  std::vector<int> opened;
  int error = 0;
  while (opened.size() < needed && error == 0) {
    const int fd = eventfd(0, EFD_CLOEXEC);
    if (fd >= 0) {
      opened.push_back(fd);
    } else {
      error = errno;
    }
  }
  for (const int fd : opened) {
    close(fd);
  }
  if (error == 0) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("only ", opened.size(), " more files can be opened (", std::generic_category().message(error), "); ",
                   needed, " are needed to start with ", loops,
                   " event loops: raise the limit of open files (ulimit -n, LimitNOFILE) or lower http.event_loops"));
}

}  // namespace bridge
