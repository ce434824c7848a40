#pragma once

#include <chrono>
#include <functional>
#include <httplib.h>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/http/exchange.h"

namespace bridge::http {

// Routes requests by cpp-httplib, without its sockets and threads: a whole request goes in as text, the response comes
// out as text. One for all loops.
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

  // Runs before every route; where it returns false, its response is the answer.
  using Guard = std::function<bool(const httplib::Request&, httplib::Response&)>;
  void SetGuard(Guard guard) { guard_ = std::move(guard); }

  // Runs on every response, before its head is written.
  void SetFinisher(Handler finisher);

  // Answers one request, given as RebuildHead's text and the body. REQUIRES: an Exchange::Scope.
  // Returns the response's bytes; where the exchange has been parked, what comes before the rest.
  std::string Answer(const std::string& head, const std::string& body);

 private:
  class Library;

  bool HandleBeforeRouting(const httplib::Request& request, httplib::Response& response) const;

  using Methods = std::map<std::string, Handler, std::less<>>;
  std::map<std::string, Methods, std::less<>> routes_;
  Guard guard_;
  const std::unique_ptr<Library> library_;
};

}  // namespace bridge::http
