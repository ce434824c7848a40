#include "bridge/http/admin_handlers.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace bridge::http {

void AddAdminRoutes(AdminSources sources, Dispatcher* dispatcher) {
  dispatcher->Route("GET", "/livez", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  dispatcher->Route("GET", "/readyz",
                    [readiness = std::move(sources.readiness)](const httplib::Request&, httplib::Response& response) {
                      const AdminSources::Readiness now = readiness();
                      response.status = now.is_ready ? 200 : 503;
                      response.set_content(absl::StrCat(now.text, "\n"), "text/plain");
                    });
  dispatcher->Route("GET", "/metrics",
                    [metrics = std::move(sources.metrics)](const httplib::Request&, httplib::Response& response) {
                      response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
                    });
}

}  // namespace bridge::http
