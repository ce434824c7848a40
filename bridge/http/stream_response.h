#pragma once

#include <httplib.h>
#include <optional>

#include "bridge/base/metric.h"
#include "bridge/calls/calls.h"
#include "bridge/http/stream_limits.h"
#include "bridge/hub/audience.h"
#include "bridge/hub/hub.h"

namespace bridge::http {

// An event stream that is about to be opened.
struct StreamPlan {
  hub::Hub* hub;
  // In any framing.
  hub::Selection selection;
  hub::Start start;
  hub::StreamTerms terms;
  // Kept as long as the stream lives, as is the reader of an answer. None only where the request is a HEAD.
  std::optional<StreamLimits::Place> place;
  std::optional<calls::Calls::Reader> reader = std::nullopt;
  // Counts it when it opens.
  base::SharedMetric* opened;
};

// Answers with the event stream, whose connection goes to the hub; a HEAD with its head. REQUIRES: called inside a
// handler, on the loop of the hub.
void AnswerWithStream(StreamPlan plan, const httplib::Request& request, httplib::Response* response);

}  // namespace bridge::http
