#include "bridge/http/dispatcher.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

#include "bridge/http/problem.h"
#include "bridge/http/request_head.h"

namespace bridge::http {
namespace {

// What is over the library's own limits it answers without saying why, and a line over 32 KiB 0.18 does not answer. A
// request line grows threefold at most where its query is escaped.
static_assert(kLineBytesMax <= CPPHTTPLIB_HEADER_MAX_LENGTH);
static_assert(kLineBytesMax <= CPPHTTPLIB_REQUEST_URI_MAX_LENGTH);
#ifdef CPPHTTPLIB_HEADER_MAX_COUNT  // not in 0.11
static_assert(kHeadersMax <= CPPHTTPLIB_HEADER_MAX_COUNT && 3 * kLineBytesMax < CPPHTTPLIB_MAX_LINE_LENGTH);
#endif

// A request's head and the response in memory, as the library's stream. It never waits.
class MemoryStream final : public httplib::Stream {
 public:
  explicit MemoryStream(const std::string& head) : head_(head) {}

  std::string TakeOutput() { return std::move(output_); }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, size_t size) override {
    const size_t count = std::min(size, head_.size() - position_);
    std::copy_n(head_.data() + position_, count, out);
    position_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* data, size_t size) override {
    output_.append(data, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return 0; }

 private:
  const std::string& head_;
  size_t position_ = 0;
  std::string output_;
};

}  // namespace

// The seam: the library's server without its listener.
class Dispatcher::Library final : public httplib::Server {
 public:
  Library() {
    // With no listening socket the library takes itself to be shutting down and skips content providers.
    svr_sock_ = 0;
  }
  ~Library() override { svr_sock_ = INVALID_SOCKET; }

  void Process(httplib::Stream& stream, bool close_connection) {
    bool connection_closed = false;
    ProcessOfThisVersion(stream, close_connection, connection_closed, &Library::process_request);
  }

 private:
  using SetUp = std::function<void(httplib::Request&)>;

  // 0.11 asks the stream for the addresses, 0.18 is told them.
  template <typename S>
  void ProcessOfThisVersion(httplib::Stream& stream, bool close, bool& closed,
                            bool (S::*process)(httplib::Stream&, bool, bool&, const SetUp&)) {
    (this->*process)(stream, close, closed, nullptr);
  }
  template <typename S>
  void ProcessOfThisVersion(httplib::Stream& stream, bool close, bool& closed,
                            bool (S::*process)(httplib::Stream&, const std::string&, int, const std::string&, int, bool,
                                               bool&, const SetUp&)) {
    (this->*process)(stream, std::string(), 0, std::string(), 0, close, closed, nullptr);
  }
};

Dispatcher::Dispatcher(std::chrono::seconds keep_alive) : library_(std::make_unique<Library>()) {
  library_->set_keep_alive_timeout(keep_alive.count());
  library_->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    Handle(request, response);
    return httplib::Server::HandlerResponse::Handled;
  });
  // A handler's exception is a bug of ours or out of memory: its text is nobody's business.
  library_->set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
    SetProblem({.status = 500, .detail = "the bridge failed to answer; its log may say why"}, &response);
  });
  const httplib::Server::HandlerWithResponse on_error = [](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty() || response.has_header("Content-Type")) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    SetProblem({.status = response.status, .detail = "the request could not be understood"}, &response);
    return httplib::Server::HandlerResponse::Handled;
  };
  library_->set_error_handler(on_error);
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Route(absl::string_view method, const std::string& path, Handler handler) {
  routes_[path].emplace(method, std::move(handler));
}

void Dispatcher::RouteBelow(absl::string_view method, absl::string_view prefix, Handler handler) {
  auto below = std::find_if(below_.begin(), below_.end(), [&](const Below& each) { return each.prefix == prefix; });
  if (below == below_.end()) {
    below = below_.insert(below_.end(), {.prefix = std::string(prefix), .methods = {}, .body_limit = std::nullopt});
  }
  below->methods.emplace(method, std::move(handler));
}

void Dispatcher::LimitBodiesBelow(absl::string_view prefix, BodyLimit limit) {
  for (Below& below : below_) {
    if (below.prefix == prefix) {
      below.body_limit = limit;
    }
  }
}

const Dispatcher::Below* Dispatcher::FindBelow(const RequestHead& head, absl::string_view* segment) const {
  // As the client has written it: what needs an escape is no segment.
  const absl::string_view path = head.target.substr(0, head.target.find('?'));
  for (const Below& below : below_) {
    if (!absl::StartsWith(path, below.prefix)) {
      continue;
    }
    *segment = path.substr(below.prefix.size());
    const bool is_segment = !segment->empty() && std::all_of(segment->begin(), segment->end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
    });
    return is_segment ? &below : nullptr;
  }
  return nullptr;
}

std::optional<Dispatcher::BodyLimit> Dispatcher::BodyLimitOf(const RequestHead& head) const {
  absl::string_view segment;
  const Below* const below = head.method == "POST" ? FindBelow(head, &segment) : nullptr;
  return below == nullptr ? std::nullopt : below->body_limit;
}

void Dispatcher::SetFinisher(Handler finisher) { library_->set_post_routing_handler(std::move(finisher)); }

void Dispatcher::Handle(const httplib::Request& request, httplib::Response& response) const {
  if (guard_ && !guard_(request, response)) {
    return;
  }
  Exchange& exchange = Exchange::Current();
  const Below* const below = FindBelow(*exchange.head, &exchange.segment);
  if (exchange.resumed != nullptr) {
    exchange.resumed(request, response);
    return;
  }
  const auto route = routes_.find(request.path);
  if (below == nullptr && route == routes_.end()) {
    SetProblem({.status = 404, .detail = "nothing is served at this path"}, &response);
    return;
  }
  const Methods& methods = below != nullptr ? below->methods : route->second;
  const auto handler =
      methods.find(request.method == "HEAD" ? absl::string_view("GET") : absl::string_view(request.method));
  if (handler == methods.end()) {
    AnswerWithMethods(methods, request, &response);
    return;
  }
  handler->second(request, response);
}

void Dispatcher::AnswerWithMethods(const Methods& methods, const httplib::Request& request,
                                   httplib::Response* response) {
  std::vector<std::string> allowed;
  for (const auto& [name, unused] : methods) {
    allowed.push_back(name);
    if (name == "GET") {
      allowed.emplace_back("HEAD");
    }
  }
  if (!methods.contains("OPTIONS")) {
    allowed.emplace_back("OPTIONS");
  }
  const std::string allow = absl::StrJoin(allowed, ", ");
  if (request.method == "OPTIONS") {
    response->status = 204;
  } else {
    SetProblem({.status = 405,
                .detail = absl::StrCat("the method ", request.method, " is not served here; use one of ", allow)},
               response);
  }
  response->set_header("Allow", allow);
}

std::string Dispatcher::Answer(const std::string& head) {
  MemoryStream stream(head);
  library_->Process(stream, !Exchange::Current().head->is_keep_alive);
  return stream.TakeOutput();
}

}  // namespace bridge::http
