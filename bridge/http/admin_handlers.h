#pragma once

#include <functional>
#include <string>

#include "bridge/http/dispatcher.h"

namespace bridge::http {

// What the admin port shows. The functions are called on its event loop and must not block.
struct AdminSources {
  // Prometheus's text format.
  std::function<std::string()> metrics;
  struct Readiness {
    bool is_ready = false;
    // For people: "ok", or what is wrong; a bridge may be ready and have something wrong with it.
    std::string text;
  };
  // Whether the bridge is ready for traffic.
  std::function<Readiness()> readiness;
};

// Serves /livez, /readyz and /metrics: read-only, without authentication.
void AddAdminRoutes(AdminSources sources, Dispatcher* dispatcher);

}  // namespace bridge::http
