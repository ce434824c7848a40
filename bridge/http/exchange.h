#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"

#include "bridge/base/ip_address.h"
#include "bridge/http/deferred_answer.h"
#include "bridge/http/request_head.h"
#include "bridge/http/transport.h"

namespace bridge::loop {
class EventLoop;
class Watcher;
}  // namespace bridge::loop

namespace bridge::http {

// A connection on its way from the HTTP server to who goes on with it.
struct ParkedSocket {
  // Watched on the loop by `watcher`, from which it has to be taken over (EventLoop::Rewatch).
  Transport transport;
  loop::EventLoop* loop;
  loop::Watcher* watcher;
  // What has been written to the connection and not been sent: the response's head and the first content.
  std::string unsent;
};

// One request while it is being answered. The library's handlers get no connection; they find it here, on the event
// loop's thread.
struct Exchange {
  using Park = absl::AnyInvocable<void(ParkedSocket)>;

  const RequestHead* head;
  // The whole body. It may be moved away.
  std::string* body;
  // Of the path, what stands behind the prefix of its route (Dispatcher::RouteBelow).
  absl::string_view segment = {};
  // Which of the server's event loops this is.
  loop::EventLoop* loop;
  size_t loop_index;
  // Who has connected: a client, or the last proxy in front of the bridge.
  base::IpAddress peer;
  // Set by a content provider that returns false because the response goes on elsewhere: the connection is not closed,
  // its socket goes there.
  Park park = nullptr;
  // No further request is read from this connection.
  bool must_close = false;

  // Answers the request, where it was deferred; else the route's handler does.
  ResumedHandler resumed = nullptr;
  // Set by Defer.
  std::shared_ptr<AwaitedAnswer> awaited = nullptr;

  // The answer comes later: what the handler says otherwise is not sent. The request is kept meanwhile, with what is
  // left of its body. Where that takes too long, `if_late` answers, or else it is a 503.
  DeferredAnswer Defer(ResumedHandler if_late = nullptr) {
    awaited = std::make_shared<AwaitedAnswer>(loop, std::move(if_late));
    return DeferredAnswer(awaited);
  }

  // REQUIRES: called inside a handler.
  static Exchange& Current() { return *current; }

  // Makes `exchange` the current one as long as it lives.
  class Scope {
   public:
    explicit Scope(Exchange* exchange) { current = exchange; }
    ~Scope() { current = nullptr; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

 private:
  static inline thread_local Exchange* current = nullptr;
};

}  // namespace bridge::http
