#include "bridge/http/console_handlers.h"

#include <string>

#include "bridge/web/web.h"

namespace bridge::http {

void AddConsoleRoutes(Dispatcher* dispatcher) {
  for (const web::Asset& asset : web::Assets()) {
    dispatcher->Route(
        "GET", std::string(asset.path), [&asset](const httplib::Request& request, httplib::Response& response) {
          response.set_header("ETag", std::string(asset.etag));
          response.set_header("Cache-Control", "no-cache");
          response.set_header("Content-Security-Policy",
                              "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
          response.set_header("Referrer-Policy", "no-referrer");
          response.set_header("X-Frame-Options", "DENY");
          if (request.get_header_value("If-None-Match") == asset.etag) {
            response.status = 304;
            return;
          }
          response.set_content(asset.body.data(), asset.body.size(), std::string(asset.content_type));
        });
  }
}

}  // namespace bridge::http
