#include "tests/bench/orders.h"

#include <array>
#include <fcntl.h>
#include <unistd.h>

namespace bridge::bench {

Orders::Orders() { fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK); }

int Orders::fd() const { return STDIN_FILENO; }

void Orders::Read() {
  std::array<char, 4096> bytes{};
  const ssize_t size = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (size < 0) return;
  are_over_ = size == 0;
  text_.append(bytes.data(), static_cast<size_t>(size));
}

std::optional<std::string> Orders::Next() {
  const size_t end = text_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = text_.substr(0, end);
  text_.erase(0, end + 1);
  return line;
}

}  // namespace bridge::bench
