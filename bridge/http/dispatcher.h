#pragma once

#include <chrono>
#include <functional>
#include <httplib.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "bridge/http/exchange.h"
#include "bridge/http/request_head.h"

namespace bridge::http {

// Has requests answered by cpp-httplib, without its sockets and threads: a whole head goes in as text, the response
// comes out as text. The library does not see the body. One for all loops.
//
// Thread-safe once all routes have been added. What differs between the library's versions stands in dispatcher.cc.
class Dispatcher {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  // `keep_alive` is told to clients as the time that a connection may wait for its next request.
  explicit Dispatcher(std::chrono::seconds keep_alive);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Paths are literal. A GET route answers HEAD too; an OPTIONS route that is not given is answered with the Allow
  // header.
  void Route(absl::string_view method, const std::string& path, Handler handler);

  // The same for every path that is `prefix` and one segment of letters, digits, "_", "." and "-", which the handler
  // finds as Exchange::segment.
  void RouteBelow(absl::string_view method, absl::string_view prefix, Handler handler);

  // How large a body may be, and how who configures that calls it.
  struct BodyLimit {
    size_t bytes_max;
    absl::string_view key;
  };
  // For POSTs below `prefix`; `key` is a literal. REQUIRES: a route below it.
  void LimitBodiesBelow(absl::string_view prefix, BodyLimit limit);
  // Where the request has a limit of its own.
  std::optional<BodyLimit> BodyLimitOf(const RequestHead& head) const;

  // Runs before every route; where it returns false, its response is the answer.
  using Guard = std::function<bool(const httplib::Request&, httplib::Response&)>;
  void SetGuard(Guard guard) { guard_ = std::move(guard); }

  // Runs on every response, before its head is written.
  void SetFinisher(Handler finisher);

  // Answers one request, given as RebuildHead's text. REQUIRES: an Exchange::Scope, which has the body.
  // Returns the response's bytes; where the exchange has been parked, what comes before the rest; nothing of use where
  // the answer has been deferred.
  std::string Answer(const std::string& head);

 private:
  class Library;

  using Methods = std::map<std::string, Handler, std::less<>>;
  struct Below {
    std::string prefix;
    Methods methods;
    std::optional<BodyLimit> body_limit;
  };

  void Handle(const httplib::Request& request, httplib::Response& response) const;
  // Answers a request whose method has no handler.
  static void AnswerWithMethods(const Methods& methods, const httplib::Request& request, httplib::Response* response);
  // The path and what of it is the segment.
  const Below* FindBelow(const RequestHead& head, absl::string_view* segment) const;

  std::map<std::string, Methods, std::less<>> routes_;
  std::vector<Below> below_;
  Guard guard_;
  const std::unique_ptr<Library> library_;
};

}  // namespace bridge::http
