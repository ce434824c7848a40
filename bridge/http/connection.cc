#include "bridge/http/connection.h"

#include <algorithm>
#include <array>
#include <sys/uio.h>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"
#include "bridge/http/rebuilt_head.h"

namespace bridge::http {
namespace {

constexpr size_t kReceiveBytes = 4096;
constexpr size_t kLingerBytesMax = size_t{64} << 10;
constexpr absl::Duration kLingerTime = absl::Seconds(2);
// What a connection may hold of a request whatever the others hold: most heads come in one piece.
constexpr size_t kRequestBytesFree = 4096;
constexpr char kTlsHandshakeRecord = 22;  // RFC 8446 §5.1

// Assigning an empty string would keep the buffer.
void Free(std::string* text) { std::string().swap(*text); }

}  // namespace

Connection* Connection::Create(ConnectionContext* context, Transport transport) {
  context->loop->AssertOnLoop();
  auto* connection = new Connection(context, std::move(transport));  // owns itself
  if (!context->loop->Watch(connection->transport_.fd(), connection).ok()) {
    delete connection;
    return nullptr;
  }
  return connection;
}

void Connection::Start(ConnectionContext* context, Transport transport) {
  if (Connection* connection = Create(context, std::move(transport))) {
    connection->SetDeadline(context->limits.idle_timeout);
  }
}

void Connection::StartRefused(ConnectionContext* context, Transport transport, const Refusal& refusal) {
  if (Connection* connection = Create(context, std::move(transport))) {
    connection->Refuse(refusal);
    connection->Send();
  }
}

void Connection::StartLingering(ConnectionContext* context, Transport transport) {
  if (Connection* connection = Create(context, std::move(transport))) {
    connection->Linger();
  }
}

Connection::Connection(ConnectionContext* context, Transport transport)
    : context_(context), transport_(std::move(transport)) {
  context_->metrics->open.Add(1);
}

Connection::~Connection() {
  context_->loop->AssertOnLoop();
  context_->loop->Cancel(*this);
  context_->metrics->open.Sub(1);
  context_->metrics->unsent_bytes.Sub(output_.size() - output_sent_);
  context_->metrics->request_bytes.Sub(counted_request_bytes_);
}

void Connection::Yield() {
  if (!turn_hook_.is_linked()) {
    context_->turns.Add(*this);
  }
}

void Connection::OnReady(uint32_t events) {
  has_unread_input_ = has_unread_input_ || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (!turn_hook_.is_linked()) {
    TakeTurn();
  }
}

void Connection::TakeTurn() {
  has_had_turn_ = false;
  if ((state_ != State::kWriting || Send()) && Receive() && Resume() && Advance()) {
    CountRequestBytes();
  }
}

void Connection::CountRequestBytes() {
  if (input_.empty()) {
    Free(&input_);  // an idle connection keeps no buffer
  }
  const size_t bytes =
      input_.capacity() + (pending_ == nullptr ? 0 : pending_->head_text.capacity() + pending_->body.capacity());
  context_->metrics->request_bytes.Add(bytes);
  context_->metrics->request_bytes.Sub(std::exchange(counted_request_bytes_, bytes));
  if (state_ != State::kReading || bytes <= kRequestBytesFree) {
    holder_hook_.unlink();
  } else if (!holder_hook_.is_linked()) {
    context_->holders.push_back(*this);
  }
  const auto is_too_much = [this] {
    return context_->metrics->request_bytes.value() > context_->limits.request_bytes_max;
  };
  if (bytes <= kRequestBytesFree || !is_too_much()) {
    return;
  }
  if (state_ != State::kReading && state_ != State::kAwaiting) {
    Close();  // it reads no answers, and sends requests
    return;
  }
  while (is_too_much() && !context_->holders.empty()) {
    Connection& longest = context_->holders.front();
    const bool is_own = &longest == this;
    longest.GiveRequestUp();
    if (is_own) {
      return;
    }
  }
  if (is_too_much()) {
    AnswerLate();
  }
}

bool Connection::Receive() {
  context_->loop->AssertOnLoop();
  // The client may be ahead by a request, not by more: the rest stays in the socket, and TCP slows it down.
  const size_t input_max = context_->limits.head_bytes_max + kReceiveBytes;
  bool has_read = false;
  while (has_unread_input_ && !is_input_ended_ && (state_ == State::kLingering || input_.size() < input_max)) {
    if (std::exchange(has_read, true) && context_->loop->IsTurnLong()) {
      Yield();  // TLS gives what one record holds, which may be a byte
      break;
    }
    std::array<char, kReceiveBytes> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is read into
    const ssize_t received = transport_.Read(buffer.data(), buffer.size());
    if (received > 0) {
      const auto size = static_cast<size_t>(received);
      if (state_ == State::kLingering) {
        lingered_bytes_ += size;
        if (lingered_bytes_ > kLingerBytesMax) {
          Close();
          return false;
        }
      } else {
        const bool is_begin = IsIdle();
        input_.append(buffer.data(), size);
        if (is_begin) {
          SetDeadline(context_->limits.head_timeout);
        }
      }
    } else if (received == 0) {
      is_input_ended_ = true;
    } else if (received == kWouldBlock) {
      has_unread_input_ = false;
    } else {
      Close();
      return false;
    }
  }
  if (is_input_ended_ && (state_ == State::kLingering || state_ == State::kAwaiting)) {
    Close();
    return false;
  }
  return true;
}

bool Connection::Advance() {
  context_->loop->AssertOnLoop();
  while (state_ == State::kReading) {
    if (has_had_turn_ && context_->loop->IsTurnLong()) {
      Yield();
      return true;
    }
    Progress progress = pending_ == nullptr ? TakeHead() : Progress::kWhole;
    if (progress == Progress::kWhole) {
      progress = TakeBody();
    }
    if (progress == Progress::kNeedsMore) {
      if (is_input_ended_) {
        transport_.SayGoodbye();
        Close();
        return false;
      }
      if (!has_unread_input_ || turn_hook_.is_linked()) {
        return true;
      }
      if (!Receive()) {
        return false;
      }
      continue;
    }
    if (progress == Progress::kWhole) {
      has_had_turn_ = true;
      if (!Answer()) {
        return false;
      }
    }
    if (state_ != State::kAwaiting && !Send()) {
      return false;
    }
  }
  return true;
}

Connection::Progress Connection::TakeHead() {
  if (!input_.empty() && input_[0] == kTlsHandshakeRecord) {
    Refuse({.status = 400, .detail = "this port speaks HTTP without TLS: ask it by http://"});
    return Progress::kRefused;
  }
  if (absl::StartsWith(input_, "\r\n")) {
    input_.erase(0, 2);  // RFC 9112 §2.2: an empty line in front of a request is ignored
  }
  const size_t end = input_.find("\r\n\r\n");
  const size_t size = end == std::string::npos ? input_.size() : end + 4;
  if (size > context_->limits.head_bytes_max) {
    Refuse({.status = 431,
            .detail = absl::StrCat("the request's head is larger than http.max_head_bytes, ",
                                   context_->limits.head_bytes_max)});
    return Progress::kRefused;
  }
  if (end == std::string::npos) {
    // A line that ends with LF alone would otherwise be noticed only when the time is over.
    for (size_t feed = input_.find('\n'); feed != std::string::npos; feed = input_.find('\n', feed + 1)) {
      if (feed == 0 || input_[feed - 1] != '\r') {
        Refuse({.status = 400, .detail = "a line of the request's head does not end with CR LF"});
        return Progress::kRefused;
      }
    }
    return Progress::kNeedsMore;
  }
  pending_ = std::make_unique<Pending>();
  pending_->head_text = input_.substr(0, size);
  input_.erase(0, size);
  if (const auto refusal = ParseRequestHead(pending_->head_text, &pending_->head)) {
    Refuse(*refusal);
    return Progress::kRefused;
  }
  const RequestHead& head = pending_->head;
  const Dispatcher::BodyLimit limit = context_->dispatcher->BodyLimitOf(head).value_or(
      Dispatcher::BodyLimit{.bytes_max = context_->limits.body_bytes_max, .key = "http.max_body_bytes"});
  if (head.content_length.value_or(0) > limit.bytes_max) {
    Refuse({.status = 413, .detail = absl::StrCat("the body is larger than ", limit.key, ", ", limit.bytes_max)});
    return Progress::kRefused;
  }
  if (head.is_chunked) {
    pending_->decoder.emplace(limit.bytes_max, limit.key);
  }
  if (head.has_body()) {
    SetDeadline(context_->limits.head_timeout);
    if (head.expects_continue && input_.empty()) {
      Enqueue("HTTP/1.1 100 Continue\r\n\r\n");
      // What is not sent goes with the answer: a client that does not get it sends its body after a while anyway. And
      // whether the connection is broken is seen when its body is read.
      static_cast<void>(Push());
    }
  }
  return Progress::kWhole;
}

Connection::Progress Connection::TakeBody() {
  if (auto& decoder = pending_->decoder) {
    absl::string_view rest = input_;
    const auto refusal = decoder->Decode(&rest, &pending_->body);
    input_.erase(0, input_.size() - rest.size());
    if (refusal) {
      Refuse(*refusal);
      return Progress::kRefused;
    }
    return decoder->is_done() ? Progress::kWhole : Progress::kNeedsMore;
  }
  const auto length = static_cast<size_t>(pending_->head.content_length.value_or(0));
  const size_t size = std::min(length - pending_->body.size(), input_.size());
  pending_->body.append(input_, 0, size);
  input_.erase(0, size);
  return pending_->body.size() == length ? Progress::kWhole : Progress::kNeedsMore;
}

bool Connection::Answer() {
  context_->loop->AssertOnLoop();
  std::unique_ptr<Pending> request = std::move(pending_);
  context_->metrics->requests.Add(request->resumed == nullptr ? 1 : 0);
  Exchange exchange{.head = &request->head,
                    .body = &request->body,
                    .loop = context_->loop,
                    .loop_index = context_->loop_index,
                    .peer = base::IpAddress::OfPeer(transport_.fd()),
                    .resumed = std::exchange(request->resumed, nullptr)};
  std::string response;
  {
    const Exchange::Scope scope(&exchange);
    response = context_->dispatcher->Answer(RebuildHead(request->head));
  }
  if (exchange.awaited != nullptr) {
    Await(std::move(request), std::move(exchange.awaited));
    return true;
  }
  if (exchange.park != nullptr) {
    // Pipelined bytes behind the request are dropped with the rest that a client sends on an open event stream.
    Enqueue(std::move(response));
    exchange.park({.transport = std::move(transport_),
                   .loop = context_->loop,
                   .watcher = this,
                   .unsent = output_.substr(output_sent_)});
    delete this;
    return false;
  }
  Respond(std::move(response), request->head.is_keep_alive && !exchange.must_close);
  return true;
}

void Connection::Refuse(const Refusal& refusal) {
  context_->metrics->refused.Add(1);
  const bool is_head = pending_ != nullptr && pending_->head.method == "HEAD";
  const std::string origin = pending_ == nullptr ? "" : std::string(pending_->head.Find("Origin"));
  pending_ = nullptr;
  std::vector<std::pair<std::string, std::string>> headers;
  if (context_->cors != nullptr) {
    headers = context_->cors->HeadersFor(origin);
  }
  Respond(FormatProblem({.status = refusal.status, .detail = refusal.detail}, headers, is_head),
          /*is_keep_alive=*/false);
}

void Connection::Respond(std::string response, bool is_keep_alive) {
  Enqueue(std::move(response));
  is_keep_alive_ = is_keep_alive;
  state_ = State::kWriting;
  SetDeadline(context_->limits.send_timeout);
}

void Connection::Enqueue(std::string bytes) {
  context_->metrics->unsent_bytes.Add(bytes.size());
  output_ = output_.empty() ? std::move(bytes) : absl::StrCat(output_, bytes);
}

bool Connection::Push() {
  while (output_sent_ < output_.size()) {
    const iovec rest = {.iov_base = output_.data() + output_sent_, .iov_len = output_.size() - output_sent_};
    const ssize_t sent = transport_.Write(absl::MakeConstSpan(&rest, 1));
    if (sent <= 0) {
      return sent == 0;
    }
    output_sent_ += static_cast<size_t>(sent);
    context_->metrics->unsent_bytes.Sub(static_cast<size_t>(sent));
  }
  Free(&output_);
  output_sent_ = 0;
  return true;
}

bool Connection::Send() {
  const size_t sent_before = output_sent_;
  if (!Push()) {
    Close();
    return false;
  }
  if (!output_.empty()) {
    if (context_->metrics->unsent_bytes.value() > context_->limits.unsent_bytes_max) {
      Close();
      return false;
    }
    if (output_sent_ > sent_before) {
      SetDeadline(context_->limits.send_timeout);
    }
    return true;
  }
  if (!is_keep_alive_) {
    Linger();
    return Receive();
  }
  state_ = State::kReading;
  SetDeadline(input_.empty() ? context_->limits.idle_timeout : context_->limits.head_timeout);
  return true;
}

void Connection::Linger() {
  state_ = State::kLingering;
  Free(&input_);
  context_->metrics->request_bytes.Sub(std::exchange(counted_request_bytes_, 0));
  transport_.EndWriting();
  SetDeadline(kLingerTime);
}

void Connection::Close() {
  context_->loop->AssertOnLoop();
  context_->loop->Unwatch(transport_.fd(), this);
  delete this;
}

}  // namespace bridge::http
