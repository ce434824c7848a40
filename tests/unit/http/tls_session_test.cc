#include "bridge/http/tls_session.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/certificates.h"
#include "tests/support/tls_client.h"

#include "bridge/http/tls_context.h"

namespace bridge::http {
namespace {

// A client's records of TLS 1.3 with AES-128-GCM, made by hand: what no library sends.
class Records {
 public:
  // `secret` is CLIENT_TRAFFIC_SECRET_0, in hexadecimal.
  explicit Records(const std::string& secret) : secret_(secret.size() / 2, '\0') {
    size_t size = 0;
    OPENSSL_hexstr2buf_ex(reinterpret_cast<unsigned char*>(secret_.data()), secret_.size(), &size, secret.c_str(),
                          '\0');
  }

  // RFC 8446 §5.2. The next record; `type` is that of what is in it.
  std::string Next(char type, std::string content) {
    content += type;
    const auto size = static_cast<char>(content.size() + 16);
    const std::string header = std::string("\x17\x03\x03\0", 4) + size;
    std::string nonce = Derive("iv", 12);
    nonce.back() = static_cast<char>(nonce.back() ^ sequence_++);
    const auth::OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher(EVP_CIPHER_CTX_new());
    std::string sealed(content.size() + 16, '\0');
    int bytes = 0;
    EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, Bytes(Derive("key", 16)), Bytes(nonce));
    EVP_EncryptUpdate(cipher.get(), nullptr, &bytes, Bytes(header), static_cast<int>(header.size()));
    EVP_EncryptUpdate(cipher.get(), reinterpret_cast<unsigned char*>(sealed.data()), &bytes, Bytes(content),
                      static_cast<int>(content.size()));
    EVP_EncryptFinal_ex(cipher.get(), nullptr, &bytes);
    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, 16, sealed.data() + content.size());
    return header + sealed;
  }

 private:
  static const unsigned char* Bytes(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }

  // RFC 8446 §7.1: HKDF-Expand-Label.
  std::string Derive(const std::string& label, size_t bytes) {
    const std::string info = std::string({'\0', static_cast<char>(bytes), static_cast<char>(6 + label.size())}) +
                             "tls13 " + label + std::string(1, '\0');
    std::string out(bytes, '\0');
    const auth::OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> derive(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
    EVP_PKEY_derive_init(derive.get());
    EVP_PKEY_CTX_set_hkdf_mode(derive.get(), EVP_PKEY_HKDEF_MODE_EXPAND_ONLY);
    EVP_PKEY_CTX_set_hkdf_md(derive.get(), EVP_sha256());
    EVP_PKEY_CTX_set1_hkdf_key(derive.get(), Bytes(secret_), static_cast<int>(secret_.size()));
    EVP_PKEY_CTX_add1_hkdf_info(derive.get(), Bytes(info), static_cast<int>(info.size()));
    EVP_PKEY_derive(derive.get(), reinterpret_cast<unsigned char*>(out.data()), &bytes);
    return out;
  }

  std::string secret_;
  int sequence_ = 0;
};

// Both ends of a connection in one thread.
class TlsSessionTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    server_fd_ = ends[0];
    client_fd_ = ends[1];
    const auto context = TlsContext::Open({.section = "http.tls",
                                           .certificate_file = folder_.certificate_file(),
                                           .key_file = folder_.key_file(),
                                           .client_ca_file = ""});
    ASSERT_TRUE(context.ok()) << context.status();
    session_ = std::make_unique<TlsSession>((*context)->NewSession(), server_fd_);
    client_ = trusting_.NewSession(client_fd_);
    secret.clear();
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(client_.get()), [](const SSL* /*ssl*/, const char* line) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words[0] == "CLIENT_TRAFFIC_SECRET_0") {
        secret = words[2];
      }
    });
    auto state = TlsSession::Handshake::kWaiting;
    for (int i = 0; i < 10 && state == TlsSession::Handshake::kWaiting; ++i) {
      SSL_do_handshake(client_.get());
      state = session_->ContinueHandshake();
    }
    ASSERT_EQ(state, TlsSession::Handshake::kDone) << session_->failure();
  }

  void TearDown() override {
    EndServer();
    close(client_fd_);
  }

  // As a connection that is closed.
  void EndServer() {
    session_ = nullptr;
    if (server_fd_ >= 0) {
      close(server_fd_);
    }
    server_fd_ = -1;
  }

  ssize_t Write(const std::string& text) {
    const iovec piece = {.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
    return session_->Write(absl::MakeConstSpan(&piece, 1));
  }

  // What there is for the client, at most so many bytes.
  std::string ClientReads(size_t bytes_max = SIZE_MAX) {
    std::string all;
    std::array<char, 16384> buffer{};
    while (all.size() < bytes_max) {
      const int received = SSL_read(client_.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (received <= 0) {
        ERR_clear_error();
        break;
      }
      all.append(buffer.data(), static_cast<size_t>(received));
    }
    return all;
  }

  static inline std::string secret;
  const test::CertificateAuthority authority_;
  const test::CertificateFolder folder_{authority_.Issue(), authority_};
  const test::TlsClient trusting_{{.ca_pem = authority_.pem()}};
  int server_fd_ = -1;
  int client_fd_ = -1;
  std::unique_ptr<TlsSession> session_;
  test::SslPtr client_;
};

TEST_F(TlsSessionTest, WhatIsTakenWholeHasBeenSent) {
  const std::string piece(3000, 'x');
  size_t taken_whole = 0;
  ssize_t taken = 0;
  while (std::cmp_equal(taken = Write(piece), piece.size())) {
    taken_whole += piece.size();
  }
  ASSERT_GT(taken_whole, 0U);
  ASSERT_GE(taken, 0);
  EndServer();
  EXPECT_GE(ClientReads().size(), taken_whole);
}

TEST_F(TlsSessionTest, GoesOnWhereItStoppedHoweverItIsOffered) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) {
    absl::StrAppend(&text, i, " ");
  }
  std::string received;
  size_t offered = 0;
  for (size_t turn = 0; offered < text.size(); ++turn) {
    // Now in one piece, now in three: a piece that was begun goes first.
    std::string rest = text.substr(offered);
    ssize_t taken = 0;
    if (turn % 2 == 0 && rest.size() > 6000) {
      const std::array<iovec, 3> pieces = {iovec{.iov_base = rest.data(), .iov_len = 5000},
                                           iovec{.iov_base = rest.data() + 5000, .iov_len = 10},
                                           iovec{.iov_base = rest.data() + 5010, .iov_len = rest.size() - 5010}};
      taken = session_->Write(pieces);
    } else {
      taken = Write(rest);
    }
    ASSERT_GE(taken, 0);
    ASSERT_LE(static_cast<size_t>(taken), rest.size());
    offered += static_cast<size_t>(taken);
    received += ClientReads(turn % 3 * 7000);
  }
  received += ClientReads();
  EXPECT_EQ(received, text);
}

// What has not been begun may be left out, and something else come in its place.
TEST_F(TlsSessionTest, NothingHasGoneOfAPieceThatIsNotSaidToBeBegun) {
  std::string first(kTlsRecordBytes - 1, 'a');
  std::string second(3000, 'b');
  std::string received;
  std::string expected;
  int left_out = 0;
  const auto finish = [&](std::string rest) {
    while (!rest.empty()) {
      received += ClientReads();
      const ssize_t taken = Write(rest);
      ASSERT_GE(taken, 0);
      expected += rest.substr(0, static_cast<size_t>(taken));
      rest.erase(0, static_cast<size_t>(taken));
    }
  };
  for (int i = 0, full = 0; i < 2000; ++i) {
    const std::array<iovec, 2> pieces = {iovec{.iov_base = first.data(), .iov_len = first.size()},
                                         iovec{.iov_base = second.data(), .iov_len = second.size()}};
    const ssize_t written = session_->Write(pieces);
    ASSERT_GE(written, 0);
    const auto taken = static_cast<size_t>(written);
    expected += (first + second).substr(0, taken);
    left_out += taken <= first.size() ? 1 : 0;
    if (taken < first.size()) {
      finish(first.substr(taken));
    } else if (taken > first.size()) {
      finish((first + second).substr(taken));
    }
    if (taken < first.size() + second.size()) {
      received += ClientReads();
      finish(std::string(static_cast<size_t>(++full % 2), 'c'));  // so that it is full now here, now there
    }
  }
  received += ClientReads();
  EXPECT_GT(left_out, 0);
  EXPECT_EQ(received, expected);
}

TEST_F(TlsSessionTest, ReadsUntilNothingIsLeft) {
  ASSERT_EQ(SSL_write(client_.get(), std::string(10'000, 'x').data(), 10'000), 10'000);
  std::array<char, 4000> buffer{};
  size_t received = 0;
  ssize_t some = 0;
  while ((some = session_->Read(buffer.data(), buffer.size())) > 0) {
    received += static_cast<size_t>(some);
  }
  EXPECT_EQ(some, kWouldBlock);
  EXPECT_EQ(received, 10'000U);
}

TEST_F(TlsSessionTest, TellsTheClientsEndFromABreak) {
  std::array<char, 10> buffer{};
  EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), kWouldBlock);
  SSL_shutdown(client_.get());
  EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), 0);
  EXPECT_EQ(Write("after the end of the other side"), 31);
  EXPECT_EQ(ClientReads(), "after the end of the other side");
}

TEST_F(TlsSessionTest, BytesThatAreNoTlsBreakIt) {
  ASSERT_EQ(send(client_fd_, "hello, world", 12, 0), 12);
  std::array<char, 10> buffer{};
  EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), kBroken);
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST_F(TlsSessionTest, AClientThatHasGoneBreaksTheWriting) {
  close(client_fd_);
  client_fd_ = -1;
  EXPECT_EQ(Write("hello"), kBroken);
}

TEST_F(TlsSessionTest, WritingWaitsForTheRestOfWhatTheClientSaysAboutItsKeys) {
  Records records(secret);
  const std::string key_update("\x18\0\0\x01\0", 5);
  const auto send_part = [&](size_t begin, size_t size) {
    const std::string record = records.Next(22, key_update.substr(begin, size));
    ASSERT_EQ(send(client_fd_, record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
  };
  std::array<char, 10> buffer{};
  send_part(0, 4);
  EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), kWouldBlock);
  EXPECT_EQ(Write("hello"), 0);
  send_part(4, 1);
  EXPECT_EQ(Write("other"), 5);  // what was not taken need not be offered again
  EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), kWouldBlock);
  EXPECT_EQ(ClientReads(), "other");
}

TEST_F(TlsSessionTest, TheClientMayChangeItsKeysNowAndThenButNotForEver) {
  std::array<char, 10> buffer{};
  for (int i = 0; i < 10; ++i) {
    SSL_key_update(client_.get(), SSL_KEY_UPDATE_REQUESTED);
    ASSERT_EQ(SSL_do_handshake(client_.get()), 1);
    EXPECT_EQ(session_->Read(buffer.data(), buffer.size()), kWouldBlock);
    EXPECT_EQ(Write("hello"), 5);
    EXPECT_EQ(ClientReads(), "hello");
  }
  ssize_t read = kWouldBlock;
  for (int i = 0; i < 100 && read == kWouldBlock; ++i) {
    SSL_key_update(client_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(client_.get());
    read = session_->Read(buffer.data(), buffer.size());
  }
  EXPECT_EQ(read, kBroken);
}

}  // namespace
}  // namespace bridge::http
