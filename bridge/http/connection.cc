#include "bridge/http/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"

namespace bridge::http {
namespace {

constexpr size_t kReceiveBytes = 4096;
constexpr size_t kLingerBytesMax = size_t{64} << 10;
constexpr absl::Duration kLingerTime = absl::Seconds(2);
// A client that sends its requests without waiting for answers gets so many of them before others have their turn.
constexpr int kAnswersInTurnMax = 16;

// The unspecified address where there is none any more.
base::IpAddress PeerOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return {};
  }
  return base::IpAddress::FromSocket(address).value_or(base::IpAddress());
}

}  // namespace

void Connection::Start(ConnectionContext* context, int fd) {
  context->loop->AssertOnLoop();
  auto* connection = new Connection(context, fd);  // owns itself
  if (!context->loop->Watch(fd, connection).ok()) {
    close(fd);
    delete connection;
    return;
  }
  connection->SetDeadline(context->limits.idle_timeout);
}

void Connection::CloseAll(ConnectionContext* context) {
  while (!context->connections.empty()) {
    context->connections.front().Close();
  }
}

Connection::Connection(ConnectionContext* context, int fd) : context_(context), fd_(fd) {
  context_->connections.push_back(*this);
  context_->metrics->open.Add(1);
}

Connection::~Connection() {
  context_->loop->AssertOnLoop();
  context_->loop->Cancel(*this);
  context_->metrics->open.Sub(1);
  context_->metrics->unsent_bytes.Sub(output_.size() - output_sent_);
}

void Connection::SetDeadline(absl::Duration after) {
  context_->loop->AssertOnLoop();
  context_->loop->Schedule(*this, absl::ToChronoNanoseconds(after));
}

void Connection::OnReady(uint32_t events) {
  answered_in_turn_ = 0;
  if (std::exchange(is_yielding_, false)) {
    SetDeadline(context_->limits.head_timeout);
  }
  has_unread_input_ = has_unread_input_ || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (state_ == State::kWriting && !Send()) {
    return;
  }
  if (Receive()) {
    Advance();
  }
}

bool Connection::Receive() {
  // The client may be ahead by a request, not by more: the rest stays in the socket, and TCP slows it down.
  const size_t input_max = context_->limits.head_bytes_max + kReceiveBytes;
  while (has_unread_input_ && !is_input_ended_ && (state_ == State::kLingering || input_.size() < input_max)) {
    std::array<char, kReceiveBytes> buffer;
    const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
    if (received > 0) {
      const auto size = static_cast<size_t>(received);
      if (state_ == State::kLingering) {
        lingered_bytes_ += size;
        if (lingered_bytes_ > kLingerBytesMax) {
          Close();
          return false;
        }
      } else {
        if (input_.empty() && pending_ == nullptr && state_ == State::kReading) {
          SetDeadline(context_->limits.head_timeout);
        }
        input_.append(buffer.data(), size);
      }
    } else if (received == 0) {
      is_input_ended_ = true;
    } else if (errno == EAGAIN) {
      has_unread_input_ = false;
    } else if (errno != EINTR) {
      Close();
      return false;
    }
  }
  if (is_input_ended_ && state_ == State::kLingering) {
    Close();
    return false;
  }
  return true;
}

bool Connection::Advance() {
  while (state_ == State::kReading) {
    if (answered_in_turn_ == kAnswersInTurnMax) {
      is_yielding_ = true;
      SetDeadline(absl::ZeroDuration());
      return true;
    }
    Progress progress = pending_ == nullptr ? TakeHead() : Progress::kWhole;
    if (progress == Progress::kWhole) {
      progress = TakeBody();
    }
    if (progress == Progress::kNeedsMore) {
      if (is_input_ended_) {
        Close();
        return false;
      }
      if (!has_unread_input_) {
        return true;
      }
      if (!Receive()) {
        return false;
      }
      continue;
    }
    if (progress == Progress::kWhole) {
      ++answered_in_turn_;
      if (!Answer()) {
        return false;
      }
    }
    if (!Send()) {
      return false;
    }
  }
  return true;
}

Connection::Progress Connection::TakeHead() {
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
  if (head.content_length.value_or(0) > context_->limits.body_bytes_max) {
    Refuse({.status = 413,
            .detail = absl::StrCat("the body is larger than http.max_body_bytes, ", context_->limits.body_bytes_max)});
    return Progress::kRefused;
  }
  if (head.is_chunked) {
    pending_->decoder.emplace(context_->limits.body_bytes_max);
  }
  if (head.has_body()) {
    SetDeadline(context_->limits.head_timeout);
    if (head.expects_continue && input_.empty()) {
      constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      // 25 bytes into an empty socket buffer; a client that does not get them sends its body after a while anyway.
      [[maybe_unused]] const ssize_t sent = send(fd_, kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
    }
  }
  return Progress::kWhole;
}

Connection::Progress Connection::TakeBody() {
  if (pending_->decoder) {
    absl::string_view rest = input_;
    const auto refusal = pending_->decoder->Decode(&rest, &pending_->body);
    input_.erase(0, input_.size() - rest.size());
    if (refusal) {
      Refuse(*refusal);
      return Progress::kRefused;
    }
    return pending_->decoder->is_done() ? Progress::kWhole : Progress::kNeedsMore;
  }
  const auto length = static_cast<size_t>(pending_->head.content_length.value_or(0));
  const size_t size = std::min(length - pending_->body.size(), input_.size());
  pending_->body.append(input_, 0, size);
  input_.erase(0, size);
  return pending_->body.size() == length ? Progress::kWhole : Progress::kNeedsMore;
}

bool Connection::Answer() {
  context_->loop->AssertOnLoop();
  context_->metrics->requests.Add(1);
  const std::unique_ptr<Pending> request = std::move(pending_);
  Exchange exchange{.head = &request->head, .loop_index = context_->loop_index, .peer = PeerOf(fd_), .park = nullptr};
  std::string response;
  {
    const Exchange::Scope scope(&exchange);
    response = context_->dispatcher->Answer(RebuildHead(request->head, request->body.size()), request->body);
  }
  if (exchange.park != nullptr) {
    // Pipelined bytes behind the request are dropped with the rest that a client sends on an open event stream.
    exchange.park({.fd = fd_, .loop = context_->loop, .watcher = this, .unsent = std::move(response)});
    delete this;
    return false;
  }
  Respond(std::move(response), request->head.is_keep_alive && !exchange.must_close);
  return true;
}

void Connection::Refuse(const Refusal& refusal) {
  context_->metrics->refused.Add(1);
  const bool is_head = pending_ != nullptr && pending_->head.method == "HEAD";
  const std::string body = ProblemJson({.status = refusal.status, .detail = refusal.detail});
  std::string response = absl::StrCat("HTTP/1.1 ", refusal.status, " ", ReasonPhrase(refusal.status),
                                      "\r\nContent-Type: ", kProblemContentType, "\r\nContent-Length: ", body.size(),
                                      "\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n");
  if (context_->cors != nullptr) {
    const absl::string_view origin = pending_ == nullptr ? absl::string_view() : pending_->head.Find("Origin");
    for (const auto& [name, value] : context_->cors->HeadersFor(origin)) {
      absl::StrAppend(&response, name, ": ", value, "\r\n");
    }
  }
  absl::StrAppend(&response, "\r\n", is_head ? "" : body);
  pending_ = nullptr;
  Respond(std::move(response), /*is_keep_alive=*/false);
}

void Connection::Respond(std::string response, bool is_keep_alive) {
  output_ = std::move(response);
  output_sent_ = 0;
  is_keep_alive_ = is_keep_alive;
  context_->metrics->unsent_bytes.Add(output_.size());
  state_ = State::kWriting;
  SetDeadline(context_->limits.send_timeout);
}

bool Connection::Send() {
  while (output_sent_ < output_.size()) {
    const ssize_t sent = send(fd_, output_.data() + output_sent_, output_.size() - output_sent_, MSG_NOSIGNAL);
    if (sent > 0) {
      output_sent_ += static_cast<size_t>(sent);
      context_->metrics->unsent_bytes.Sub(static_cast<size_t>(sent));
      SetDeadline(context_->limits.send_timeout);
    } else if (errno == EAGAIN) {
      if (context_->metrics->unsent_bytes.value() > context_->limits.unsent_bytes_max) {
        Close();
        return false;
      }
      return true;
    } else if (errno != EINTR) {
      Close();
      return false;
    }
  }
  output_ = std::string();
  output_sent_ = 0;
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
  input_ = std::string();
  shutdown(fd_, SHUT_WR);
  SetDeadline(kLingerTime);
}

void Connection::Close() {
  context_->loop->AssertOnLoop();
  context_->loop->Unwatch(fd_, this);
  close(fd_);
  delete this;
}

void Connection::OnTimer() {
  if (std::exchange(is_yielding_, false)) {
    answered_in_turn_ = 0;
    SetDeadline(context_->limits.head_timeout);
    Advance();
    return;
  }
  const bool is_request_begun = state_ == State::kReading && (!input_.empty() || pending_ != nullptr);
  if (!is_request_begun) {
    Close();
    return;
  }
  context_->metrics->timed_out.Add(1);
  Refuse({.status = 408, .detail = "the request took longer than http.head_timeout to arrive"});
  Send();
}

}  // namespace bridge::http
