#include "bridge/http/admin_handlers.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace bridge::http {

void AddAdminRoutes(AdminSources sources, Dispatcher* dispatcher) {
  dispatcher->Route("GET", "/livez", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  dispatcher->Route(
      "GET", "/readyz",
      [not_ready_reason = std::move(sources.not_ready_reason)](const httplib::Request&, httplib::Response& response) {
        const std::string reason = not_ready_reason();
        response.status = reason.empty() ? 200 : 503;
        response.set_content(reason.empty() ? std::string("ok\n") : absl::StrCat(reason, "\n"), "text/plain");
      });
  dispatcher->Route("GET", "/metrics",
                    [metrics = std::move(sources.metrics)](const httplib::Request&, httplib::Response& response) {
                      response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
                    });
}

}  // namespace bridge::http
