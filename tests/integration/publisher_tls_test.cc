#include <arpa/inet.h>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

#include "bridge/auth/openssl.h"
#include "bridge/auth/token_minter.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kSecret[] = "a secret for tests that is at least 32 bytes long";

// The files of a bridge's TLS in a directory of their own.
class TlsFiles {
 public:
  explicit TlsFiles(const IssuedCertificate& own) { Write(own); }

  void Write(const IssuedCertificate& own) const {
    WriteFile("key.pem", own.key_pem);
    WriteFile("certificate.pem", own.certificate_pem);
  }
  // Returns the path.
  std::string WriteFile(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    ReplaceFile(path, content);
    return path;
  }
  std::vector<std::string> Settings() const {
    return {absl::StrCat("grpc.tls.certificate_file=", directory_.path(), "/certificate.pem"),
            absl::StrCat("grpc.tls.key_file=", directory_.path(), "/key.pem")};
  }

 private:
  const TempDir directory_;
};

std::vector<std::string> Joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string TargetOf(const BridgeProcess& bridge) { return bridge.grpc_target(); }

// Who trusts `authority`, and shows `own` where there is one.
std::shared_ptr<grpc::ChannelCredentials> Trusting(const CertificateAuthority& authority,
                                                   const IssuedCertificate& own = {}) {
  return grpc::SslCredentials(
      {.pem_root_certs = authority.pem(), .pem_private_key = own.key_pem, .pem_cert_chain = own.certificate_pem});
}

// One try, without waiting for the connection to come.
grpc::Status TryOnce(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  Publisher publisher(target, credentials);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::PublishRequest request;
  *request.add_events() = TextEvent("orders.a", "x");
  v1::Ack ack;
  return publisher.stub().PublishOnce(&context, request, &ack);
}

TEST(PublisherTls, IsForThoseWhoTrustTheCertificateAndSpeakTls) {
  const CertificateAuthority authority;
  const TlsFiles files(authority.Issue());
  const BridgeProcess bridge(files.Settings());
  EXPECT_TRUE(TryOnce(TargetOf(bridge), Trusting(authority)).ok());
  EXPECT_EQ(TryOnce(TargetOf(bridge), Trusting(CertificateAuthority("another"))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(TryOnce(TargetOf(bridge), grpc::InsecureChannelCredentials()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(PublisherTls, ThoseWhoFailToShakeHandsDoNotFillTheLog) {
  const CertificateAuthority authority;
  const TlsFiles files(authority.Issue());
  const BridgeProcess bridge(files.Settings());
  for (int i = 0; i < 20; ++i) {
    RawConnection connection(bridge.grpc_port());
    connection.Send("no TLS, and as long as the head of a record of it");
    connection.ReceiveToEnd();
  }
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(bridge.Log(), "grpc_error"); }));
  EXPECT_LT(bridge.Log().size(), 2000U);
}

struct Handshake {
  bool is_done = false;
  int version = 0;
  std::string protocol;
};

// Of a client that offers versions up to `version_max` and, in ALPN's form, `protocols`.
Handshake ShakeHands(uint16_t port, int version_max, const std::string& protocols) {
  const auth::OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), version_max);
  SSL_CTX_set_security_level(context.get(), 0);  // so that this client would speak the old versions
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const auth::OpensslPtr<SSL, SSL_free> ssl(SSL_new(context.get()));
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  SSL_set_fd(ssl.get(), fd);
  Handshake handshake;
  // The server sends its SETTINGS first where it takes the client.
  char byte = 0;
  handshake.is_done = SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &byte, 1) == 1;
  handshake.version = SSL_version(ssl.get());
  const unsigned char* chosen = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(ssl.get(), &chosen, &bytes);
  handshake.protocol.assign(reinterpret_cast<const char*>(chosen), bytes);
  close(fd);
  return handshake;
}

TEST(PublisherTls, SpeaksNothingOlderThanTls12AndNothingButHttp2) {
  const CertificateAuthority authority;
  const TlsFiles files(authority.Issue());
  const BridgeProcess bridge(files.Settings());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Handshake handshake = ShakeHands(bridge.grpc_port(), version, "\x02h2");
    EXPECT_TRUE(handshake.is_done);
    EXPECT_EQ(handshake.version, version);
    EXPECT_EQ(handshake.protocol, "h2");
  }
  EXPECT_FALSE(ShakeHands(bridge.grpc_port(), TLS1_1_VERSION, "\x02h2").is_done);
  EXPECT_FALSE(ShakeHands(bridge.grpc_port(), TLS1_3_VERSION, "\x08http/1.1").is_done);
  EXPECT_FALSE(ShakeHands(bridge.grpc_port(), TLS1_3_VERSION, "").is_done);
}

TEST(PublisherTls, TakesANewCertificateWithoutDroppingAConnection) {
  const CertificateAuthority old_authority("old");
  const CertificateAuthority new_authority("new");
  const TlsFiles files(old_authority.Issue());
  const BridgeProcess bridge(files.Settings());
  Publisher before(TargetOf(bridge), Trusting(old_authority));
  PublishCall call(&before);
  ASSERT_TRUE(call.Send("1", {TextEvent("orders.a", "x")}));
  ASSERT_TRUE(call.NextAck());

  files.Write(new_authority.Issue());
  EXPECT_TRUE(Eventually([&] { return TryOnce(TargetOf(bridge), Trusting(new_authority)).ok(); }));
  EXPECT_FALSE(TryOnce(TargetOf(bridge), Trusting(old_authority)).ok());
  ASSERT_TRUE(call.Send("2", {TextEvent("orders.a", "x")}));
  ASSERT_TRUE(call.NextAck());

  // A certificate that is not the key's, and one that is none.
  for (const std::string& wrong : {new_authority.Issue().certificate_pem, std::string("nonsense")}) {
    const size_t said = bridge.Log().size();
    files.WriteFile("certificate.pem", wrong);
    EXPECT_TRUE(Eventually([&] { return bridge.Log().find("file_not_taken", said) != std::string::npos; }));
    EXPECT_TRUE(TryOnce(TargetOf(bridge), Trusting(new_authority)).ok()) << "what was right stays";
  }
  call.HalfClose();
  EXPECT_TRUE(call.Finish().ok());
}

// A bridge that wants certificates of its clients.
class PublisherCertificates : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& more) {
    bridge_ = std::make_unique<BridgeProcess>(
        Joined(Joined(files_.Settings(), {"grpc.tls.client_ca_file=" + files_.WriteFile("ca.pem", clients_.pem()),
                                          "grpc.tls.clients=[{san: 'spiffe://example.com/orders', publish: [orders.>]},"
                                          " {san: Prices.example.com, publish: [prices.>, both]},"
                                          " {san: second.example.com, publish: [second]}]"}),
               more));
  }
  std::string KeySetting() const {
    return absl::StrCat("auth.jwt.keys=[{algorithm: HS256, secret_file: ", files_.WriteFile("secret", kSecret), "}]");
  }

  // `names` is empty for a certificate without any.
  Publisher With(const std::string& names, const std::string& common_name = "somebody") const {
    const std::vector<std::string> alternative_names(names.empty() ? 0 : 1, names);
    return Publisher(TargetOf(*bridge_),
                     Trusting(servers_, clients_.Issue({.name = common_name, .alternative_names = alternative_names})));
  }
  // "", or what it is told.
  static std::string Told(Publisher publisher, const std::string& topic) {
    v1::PublishRequest request;
    *request.add_events() = TextEvent(topic, "x");
    v1::Ack ack;
    if (const grpc::Status status = publisher.TryPublish(request, &ack); !status.ok()) {
      return absl::StrCat(status.error_code(), " ", status.error_message());
    }
    return ack.rejected().empty() ? "" : absl::StrCat("rejected: ", ack.rejected(0).message());
  }

  const CertificateAuthority servers_{"servers"};
  const CertificateAuthority clients_{"clients"};
  const TlsFiles files_{servers_.Issue()};
  std::unique_ptr<BridgeProcess> bridge_;
};

TEST_F(PublisherCertificates, AreRequiredAndHaveToBeSignedByTheConfiguredAuthority) {
  Start({});
  EXPECT_EQ(TryOnce(TargetOf(*bridge_), Trusting(servers_)).error_code(), grpc::StatusCode::UNAVAILABLE);
  const CertificateAuthority stranger("clients");  // by name the same
  const IssuedCertificate forged = stranger.Issue({.alternative_names = {"URI:spiffe://example.com/orders"}});
  EXPECT_EQ(TryOnce(TargetOf(*bridge_), Trusting(servers_, forged)).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(TryOnce(TargetOf(*bridge_),
                      Trusting(servers_, clients_.Issue({.alternative_names = {"URI:spiffe://example.com/orders"}})))
                  .ok());
}

TEST_F(PublisherCertificates, OfANewAuthorityCountWhenItsFileHasChanged) {
  Start({});
  const std::string name = "URI:spiffe://example.com/orders";
  Publisher before = With(name);
  PublishCall call(&before);
  ASSERT_TRUE(call.Send("1", {TextEvent("orders.a", "x")}));
  ASSERT_TRUE(call.NextAck());
  const CertificateAuthority next("next");
  files_.WriteFile("ca.pem", next.pem());
  EXPECT_TRUE(Eventually(
      [&] { return TryOnce(TargetOf(*bridge_), Trusting(servers_, next.Issue({.alternative_names = {name}}))).ok(); }));
  EXPECT_EQ(TryOnce(TargetOf(*bridge_), Trusting(servers_, clients_.Issue({.alternative_names = {name}}))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  ASSERT_TRUE(call.Send("2", {TextEvent("orders.a", "x")})) << "what is open stays";
  EXPECT_TRUE(call.NextAck());
}

TEST_F(PublisherCertificates, SayByTheirNamesWhatTheirHolderMayPublish) {
  Start({});
  const std::string uri = "URI:spiffe://example.com/orders";
  EXPECT_EQ(Told(With(uri), "orders.a"), "");
  EXPECT_THAT(Told(With(uri), "prices.a"), HasSubstr("rejected: topic \"prices.a\""));
  EXPECT_EQ(Told(With("DNS:x.example.com,DNS:pRICES.example.com"), "prices.a"), "");
  // The first entry that fits counts, whatever the order in the certificate.
  EXPECT_THAT(Told(With("DNS:second.example.com,DNS:prices.example.com"), "second"), HasSubstr("rejected"));

  // A name of the wrong kind, a wildcard, a part, a common name.
  for (const std::string names : {"URI:prices.example.com", "DNS:*.example.com", "URI:spiffe://example.com/orders/a",
                                  "URI:spiffe://example.com/Orders", "email:prices@prices.example.com", ""}) {
    EXPECT_THAT(Told(With(names, "prices.example.com"), "prices.a"),
                AllOf(HasSubstr("16 nobody may publish"), HasSubstr("grpc.tls.clients")))
        << names;
  }
}

TEST_F(PublisherCertificates, ThatAreNotListedPublishWhatIsOpenToEverybody) {
  Start({"auth.anonymous.publish=[open]"});
  EXPECT_EQ(Told(With("DNS:unknown.example.com"), "open"), "");
  EXPECT_THAT(Told(With("DNS:unknown.example.com"), "orders.a"), HasSubstr("16 topic \"orders.a\""));
  EXPECT_THAT(Told(With("DNS:prices.example.com"), "open"), HasSubstr("rejected"));
}

TEST_F(PublisherCertificates, ClosePublishingAlsoWhereSubscribingIsOpenToAll) {
  Start({"auth.allow_anonymous=true"});
  EXPECT_THAT(Told(With("DNS:unknown.example.com"), "orders.a"), HasSubstr("16 nobody may publish"));
}

TEST_F(PublisherCertificates, CountOnlyWhereThereIsNoToken) {
  Start({KeySetting()});
  const auth::TokenMinter minter(SecretSigner(kSecret));
  auth::TokenContents contents;
  contents.publish = {"both"};
  const std::string token = minter.Mint(contents, absl::Hours(1), absl::Now()).value();
  Publisher publisher = With("URI:spiffe://example.com/orders");
  EXPECT_EQ(Told(std::move(publisher), "orders.a"), "");
  publisher = With("URI:spiffe://example.com/orders");
  publisher.SetToken(token);
  EXPECT_THAT(Told(std::move(publisher), "orders.a"), HasSubstr("rejected"));
  publisher = With("URI:spiffe://example.com/orders");
  publisher.SetToken(token + "x");
  EXPECT_THAT(Told(std::move(publisher), "orders.a"), HasSubstr("16 "));
  publisher = With("DNS:unknown.example.com");
  publisher.SetToken(token);
  EXPECT_EQ(Told(std::move(publisher), "both"), "");
}

TEST_F(PublisherCertificates, HaveIdempotencyKeysOfTheirOwn) {
  Start({KeySetting(), "auth.anonymous.publish=[both]"});
  v1::Event event = TextEvent("both", "x");
  event.set_idempotency_key("k");
  const std::string first = With("DNS:prices.example.com").Publish(event).first_id();
  EXPECT_EQ(With("DNS:prices.example.com,DNS:other.example.com").Publish(event).first_id(), first);
  const std::string anonymous = With("DNS:unknown.example.com").Publish(event).first_id();
  EXPECT_NE(anonymous, first);
  auth::TokenContents contents;
  contents.publish = {"both"};
  contents.subject = "Prices.example.com";
  const auth::TokenMinter minter(SecretSigner(kSecret));
  Publisher publisher = With("DNS:prices.example.com");
  publisher.SetToken(minter.Mint(contents, absl::Hours(1), absl::Now()).value());
  const std::string by_token = publisher.Publish(event).first_id();
  EXPECT_NE(by_token, first);
  EXPECT_NE(by_token, anonymous);
}

TEST(PublisherTlsFiles, AreCheckedByCheckConfig) {
  const CertificateAuthority authority;
  const IssuedCertificate own = authority.Issue();
  const TlsFiles files(own);
  const auto check = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--check-config"};
    for (const std::string& setting : Joined(files.Settings(), more)) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return RunBridge(arguments);
  };
  EXPECT_EQ(check({}).exit_code, 0);
  const auto error = [&](const std::vector<std::string>& more) {
    const RunResult result = check(more);
    EXPECT_EQ(result.exit_code, 2);
    return result.output;
  };
  EXPECT_THAT(error({"grpc.tls.certificate_file=/nowhere/a.pem"}),
              AllOf(HasSubstr("grpc.tls.certificate_file: /nowhere/a.pem"), HasSubstr("cannot be read")));
  EXPECT_THAT(
      error({"grpc.tls.certificate_file=" + files.WriteFile("no.pem", "no")}),
      AllOf(HasSubstr("grpc.tls.certificate_file: "), HasSubstr("/no.pem"), HasSubstr("has no certificate in PEM")));
  EXPECT_THAT(error({"grpc.tls.key_file=" +
                     files.WriteFile("other.pem", authority.Issue({.alternative_names = {"DNS:a"}}).key_pem)}),
              AllOf(HasSubstr("grpc.tls.key_file: "), HasSubstr("/other.pem"), HasSubstr("is not the key of")));
  EXPECT_THAT(error({"grpc.tls.key_file=" + files.WriteFile("c.pem", own.certificate_pem)}),
              HasSubstr("has no private key in PEM"));
  EXPECT_THAT(error({"auth.allow_anonymous=true", "grpc.tls.clients=[{san: a, publish: [b]}]",
                     "grpc.tls.client_ca_file=" + files.WriteFile("empty.pem", "")}),
              AllOf(HasSubstr("grpc.tls.client_ca_file: "), HasSubstr("/empty.pem"), HasSubstr("has no certificate")));
}

}  // namespace
}  // namespace bridge::test
