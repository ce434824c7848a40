#pragma once

#include <httplib.h>
#include <string>
#include <variant>
#include <vector>

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

struct SubscribeRules {
  size_t topics_max = 100;
  // Parameters of the query that say who asks, and are read by others.
  std::vector<std::string> other_parameters = {};
};

// Reads the query of a GET, or the JSON body of a POST; the Last-Event-ID header wins over both.
std::variant<SubscribeRequest, Problem> ParseSubscribeRequest(const httplib::Request& request, const std::string& body,
                                                              const SubscribeRules& rules);

}  // namespace bridge::http
