#include "tests/bench/stream_load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr size_t kReadyMax = 1024;
constexpr uint64_t kWakeTag = UINT64_MAX;
// An address has some 28,000 ephemeral ports, but the search for a free one gets slow long before they are used up.
constexpr size_t kStreamsPerSource = 5000;
constexpr size_t kFirstSource = 2;

}  // namespace

StreamLoad::StreamLoad(StreamLoadOptions options)
    : options_(std::move(options)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      streams_(options_.streams),
      buffer_(kReadBytes) {
  RaiseDescriptorLimit(options_.streams);
  if (options_.is_tls) {
    tls_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_mode(tls_.get(), SSL_MODE_RELEASE_BUFFERS);
  }
  if (!options_.progress_file.empty()) progress_.emplace(options_.progress_file);
  first_connect_ns_ = NowNs();
  ConnectMore();
}

void StreamLoad::Watch(int operation, int fd, uint32_t events, uint64_t tag) const {
  epoll_event event{.events = events, .data = {.u64 = tag}};
  if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) FailErrno("epoll_ctl");
}

void StreamLoad::ConnectMore() {
  while (started_ < streams_.size() && started_ - open_ < options_.connecting_max) {
    Stream& stream = streams_[started_];
    stream.fd = StartConnect(options_.target, static_cast<uint8_t>(kFirstSource + started_ / kStreamsPerSource));
    Watch(EPOLL_CTL_ADD, stream.fd.get(), EPOLLIN | EPOLLOUT, started_);
    ++started_;
  }
}

bool StreamLoad::HasHandshake(size_t index) {
  Stream& stream = streams_[index];
  if (stream.ssl == nullptr) {
    stream.ssl.reset(SSL_new(tls_.get()));
    SSL_set_fd(stream.ssl.get(), stream.fd.get());
    Watch(EPOLL_CTL_MOD, stream.fd.get(), EPOLLIN, index);
  }
  const int done = SSL_connect(stream.ssl.get());
  if (done == 1) return true;
  if (SSL_get_error(stream.ssl.get(), done) != SSL_ERROR_WANT_READ) Fail(absl::StrCat("stream ", index, ": no TLS"));
  return false;
}

void StreamLoad::SendRequest(size_t index) {
  if (options_.is_tls && !HasHandshake(index)) return;
  Stream& stream = streams_[index];
  const std::string path = absl::StrReplaceAll(options_.path, {{"{}", absl::StrCat(index % options_.topics)}});
  std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", options_.host, "\r\nAccept: text/event-stream\r\n");
  if (!options_.last_event_id.empty()) absl::StrAppend(&request, "Last-Event-ID: ", options_.last_event_id, "\r\n");
  if (!options_.token.empty()) absl::StrAppend(&request, "Authorization: Bearer ", options_.token, "\r\n");
  request += "\r\n";
  // A new connection's socket buffer takes so little at once.
  const ssize_t sent = options_.is_tls ? SSL_write(stream.ssl.get(), request.data(), static_cast<int>(request.size()))
                                       : send(stream.fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (std::cmp_not_equal(sent, request.size())) {
    FailErrno(absl::StrCat("stream ", index, ": sending the request"));
  }
  stream.is_requested = true;
  Watch(EPOLL_CTL_MOD, stream.fd.get(), EPOLLIN, index);
}

void StreamLoad::Receive(Stream& stream, std::string_view id, std::string_view data, int64_t now_ns) {
  const std::optional<Stamp> stamp = ReadStamp(data);
  if (!stamp) return;  // a control event
  ++counts_.deliveries;
  latency_.Record(now_ns - stamp->sent_ns);
  const uint64_t last = std::exchange(stream.last_sequence, stamp->sequence);
  if (last != 0 && stamp->sequence > last) {
    counts_.lost += stamp->sequence - last - 1;
  } else if (last != 0) {
    ++counts_.disordered;
  }
  if (&stream != streams_.data()) return;
  if (counts_.first_id.empty()) counts_.first_id = id;
  counts_.last_id = id;
}

ssize_t StreamLoad::ReadSome(Stream& stream) {
  if (!options_.is_tls) return recv(stream.fd.get(), buffer_.data(), buffer_.size(), 0);
  const int size = SSL_read(stream.ssl.get(), buffer_.data(), static_cast<int>(buffer_.size()));
  if (size < 0 && SSL_get_error(stream.ssl.get(), size) == SSL_ERROR_WANT_READ) errno = EAGAIN;
  return size;
}

void StreamLoad::Read(size_t index) {
  // A record at a time from TLS; what it has read and not given is not shown by the socket.
  do {
    const ssize_t size = ReadSome(streams_[index]);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return EndStream(index);
    Take(index, size);
  } while (streams_[index].fd.is_open() && options_.is_tls && SSL_pending(streams_[index].ssl.get()) > 0);
}

void StreamLoad::Take(size_t index, ssize_t size) {
  Stream& stream = streams_[index];
  counts_.bytes += static_cast<uint64_t>(size);
  const int64_t now_ns = NowNs();
  const SseReader::State before = stream.reader.state();
  stream.reader.Feed({buffer_.data(), static_cast<size_t>(size)},
                     [&](std::string_view id, std::string_view data) { Receive(stream, id, data, now_ns); });
  const SseReader::State after = stream.reader.state();
  if (after == SseReader::State::kRefused) {
    Fail(absl::StrCat("stream ", index, " was refused with status ", stream.reader.status()));
  }
  if (before == SseReader::State::kHead && after != SseReader::State::kHead) {
    ++open_;
    last_open_ns_ = now_ns;
    ConnectMore();
  }
  if (after == SseReader::State::kEnded) EndStream(index);
}

void StreamLoad::EndStream(size_t index) {
  if (streams_[index].reader.state() == SseReader::State::kHead) {
    Fail(absl::StrCat("stream ", index, " was closed before its response"));
  }
  ++counts_.closed;
  streams_[index].fd.Close();
}

bool StreamLoad::Poll(int timeout_ms, int wake_fd) {
  if (wake_fd_ != wake_fd) {
    wake_fd_ = wake_fd;
    Watch(EPOLL_CTL_ADD, wake_fd, EPOLLIN, kWakeTag);
  }
  std::array<epoll_event, kReadyMax> ready{};
  const int count = epoll_wait(epoll_.get(), ready.data(), kReadyMax, timeout_ms);
  bool is_woken = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready[static_cast<size_t>(i)];
    const uint64_t tag = event.data.u64;
    if (tag == kWakeTag) {
      is_woken = true;
    } else if (!streams_[tag].is_requested && ((event.events & EPOLLOUT) != 0 || options_.is_tls)) {
      SendRequest(tag);
    } else if (streams_[tag].fd.is_open()) {
      Read(tag);
    }
  }
  if (count > 0 && progress_) PublishProgress();
  return is_woken;
}

void StreamLoad::PublishProgress() {
  const auto slowest = std::ranges::min_element(streams_, {}, &Stream::last_sequence);
  progress_->Set(slowest->last_sequence);
}

void StreamLoad::Reset() {
  counts_ = Counts();
  latency_.Clear();
  for (Stream& stream : streams_) stream.last_sequence = 0;
  if (progress_) progress_->Set(0);
}

void StreamLoad::PrintReport(std::string_view kind) const {
  Report report;
  report.Set("kind", kind)
      .Set("open", static_cast<double>(open_))
      .Set("open_seconds", static_cast<double>(last_open_ns_ - first_connect_ns_) / 1e9)
      .Set("deliveries", static_cast<double>(counts_.deliveries))
      .Set("bytes", static_cast<double>(counts_.bytes))
      .Set("lost", static_cast<double>(counts_.lost))
      .Set("disordered", static_cast<double>(counts_.disordered))
      .Set("closed", static_cast<double>(counts_.closed))
      .Set("p50_ms", latency_.QuantileMs(0.5))
      .Set("p99_ms", latency_.QuantileMs(0.99))
      .Set("max_ms", latency_.MaxMs())
      .Set("first_id", counts_.first_id)
      .Set("last_id", counts_.last_id)
      .Print();
}

}  // namespace bridge::bench
