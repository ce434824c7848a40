#include "bridge/http/tls_session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

#include "absl/strings/string_view.h"

namespace bridge::http {
namespace {

// A client's part of a handshake has half a kilobyte, and with a chain of certificates several.
constexpr uint32_t kHandshakeBytesMax = uint32_t{32} << 10;
// Clients say something about their TLS once in millions of records. Each costs more than the record of a request.
constexpr uint8_t kControlMessagesMax = 32;
// A record, and what else may be said while it waits.
constexpr size_t kUnsentBytesMax = 2 * kTlsRecordBytes + 4096;

ssize_t SendTo(int fd, absl::string_view bytes) {
  while (true) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      return sent;
    }
    if (errno != EINTR) {
      return errno == EAGAIN ? 0 : kBroken;
    }
  }
}

// OpenSSL keeps the key that the client made for the key exchange, to be asked about it: with the hybrid one, 6 KiB a
// session. A key that is given a type has nothing in it.
void DropClientsKey(SSL* ssl) {
  EVP_PKEY* kept = nullptr;
  // NOLINTNEXTLINE(bugprone-multi-level-implicit-pointer-conversion): OpenSSL's macro
  if (SSL_get_peer_tmp_key(ssl, &kept) == 1) {
    const auth::EvpPkeyPtr key(kept);
    EVP_PKEY_set_type(key.get(), EVP_PKEY_X25519);
  }
  ERR_clear_error();
}

// Takes the pieces apart into records.
class Pieces {
 public:
  explicit Pieces(absl::Span<const iovec> pieces) : pieces_(pieces) { SkipEmpty(); }

  bool empty() const { return pieces_.empty(); }

  void Skip(size_t bytes) {
    begin_ += bytes;
    SkipEmpty();
  }

  // What the next record holds; copied to `buffer` where it is of several pieces.
  absl::string_view TakeRecord(std::array<char, kTlsRecordBytes>* buffer) {
    if (pieces_.size() == 1 || Rest().size() >= kTlsRecordBytes) {
      const absl::string_view record = Rest().substr(0, kTlsRecordBytes);
      Skip(record.size());
      return record;
    }
    size_t size = 0;
    while (!empty() && size < buffer->size()) {
      const absl::string_view part = Rest().substr(0, buffer->size() - size);
      if (size > 0 && part.size() == 1 && Rest().size() > 1) {
        break;  // the byte that a record owes would be all that has gone of this piece
      }
      std::memcpy(buffer->data() + size, part.data(), part.size());
      size += part.size();
      Skip(part.size());
    }
    return {buffer->data(), size};
  }

 private:
  absl::string_view Rest() const {
    return absl::string_view(static_cast<const char*>(pieces_[0].iov_base), pieces_[0].iov_len).substr(begin_);
  }

  void SkipEmpty() {
    while (!pieces_.empty() && begin_ == pieces_[0].iov_len) {
      pieces_.remove_prefix(1);
      begin_ = 0;
    }
  }

  absl::Span<const iovec> pieces_;
  size_t begin_ = 0;
};

}  // namespace

// Where OpenSSL's bytes come from and go to.
struct TlsSession::Bio {
  static int Write(BIO* bio, const char* data, int size) {
    auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    absl::string_view bytes(data, static_cast<size_t>(size));
    if (session.is_broken_) {
      return -1;
    }
    if (session.unsent_.empty()) {
      const ssize_t sent = SendTo(session.fd_, bytes);
      if (sent < 0) {
        session.is_broken_ = true;
        return -1;
      }
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    if (session.unsent_.size() + bytes.size() > kUnsentBytesMax && session.is_established_) {
      session.is_broken_ = true;  // it makes TLS answer, and does not read the answers
      return -1;
    }
    session.unsent_.append(bytes.data(), bytes.size());
    return size;
  }

  static int Read(BIO* bio, char* buffer, int size) {
    auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    session.is_drained_ = false;
    const bool is_too_much = session.is_established_ ? session.control_messages_ > kControlMessagesMax
                                                     : session.received_bytes_ > kHandshakeBytesMax;
    if (is_too_much) {
      session.is_broken_ = true;
      return -1;
    }
    while (true) {
      const ssize_t received = recv(session.fd_, buffer, static_cast<size_t>(size), MSG_DONTWAIT);
      if (received > 0) {
        session.received_bytes_ += session.is_established_ ? 0 : static_cast<uint32_t>(received);
        return static_cast<int>(received);
      }
      if (received == 0) {
        session.is_ended_ = true;
        return 0;
      }
      if (errno == EAGAIN) {
        session.is_drained_ = true;
        BIO_set_retry_read(bio);
        return -1;
      }
      if (errno != EINTR) {
        session.is_broken_ = true;
        return -1;
      }
    }
  }

  static long Control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of an event loop");
      BIO_meth_set_write(made, Write);
      BIO_meth_set_read(made, Read);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }
};

TlsSession::TlsSession(SslPtr ssl, int fd) : fd_(fd), ssl_(std::move(ssl)) {
  BIO* const bio = BIO_new(Bio::Method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // which owns it
  SSL_set_msg_callback(ssl_.get(), NoteMessage);
  SSL_set_msg_callback_arg(ssl_.get(), this);
}

TlsSession::~TlsSession() = default;

void TlsSession::NoteMessage(int /*is_written*/, int /*version*/, int content_type, const void* /*bytes*/,
                             size_t /*size*/, SSL* /*ssl*/, void* session) {
  auto& self = *static_cast<TlsSession*>(session);
  if (self.is_established_ && (content_type == SSL3_RT_HANDSHAKE || content_type == SSL3_RT_ALERT)) {
    self.control_messages_ = std::min<uint8_t>(self.control_messages_ + 1U, kControlMessagesMax + 1);
  }
}

TlsSession::Handshake TlsSession::ContinueHandshake() {
  const int accepted = SendUnsent() ? SSL_accept(ssl_.get()) : -1;
  if (accepted == 1) {
    is_established_ = true;
    DropClientsKey(ssl_.get());
    return Handshake::kDone;
  }
  if (is_drained_ && !is_broken_ && SSL_want_read(ssl_.get())) {
    return Handshake::kWaiting;
  }
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  failure_ = is_ended_ ? "the client went" : reason != nullptr ? reason : "the connection broke, or sent too much";
  ERR_clear_error();
  return Handshake::kFailed;
}

ssize_t TlsSession::Read(char* buffer, size_t bytes) {
  size_t received = 0;
  if (SSL_read_ex(ssl_.get(), buffer, bytes, &received) == 1) {
    return static_cast<ssize_t>(received);
  }
  if (is_drained_ && SSL_want_read(ssl_.get())) {
    return kWouldBlock;
  }
  ERR_clear_error();
  return is_ended_ || (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0 ? 0 : kBroken;
}

bool TlsSession::SendUnsent() {
  if (unsent_.empty()) {
    return !is_broken_;
  }
  const ssize_t sent = SendTo(fd_, absl::string_view(unsent_).substr(unsent_begin_));
  if (sent < 0) {
    is_broken_ = true;
    return false;
  }
  unsent_begin_ += static_cast<size_t>(sent);
  if (unsent_begin_ == unsent_.size()) {
    unsent_ = std::string();
    unsent_begin_ = 0;
  }
  return true;
}

ssize_t TlsSession::Write(absl::Span<const iovec> pieces) {
  if (!SendUnsent()) {
    return kBroken;
  }
  if (!unsent_.empty()) {
    return 0;
  }
  Pieces rest(pieces);
  size_t taken = 0;
  if (std::exchange(is_byte_owed_, false)) {
    rest.Skip(1);
    taken = 1;
  }
  std::array<char, kTlsRecordBytes> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  while (!rest.empty()) {
    const absl::string_view record = rest.TakeRecord(&buffer);
    size_t written = 0;
    if (SSL_write_ex(ssl_.get(), record.data(), record.size(), &written) != 1) {
      // A message of the client about its TLS is there in part, and the rest has to come first.
      const bool waits_for_client = is_drained_ && !is_broken_ && SSL_want_read(ssl_.get());
      ERR_clear_error();
      return waits_for_client ? static_cast<ssize_t>(taken) : kBroken;
    }
    taken += record.size();
    if (!unsent_.empty()) {
      is_byte_owed_ = true;
      return static_cast<ssize_t>(taken - 1);
    }
  }
  return static_cast<ssize_t>(taken);
}

void TlsSession::SendCloseNotify() {
  if (SendUnsent() && unsent_.empty()) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
}

}  // namespace bridge::http
