#pragma once

#include <httplib.h>
#include <string>
#include <variant>

#include "bridge/http/problem.h"
#include "bridge/hub/audience.h"
#include "bridge/hub/hub.h"

namespace bridge::http {

// What a client asks of GET or POST /events.
struct SubscribeRequest {
  hub::Selection selection;
  hub::Start start;
  bool wants_heartbeat_events = false;
};

struct SubscribeLimits {
  size_t topics_max = 100;
};

// Reads the query of a GET, or the JSON body of a POST; the Last-Event-ID header wins over both.
std::variant<SubscribeRequest, Problem> ParseSubscribeRequest(const httplib::Request& request,
                                                              const SubscribeLimits& limits);

}  // namespace bridge::http
