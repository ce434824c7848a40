#include "bridge/auth/jwks_fetcher.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/bridge_process.h"
#include "tests/support/http_origin.h"
#include "tests/support/tokens.h"

#include "bridge/auth/openssl.h"

namespace bridge::auth {
namespace {

using test::Eventually;
using test::HttpOrigin;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A key set with the same key under each of `kids`.
std::string KeySetOf(const std::vector<std::string>& kids) {
  static const test::KeyPair pair = test::MakeEcKeyPair("P-256");
  std::string keys;
  for (const std::string& kid : kids) {
    absl::StrAppend(&keys, keys.empty() ? "" : ", ", test::ToJwk(pair, absl::StrCat(R"(, "kid": ")", kid, "\"")));
  }
  return absl::StrCat(R"({"keys": [)", keys, "]}");
}

// What the origin answers, changed while it runs.
class Answers {
 public:
  void Set(HttpOrigin::Answer answer) {
    const absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
  }
  void SetKeys(const std::vector<std::string>& kids) {
    Set([text = KeySetOf(kids)](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "200 OK", "", text); });
  }
  HttpOrigin::Answer Take() {
    return [this](int fd, const std::atomic<bool>& is_stopping) {
      HttpOrigin::Answer answer;
      {
        const absl::MutexLock lock(&mutex_);
        answer = answer_;
      }
      answer(fd, is_stopping);
    };
  }

 private:
  absl::Mutex mutex_;
  HttpOrigin::Answer answer_;
};

class JwksFetcherTest : public ::testing::Test {
 protected:
  JwksFetcher::Options OptionsOf(const std::string& url) {
    JwksFetcher::Options options;
    options.url = url;
    options.interval_min = absl::ZeroDuration();
    options.backoff_min = absl::Milliseconds(5);
    options.backoff_max = absl::Milliseconds(20);
    options.on_fetched = [this](const absl::Status& status) {
      const absl::MutexLock lock(&mutex_);
      last_status_ = status;
      ++fetches_;
    };
    return options;
  }

  std::unique_ptr<JwksFetcher> StartOn(JwksFetcher::Options options) {
    absl::StatusOr<std::unique_ptr<JwksFetcher>> fetcher = JwksFetcher::Start(std::move(options));
    EXPECT_TRUE(fetcher.ok()) << fetcher.status();
    return *std::move(fetcher);
  }

  int fetches() {
    const absl::MutexLock lock(&mutex_);
    return fetches_;
  }
  std::string LastError() {
    const absl::MutexLock lock(&mutex_);
    return std::string(last_status_.message());
  }

  absl::Mutex mutex_;
  absl::Status last_status_;
  int fetches_ = 0;

  Answers answers_;
  HttpOrigin origin_{answers_.Take()};
};

TEST_F(JwksFetcherTest, FetchesAtTheStart) {
  answers_.SetKeys({"a", "b"});
  const auto fetcher = StartOn(OptionsOf(origin_.url()));
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->size() == 2; }));
  EXPECT_TRUE(fetcher->Keys()->HasKid("b"));
  EXPECT_EQ(LastError(), "");
}

TEST_F(JwksFetcherTest, FetchesAgainWhenTheKeysAreOld) {
  answers_.SetKeys({"a"});
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.max_age = absl::Milliseconds(20);
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("a"); }));
  answers_.SetKeys({"b"});
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("b"); }));
  EXPECT_FALSE(fetcher->Keys()->HasKid("a"));
}

TEST_F(JwksFetcherTest, FetchesAgainForAKidThatItDoesNotHave) {
  answers_.SetKeys({"a"});
  const auto fetcher = StartOn(OptionsOf(origin_.url()));
  ASSERT_TRUE(Eventually([&] { return fetches() == 1; }));
  answers_.SetKeys({"a", "b"});
  EXPECT_TRUE(fetcher->MayStillCome("b"));
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("b"); }));

  EXPECT_TRUE(fetcher->MayStillCome("c"));
  ASSERT_TRUE(Eventually([&] { return !fetcher->MayStillCome("c"); }))
      << "a kid that did not come is not asked for again";
  const int requests = origin_.requests();
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(fetcher->MayStillCome("c"));
  }
  EXPECT_EQ(origin_.requests(), requests);
}

TEST_F(JwksFetcherTest, TokensDoNotMakeItFetchMoreOftenThanItsInterval) {
  answers_.SetKeys({"a"});
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.interval_min = absl::Milliseconds(300);
  const auto start = base::MonotonicClock::now();
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetches() == 1; }));
  int kid = 0;
  ASSERT_TRUE(Eventually([&] {
    fetcher->MayStillCome(absl::StrCat("made-up-", kid++ % 1000));
    return fetches() == 3;
  }));
  EXPECT_GE(base::MonotonicClock::now() - start, std::chrono::milliseconds(600));
}

TEST_F(JwksFetcherTest, MadeUpKidsTakeNoMemory) {
  answers_.SetKeys({"a"});
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.interval_min = absl::Hours(1);
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetches() == 1; }));
  for (size_t i = 0; i < JwksFetcher::kWantedMax; ++i) {
    EXPECT_TRUE(fetcher->MayStillCome(absl::StrCat(i)));
  }
  // It is fetched anyway; which kids are looked for in vain is remembered of so many only.
  EXPECT_TRUE(fetcher->MayStillCome("one more"));
}

TEST_F(JwksFetcherTest, KeepsItsKeysWhileTheUrlIsAway) {
  answers_.SetKeys({"a"});
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.max_age = absl::Milliseconds(10);
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("a"); }));

  struct Bad {
    std::string status;
    std::string body;
  };
  for (const Bad& bad : {Bad{"500 Oops", ""}, Bad{"200 OK", "{"}, Bad{"200 OK", R"({"keys": [{"kty": "RSA"}]})"},
                         Bad{"200 OK", "[]"}, Bad{"404 None", "{}"}}) {
    answers_.Set([bad](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, bad.status, "", bad.body); });
    const int before = fetches();
    ASSERT_TRUE(Eventually([&] { return fetches() >= before + 3; })) << bad.status << bad.body;
    EXPECT_THAT(LastError(), HasSubstr(origin_.url())) << bad.status << bad.body;
    EXPECT_TRUE(fetcher->Keys()->HasKid("a")) << bad.status << bad.body;
    EXPECT_TRUE(fetcher->MayStillCome("b")) << "nobody knows";
  }
  answers_.SetKeys({"b"});
  EXPECT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("b"); })) << "and comes back by itself";
}

TEST_F(JwksFetcherTest, WaitsLongerAfterEachFailure) {
  answers_.Set([](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "500 Oops", "", ""); });
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.backoff_min = absl::Milliseconds(50);
  options.backoff_max = absl::Hours(1);
  const auto start = base::MonotonicClock::now();
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetches() == 4; }));
  EXPECT_GE(base::MonotonicClock::now() - start, std::chrono::milliseconds(300)) << "50 + 100 + 200, less 10 %";
}

TEST_F(JwksFetcherTest, NothingThatTheUrlSendsHurts) {
  const std::vector<std::pair<HttpOrigin::Answer, std::string>> cases = {
      {[](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "302 Found", "Location: /keys\r\n", ""); },
       "redirects are not followed"},
      {[](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "200 OK", "", std::string(size_t{8} << 20, ' ')); },
       "more than 262144 bytes"},
      {[](int fd, const std::atomic<bool>& is_stopping) {  // no length, no end
         HttpOrigin::Send(fd, "200 OK", "Transfer-Encoding: chunked\r\n", "");
         const std::string chunk = absl::StrCat("1000\r\n", std::string(0x1000, ' '), "\r\n");
         while (!is_stopping && send(fd, chunk.data(), chunk.size(), MSG_NOSIGNAL) > 0) {
         }
       },
       origin_.url()},
      {[](int fd, const std::atomic<bool>& is_stopping) {  // headers without an end
         const std::string line = absl::StrCat("X-A: ", std::string(1000, 'a'), "\r\n");
         send(fd, "HTTP/1.1 200 OK\r\n", 17, MSG_NOSIGNAL);
         while (!is_stopping && send(fd, line.data(), line.size(), MSG_NOSIGNAL) > 0) {
         }
       },
       origin_.url()},
      {[](int, const std::atomic<bool>&) {}, "Empty reply"},
      {[](int fd, const std::atomic<bool>&) { send(fd, "\x16\x03\x01\r\n", 5, MSG_NOSIGNAL); }, origin_.url()},
  };
  answers_.SetKeys({"a"});
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.max_age = absl::Milliseconds(5);
  options.limits.timeout = absl::Milliseconds(500);
  const auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return fetcher->Keys()->HasKid("a"); }));
  for (const auto& [answer, error] : cases) {
    answers_.Set(answer);
    const int before = fetches();
    ASSERT_TRUE(Eventually([&] { return fetches() >= before + 2; })) << error;
    EXPECT_THAT(LastError(), AllOf(HasSubstr(origin_.url()), HasSubstr(error)));
    EXPECT_TRUE(fetcher->Keys()->HasKid("a"));
  }
}

TEST_F(JwksFetcherTest, AUrlThatHangsHoldsUpNobody) {
  answers_.Set([](int, const std::atomic<bool>& is_stopping) {
    while (!is_stopping) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it hangs
    }
  });
  JwksFetcher::Options options = OptionsOf(origin_.url());
  options.limits.timeout = absl::Hours(1);
  auto fetcher = StartOn(std::move(options));
  ASSERT_TRUE(Eventually([&] { return origin_.requests() == 1; }));
  const auto start = base::MonotonicClock::now();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(fetcher->Keys()->size(), 0U);
    EXPECT_TRUE(fetcher->MayStillCome("a"));
  }
  EXPECT_LT(base::MonotonicClock::now() - start, std::chrono::seconds(1));
  fetcher.reset();
  EXPECT_LT(base::MonotonicClock::now() - start, std::chrono::seconds(5)) << "the end does not wait for the answer";
}

TEST_F(JwksFetcherTest, ASecretAtAUrlIsNone) {
  answers_.Set([](int fd, const std::atomic<bool>&) {
    HttpOrigin::Send(
        fd, "200 OK", "",
        R"({"keys": [{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3"}]})");
  });
  const auto fetcher = StartOn(OptionsOf(origin_.url()));
  ASSERT_TRUE(Eventually([&] { return fetches() >= 1; }));
  EXPECT_EQ(fetcher->Keys()->size(), 0U);
  EXPECT_THAT(LastError(), HasSubstr("is a secret"));
}

TEST(FetchUrlTest, FetchesOnlyOverHttpsOrFromThisMachine) {
  for (const char* const url :
       {"https://id.example.com/keys", "http://127.0.0.1:8080/keys", "http://localhost/keys", "http://[::1]/"}) {
    EXPECT_EQ(CheckFetchUrl(url), absl::OkStatus()) << url;
  }
  for (const char* const url :
       {"http://id.example.com/keys", "http://127.0.0.1.example.com/", "http://127.0.0.1@id.example.com/",
        "https://user:password@id.example.com/", "file:///etc/passwd", "ftp://localhost/", "localhost",
        "gopher://127.0.0.1/", "", "http://10.0.0.1/", "http://id.example.com\\@127.0.0.1/"}) {
    EXPECT_EQ(CheckFetchUrl(url).code(), absl::StatusCode::kInvalidArgument) << url;
    JwksFetcher::Options options;
    options.url = url;
    EXPECT_FALSE(JwksFetcher::Start(std::move(options)).ok()) << url;
  }
}

TEST(FetchUrlTest, ASecureUrlWhoseCertificateNobodySignedIsRefused) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own writes raise it where the peer has gone
  const test::KeyPair pair = test::MakeEcKeyPair("P-256");
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  const BioPtr certificate_pem(BIO_new(BIO_s_mem()));
  const BioPtr key_pem(BIO_new_mem_buf(pair.private_pem.data(), static_cast<int>(pair.private_pem.size())));
  BIO_puts(certificate_pem.get(), test::MakeCertificate(pair).c_str());
  const X509Ptr certificate(PEM_read_bio_X509(certificate_pem.get(), nullptr, nullptr, nullptr));
  const EvpPkeyPtr key(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
  ASSERT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);

  std::atomic<int> handshakes{0};
  std::atomic<int> requests{0};
  const HttpOrigin origin = HttpOrigin::OfConnections([&](int fd, const std::atomic<bool>&) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context.get()), SSL_free);
    SSL_set_fd(tls.get(), fd);
    ++handshakes;
    std::string request(4096, '\0');
    if (SSL_accept(tls.get()) == 1 && SSL_read(tls.get(), request.data(), static_cast<int>(request.size())) > 0) {
      ++requests;
      const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
      SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
    }
  });
  const std::atomic<bool> is_cancelled{false};
  const absl::Status status = FetchUrl("https" + origin.url().substr(4), FetchLimits(), is_cancelled).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("SSL certificate problem"));
  EXPECT_EQ(handshakes, 1);
  EXPECT_EQ(requests, 0);
}

}  // namespace
}  // namespace bridge::auth
