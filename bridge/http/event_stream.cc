#include "bridge/http/event_stream.h"

#include <array>
#include <sys/epoll.h>
#include <utility>

namespace bridge::http {
namespace {

// What a client may send on an open stream, where nothing is expected of it.
constexpr uint32_t kDroppedBytesMax = 4096;

// The answer to a call. A class of its own, because the many other streams are to stay as small as they are.
class AnswerStream final : public EventStream {
 public:
  AnswerStream(Transport transport, hub::Hub* hub, StreamLimits::Place place, calls::Calls::Reader reader)
      : EventStream(std::move(transport), hub, std::move(place)), reader_(std::move(reader)) {}

 private:
  ~AnswerStream() override = default;

  const calls::Calls::Reader reader_;
};

}  // namespace

void EventStream::Start(ParkedSocket socket, hub::Hub* hub, hub::Selection selection, const hub::Hub::Opening& opening,
                        const hub::StreamTerms& terms, StreamLimits::Place place,
                        std::optional<calls::Calls::Reader> reader) {
  hub->loop().AssertOnLoop();
  EventStream* const stream =  // owns itself
      reader.has_value() ? new AnswerStream(std::move(socket.transport), hub, std::move(place), *std::move(reader))
                         : new EventStream(std::move(socket.transport), hub, std::move(place));
  socket.loop->AssertOnLoop();
  socket.loop->Rewatch(stream->transport_.fd(), socket.watcher, stream);
  hub->Add(*stream, std::move(selection), opening, std::move(socket.unsent), terms);
}

EventStream::EventStream(Transport transport, hub::Hub* hub, StreamLimits::Place place)
    : hub_(hub), place_(std::move(place)), transport_(std::move(transport)) {}

ssize_t EventStream::Write(absl::Span<const iovec> pieces) { return transport_.Write(pieces); }

void EventStream::OnEnd(hub::EndReason /*reason*/) {
  hub_->loop().AssertOnLoop();
  hub_->loop().Unwatch(transport_.fd(), this);
  transport_.EndWriting();
  delete this;
}

void EventStream::OnReady(uint32_t events) {
  hub_->loop().AssertOnLoop();
  // TLS may hold input although the socket has none, and wait for some before it writes.
  const uint32_t about_all = transport_.is_tls() ? events : 0;
  if (((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) | about_all) != 0 && !DropInput()) {
    return;
  }
  if (((events & EPOLLOUT) | about_all) != 0) {
    hub_->NoteWritable(*this);
  }
}

bool EventStream::DropInput() {
  hub_->loop().AssertOnLoop();
  std::array<char, 512> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is read into
  while (true) {
    const ssize_t received = transport_.Read(buffer.data(), buffer.size());
    if (received > 0) {
      dropped_bytes_ += static_cast<uint32_t>(received);
      if (dropped_bytes_ > kDroppedBytesMax) {
        hub_->End(*this, hub::EndReason::kFlood);
        return false;
      }
    } else if (received == kWouldBlock) {
      return true;
    } else {
      hub_->End(*this, hub::EndReason::kClientClosed);
      return false;
    }
  }
}

}  // namespace bridge::http
