#pragma once

#include "tests/bench/publish_plan.h"

namespace bridge::bench {

// Publishes with PublishOnce, one request after the other, as `options` say. Ends the program where a call fails.
PublishResult PublishOnceByGrpc(const PublishOptions& options);

}  // namespace bridge::bench
