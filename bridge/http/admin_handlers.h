#pragma once

#include <functional>
#include <string>

#include "bridge/http/dispatcher.h"

namespace bridge::http {

// What the admin port shows. The functions are called on its event loop and must not block.
struct AdminSources {
  // Prometheus's text format.
  std::function<std::string()> metrics;
  // Empty where the bridge is ready for traffic, else why it is not.
  std::function<std::string()> not_ready_reason;
};

// Serves /livez, /readyz and /metrics: read-only, without authentication.
void AddAdminRoutes(AdminSources sources, Dispatcher* dispatcher);

}  // namespace bridge::http
