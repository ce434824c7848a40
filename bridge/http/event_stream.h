#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"

#include "bridge/calls/calls.h"
#include "bridge/http/exchange.h"
#include "bridge/http/stream_limits.h"
#include "bridge/http/transport.h"
#include "bridge/hub/hub.h"
#include "bridge/hub/subscription.h"
#include "bridge/loop/event_loop.h"

namespace bridge::http {

// One open SSE response: the parked socket of a request, which its hub writes to.
//
// Lives on its EventLoop; owns itself, and is destroyed when the stream ends.
class EventStream : public hub::Subscription, private loop::Watcher {
 public:
  // Takes over the socket, and keeps its place as long as it lives, and the reader of an answer.
  static void Start(ParkedSocket socket, hub::Hub* hub, hub::Selection selection, const hub::Hub::Opening& opening,
                    const hub::StreamTerms& terms, StreamLimits::Place place,
                    std::optional<calls::Calls::Reader> reader);

 protected:
  EventStream(Transport transport, hub::Hub* hub, StreamLimits::Place place);
  ~EventStream() override = default;

 private:
  ssize_t Write(absl::Span<const iovec> pieces) override;
  void OnEnd(hub::EndReason reason) override;
  void OnReady(uint32_t events) override;
  // Reads and drops what the client sends. False where the stream has been ended.
  bool DropInput();

  hub::Hub* const hub_;
  const StreamLimits::Place place_;
  // In whose last bytes the next member fits: there are many streams.
  [[no_unique_address]] Transport transport_;
  uint32_t dropped_bytes_ = 0;
};

}  // namespace bridge::http
