#include "tests/support/http_origin.h"

#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bridge::test {

HttpOrigin::HttpOrigin(Answer answer, bool reads_request)
    : answer_(std::move(answer)), reads_request_(reads_request), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, bytes) != 0 || listen(listener_, 16) != 0 ||
      getsockname(listener_, generic, &bytes) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

HttpOrigin::~HttpOrigin() {
  is_stopping_ = true;
  thread_.join();
  close(listener_);
}

std::string HttpOrigin::url() const { return absl::StrCat("http://127.0.0.1:", port_, "/keys"); }

void HttpOrigin::Send(int fd, const std::string& status, const std::string& headers, const std::string& body) {
  const std::string text =
      absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Length: ", body.size(), "\r\n", headers, "\r\n", body);
  send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

void HttpOrigin::Run() {
  while (!is_stopping_) {
    pollfd waiting = {.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 10) <= 0) {
      continue;
    }
    const int fd = accept(listener_, nullptr, nullptr);
    std::string head;
    std::array<char, 4096> buffer{};
    while (reads_request_ && !is_stopping_ && !absl::StrContains(head, "\r\n\r\n")) {
      const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        break;
      }
      head.append(buffer.data(), static_cast<size_t>(got));
    }
    if (!reads_request_ || absl::StrContains(head, "\r\n\r\n")) {
      ++requests_;
      answer_(fd, is_stopping_);
    }
    close(fd);
  }
}

}  // namespace bridge::test
