#include "tests/bench/call_load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

#include <absl/strings/str_cat.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kReadyMax = 1024;
constexpr uint64_t kWakeTag = UINT64_MAX;
constexpr size_t kCallsPerSource = 5000;
constexpr size_t kFirstSource = 2;
// A pace that has fallen behind is not made up for in one go.
constexpr int64_t kBehindMaxNs = 10'000'000;
// Of a refusal.
constexpr size_t kShownMax = 1000;
constexpr std::string_view kEndData = R"({"status":")";
constexpr std::string_view kGoodEnd = R"({"status":"ok")";

}  // namespace

CallLoad::CallLoad(CallLoadOptions options)
    : options_(std::move(options)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      calls_(options_.calls),
      buffer_(kReadBytes),
      body_(MakePayload(options_.body_bytes)) {
  RaiseDescriptorLimit(options_.calls);
  for (size_t i = options_.calls; i-- > 0;) free_.push_back(i);
  counts_from_ns_ = next_call_ns_ = NowNs();
}

void CallLoad::Watch(int operation, int fd, uint32_t events, uint64_t tag) const {
  epoll_event event{.events = events, .data = {.u64 = tag}};
  if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) FailErrno("epoll_ctl");
}

void CallLoad::CallMore() {
  const int64_t now_ns = NowNs();
  next_call_ns_ = std::max(next_call_ns_, now_ns - kBehindMaxNs);
  while (!free_.empty() && !is_stopping_ && (options_.calls_max == 0 || called_ < options_.calls_max)) {
    if (options_.calls_per_second > 0) {
      if (now_ns < next_call_ns_) return;
      next_call_ns_ += static_cast<int64_t>(1e9 / options_.calls_per_second);
    }
    const size_t index = free_.back();
    free_.pop_back();
    calls_[index] = Call();
    calls_[index].fd = StartConnect(options_.target, static_cast<uint8_t>(kFirstSource + index / kCallsPerSource));
    Watch(EPOLL_CTL_ADD, calls_[index].fd.get(), EPOLLOUT, index);
    ++called_;
  }
}

void CallLoad::Post(size_t index) {
  Call& call = calls_[index];
  WriteStamp({.sequence = ++counts_.posted, .sent_ns = NowNs()}, body_);
  const std::string request = absl::StrCat(
      "POST ", options_.path, " HTTP/1.1\r\nHost: ", options_.host,
      "\r\nAccept: text/event-stream\r\nContent-Type: text/plain\r\nContent-Length: ", body_.size(), "\r\n\r\n", body_);
  if (send(call.fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    FailErrno(absl::StrCat("call ", index, ": sending the POST"));
  }
  call.is_posted = true;
  Watch(EPOLL_CTL_MOD, call.fd.get(), EPOLLIN, index);
}

void CallLoad::Receive(Call& call, std::string_view id, std::string_view data, int64_t now_ns) {
  if (const std::optional<Stamp> stamp = ReadStamp(data)) {
    ++counts_.tokens;
    counts_.answer_bytes += std::string_view("data: \nid: \n\n").size() + data.size() + id.size();
    latency_.Record(now_ns - stamp->sent_ns);
    call.is_wrong = call.is_wrong || stamp->sequence != ++call.tokens || call.has_end;
  } else if (data.starts_with(kEndData)) {
    call.is_wrong = call.is_wrong || call.has_end || !data.starts_with(kGoodEnd) || call.tokens != options_.tokens;
    call.has_end = true;
  }
}

void CallLoad::Read(size_t index) {
  Call& call = calls_[index];
  const ssize_t size = recv(call.fd.get(), buffer_.data(), buffer_.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return End(index);
  const int64_t now_ns = NowNs();
  call.reader.Feed({buffer_.data(), static_cast<size_t>(size)},
                   [&](std::string_view id, std::string_view data) { Receive(call, id, data, now_ns); });
  if (call.reader.state() == SseReader::State::kRefused) {
    const std::string answer(buffer_.data(), std::min<size_t>(static_cast<size_t>(size), kShownMax));
    Fail(absl::StrCat("call ", index, " was refused: ", answer));
  }
  if (!call.is_open && call.reader.state() != SseReader::State::kHead) {
    call.is_open = true;
    ++open_;
  }
  if (call.reader.state() == SseReader::State::kEnded) End(index);
}

void CallLoad::End(size_t index) {
  Call& call = calls_[index];
  const bool is_whole = call.has_end && !call.is_wrong && call.reader.state() == SseReader::State::kEnded;
  ++(is_whole ? counts_.ended : counts_.failed);
  open_ -= call.is_open ? 1 : 0;
  call.fd.Close();
  free_.push_back(index);
}

bool CallLoad::Poll(int timeout_ms, int wake_fd) {
  if (wake_fd_ != wake_fd) {
    wake_fd_ = wake_fd;
    Watch(EPOLL_CTL_ADD, wake_fd, EPOLLIN, kWakeTag);
  }
  CallMore();
  std::array<epoll_event, kReadyMax> ready{};
  const int count = epoll_wait(epoll_.get(), ready.data(), kReadyMax, timeout_ms);
  bool is_woken = false;
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
    if (tag == kWakeTag) {
      is_woken = true;
    } else if (!calls_[tag].is_posted) {
      Post(tag);
    } else {
      Read(tag);
    }
  }
  return is_woken;
}

void CallLoad::Reset() {
  counts_ = Counts();
  latency_.Clear();
  counts_from_ns_ = NowNs();
}

void CallLoad::PrintReport(std::string_view kind) const {
  Report()
      .Set("kind", kind)
      .Set("open", static_cast<double>(open_))
      .Set("posted", static_cast<double>(counts_.posted))
      .Set("tokens", static_cast<double>(counts_.tokens))
      .Set("answer_bytes", static_cast<double>(counts_.answer_bytes))
      .Set("ended", static_cast<double>(counts_.ended))
      .Set("failed", static_cast<double>(counts_.failed))
      .Set("seconds", static_cast<double>(NowNs() - counts_from_ns_) / 1e9)
      .Set("p50_ms", latency_.QuantileMs(0.5))
      .Set("p99_ms", latency_.QuantileMs(0.99))
      .Set("max_ms", latency_.MaxMs())
      .Print();
}

}  // namespace bridge::bench
