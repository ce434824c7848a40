#pragma once

#include <httplib.h>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::http {

// Which pages of other origins may read the bridge's answers (WHATWG Fetch, CORS protocol). With no origins: only the
// same origin, for which no header is needed.
//
// Immutable.
class Cors {
 public:
  struct Options {
    // As browsers send them; "*" is any.
    std::vector<std::string> allowed_origins;
    // REQUIRES: not with "*".
    bool allow_credentials = false;
  };

  explicit Cors(Options options) : options_(std::move(options)) {}

  bool IsAllowed(absl::string_view origin) const;
  // The origin is listed by its name, so that its pages may act for their users; "*" names none.
  bool Names(absl::string_view origin) const;

  // Whether the page that sent the request may have the bridge act: its origin is allowed, or the bridge's own, or it
  // is no page of a browser.
  bool MayAct(const httplib::Request& request) const;

  // What the browser has to see on any answer, errors too. `origin` is the request's, empty where there is none.
  std::vector<std::pair<std::string, std::string>> HeadersFor(absl::string_view origin) const;
  void AddHeaders(const httplib::Request& request, httplib::Response* response) const;

  // Answers a preflight for a route with these methods, and these headers beside those that every route takes.
  void AnswerPreflight(const httplib::Request& request, absl::string_view methods, httplib::Response* response,
                       const std::vector<std::string>& headers = {}) const;

 private:
  bool AllowsAny() const;

  const Options options_;
};

}  // namespace bridge::http
