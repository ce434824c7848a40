#include "tests/support/sse_client.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace bridge::test {

SseClient::SseClient(uint16_t port, const Options& options)
    : connection_(options.tls == nullptr
                      ? std::make_unique<RawConnection>(port, options.receive_buffer_bytes)
                      : std::make_unique<RawConnection>(port, *options.tls, options.receive_buffer_bytes)) {
  std::string request = absl::StrCat(options.method, " ", options.target, " ", options.version,
                                     "\r\nHost: localhost\r\n", options.headers);
  if (!options.last_event_id.empty()) {
    absl::StrAppend(&request, "Last-Event-ID: ", options.last_event_id, "\r\n");
  }
  if (options.method == "POST") {
    absl::StrAppend(&request, "Content-Type: application/json\r\nContent-Length: ", options.body.size(), "\r\n");
  }
  absl::StrAppend(&request, "\r\n", options.body);
  connection_->Send(request);
}

bool SseClient::ReadMore(absl::Duration timeout) {
  if (has_ended_) {
    return false;
  }
  const std::string bytes = connection_->Receive(timeout);
  if (bytes.empty()) {
    has_ended_ = connection_->has_ended();
    return false;
  }
  raw_ += bytes;
  TakeBytes();
  return true;
}

void SseClient::TakeBytes() {
  if (!has_head_) {
    const size_t end = raw_.find("\r\n\r\n");
    if (end == std::string::npos) {
      return;
    }
    head_ = ParseResponse(raw_.substr(0, end + 4));
    raw_.erase(0, end + 4);
    has_head_ = true;
    is_chunked_ = head_.Header("Transfer-Encoding") == "chunked";
  }
  TakeBody();
  for (SseEvent& event : parser_.TakeEvents()) {
    events_.push_back(std::move(event));
  }
}

void SseClient::TakeBody() {
  if (!is_chunked_) {
    parser_.Feed(raw_);
    raw_.clear();
    return;
  }
  while (!has_last_chunk_) {
    const size_t line_end = raw_.find("\r\n");
    if (line_end == std::string::npos) {
      return;
    }
    const size_t size = std::strtoul(raw_.c_str(), nullptr, 16);
    if (raw_.size() < line_end + 2 + size + 2) {
      return;
    }
    parser_.Feed(absl::string_view(raw_).substr(line_end + 2, size));
    has_last_chunk_ = size == 0;
    raw_.erase(0, line_end + 2 + size + 2);
  }
}

std::optional<SseEvent> SseClient::Next(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (events_.empty()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration() || (!ReadMore(left) && (has_ended_ || absl::Now() >= deadline))) {
      return std::nullopt;
    }
  }
  SseEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<SseEvent> SseClient::NextButHeartbeats() {
  auto event = Next();
  while (event && event->type == "bridge.heartbeat") {
    event = Next();
  }
  return event;
}

std::optional<SseEvent> SseClient::NextOwn(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    auto event = Next(deadline - absl::Now());
    if (!event || !absl::StartsWith(event->type, "bridge.")) {
      return event;
    }
  }
}

std::vector<std::string> SseClient::NextData(size_t count, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::vector<std::string> data;
  while (data.size() < count) {
    auto event = NextOwn(deadline - absl::Now());
    if (!event) {
      break;
    }
    data.push_back(std::move(event->data));
  }
  return data;
}

std::string SseClient::ReadOpen() {
  const auto event = Next();
  if (!event || event->type != "bridge.open") {
    std::fprintf(stderr, "no bridge.open came; the head was: %s %s\n", head_.head.c_str(),
                 event ? event->type.c_str() : "(nothing)");
    std::abort();
  }
  return event->id;
}

bool SseClient::WaitForEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!has_ended_ && absl::Now() < deadline) {
    ReadMore(deadline - absl::Now());
  }
  return has_ended_;
}

const HttpResponse& SseClient::Head(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!has_head_ && !has_ended_ && absl::Now() < deadline) {
    ReadMore(deadline - absl::Now());
  }
  return head_;
}

}  // namespace bridge::test
