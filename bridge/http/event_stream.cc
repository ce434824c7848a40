#include "bridge/http/event_stream.h"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace bridge::http {
namespace {

// What a client may send on an open stream, where nothing is expected of it.
constexpr uint32_t kDroppedBytesMax = 4096;

}  // namespace

void EventStream::Start(ParkedSocket socket, hub::Hub* hub, hub::Selection selection, hub::Hub::Opening opening,
                        const hub::StreamTerms& terms, StreamLimits::Place place) {
  hub->loop().AssertOnLoop();
  auto* stream = new EventStream(socket.fd, hub, std::move(place));  // owns itself
  socket.loop->AssertOnLoop();
  socket.loop->Rewatch(socket.fd, socket.watcher, stream);
  hub->Add(*stream, std::move(selection), std::move(opening), std::move(socket.unsent), terms);
}

EventStream::EventStream(int fd, hub::Hub* hub, StreamLimits::Place place)
    : hub_(hub), place_(std::move(place)), fd_(fd) {}

ssize_t EventStream::Write(absl::Span<const iovec> pieces) {
  ssize_t written = 0;
  if (pieces.size() == 1) {
    written = send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    written = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (written >= 0) {
    return written;
  }
  return errno == EAGAIN ? 0 : -1;
}

void EventStream::OnEnd(hub::EndReason /*reason*/) {
  hub_->loop().AssertOnLoop();
  hub_->loop().Unwatch(fd_, this);
  shutdown(fd_, SHUT_WR);
  close(fd_);
  delete this;
}

void EventStream::OnReady(uint32_t events) {
  hub_->loop().AssertOnLoop();
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && !DropInput()) {
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    hub_->NoteWritable(*this);
  }
}

bool EventStream::DropInput() {
  hub_->loop().AssertOnLoop();
  std::array<char, 512> buffer;
  while (true) {
    const ssize_t received = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (received > 0) {
      dropped_bytes_ += static_cast<uint32_t>(received);
      if (dropped_bytes_ > kDroppedBytesMax) {
        hub_->End(*this, hub::EndReason::kFlood);
        return false;
      }
    } else if (received < 0 && errno == EAGAIN) {
      return true;
    } else if (received == 0 || errno != EINTR) {
      hub_->End(*this, hub::EndReason::kClientClosed);
      return false;
    }
  }
}

}  // namespace bridge::http
