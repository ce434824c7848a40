// Where the certificate and its key come from: what is checked, and what happens when the files change.
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/files.h"
#include "tests/support/publisher.h"
#include "tests/support/tls_fixture.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TlsFilesTest : public TlsTest {
 protected:
  std::string CheckConfig(const std::vector<std::string>& settings, int exit_code) const {
    std::vector<std::string> arguments = {"--check-config"};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    const RunResult result = RunBridge(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.output;
    return result.output;
  }

  // The common name that the bridge shows to new connections; empty where there is no handshake.
  std::string NameShown(const BridgeProcess& bridge) const {
    const RawConnection connection(bridge.http_port(), client_);
    if (!connection.is_connected()) {
      return "";
    }
    const auth::X509Ptr shown(SSL_get1_peer_certificate(connection.ssl()));
    std::array<char, 100> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(shown.get()), NID_commonName, name.data(), name.size());
    return name.data();
  }

  IssuedCertificate Named(const std::string& name) const {
    CertificateAuthority::Request request;
    request.name = name;
    return authority_.Issue(request);
  }
};

TEST_F(TlsFilesTest, TheCheckOfTheConfigurationOpensThem) {
  EXPECT_THAT(CheckConfig(Settings(), 0), HasSubstr("the configuration is valid"));
  EXPECT_THAT(CheckConfig({"http.tls.certificate_file=" + folder_.certificate_file()}, 2),
              HasSubstr("http.tls.key_file: is missing"));
  EXPECT_THAT(CheckConfig({"http.tls.client_ca_file=" + folder_.ca_file()}, 2),
              HasSubstr("http.tls.client_ca_file: is set, and without a certificate"));
  EXPECT_THAT(CheckConfig(Settings({"http.tls.client_ca_file=/nowhere/ca.pem"}), 2),
              HasSubstr("http.tls.client_ca_file: /nowhere/ca.pem: cannot be read"));
  ReplaceFile(folder_.key_file(), authority_.Issue().key_pem);
  EXPECT_THAT(CheckConfig(Settings(), 2),
              HasSubstr(absl::StrCat("http.tls.key_file: ", folder_.key_file(),
                                     ": is not the key of the certificate in ", folder_.certificate_file())));
}

TEST_F(TlsFilesTest, WeakKeysAreNotTaken) {
  CertificateAuthority::Request weak;
  weak.key = MakeRsaKeyPair(1024);
  folder_.Replace(authority_.Issue(weak));
  EXPECT_THAT(CheckConfig(Settings(), 2), AllOf(HasSubstr("http.tls.certificate_file"), HasSubstr("2048 bits")));
}

TEST_F(TlsFilesTest, ACertificateThatIsOutOfItsTimeIsAWarning) {
  CertificateAuthority::Request expired;
  expired.ends_in = -absl::Minutes(1);
  folder_.Replace(authority_.Issue(expired));
  EXPECT_THAT(CheckConfig(Settings(), 0), AllOf(HasSubstr("warn certificate_out_of_time"), HasSubstr("fix=")));
}

TEST_F(TlsFilesTest, NewConnectionsGetTheNewCertificateAndTheOldOnesGoOn) {
  folder_.Replace(Named("first"));
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  SseClient stream(bridge.http_port(), Asking("/events?topic=a"));
  stream.ReadOpen();
  RawConnection idle(bridge.http_port(), client_);
  EXPECT_EQ(NameShown(bridge), "first");

  folder_.Replace(Named("second"));
  ASSERT_TRUE(Eventually([&] { return NameShown(bridge) == "second"; }));
  publisher.Publish(TextEvent("a", "1"));
  EXPECT_EQ(stream.NextData(1), std::vector<std::string>{"1"});
  idle.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(idle.Receive(), HasSubstr("200 OK"));
}

TEST_F(TlsFilesTest, BrokenFilesAreToldOnceAndTheOldOnesStay) {
  folder_.Replace(Named("first"));
  const BridgeProcess bridge(Settings());
  ReplaceFile(folder_.certificate_file(), "no certificate\n");
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(bridge.Log(), "file_not_taken"); }));
  EXPECT_EQ(NameShown(bridge), "first");
  const IssuedCertificate second = Named("second");
  ReplaceFile(folder_.certificate_file(), second.certificate_pem);
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(bridge.Log(), "is not the key of"); }));
  EXPECT_EQ(NameShown(bridge), "first");
  ReplaceFile(folder_.key_file(), second.key_pem);
  ASSERT_TRUE(Eventually([&] { return NameShown(bridge) == "second"; }));
  const std::string log = bridge.Log();
  EXPECT_EQ(log.find("file_not_taken"), log.rfind("file_not_taken", log.find("is not the key of") - 200));
  int told = 0;
  for (size_t at = 0; (at = log.find("file_not_taken", at)) != std::string::npos; ++at) {
    ++told;
  }
  EXPECT_EQ(told, 2);
  EXPECT_THAT(log, Not(HasSubstr("PRIVATE KEY")));
}

}  // namespace
}  // namespace bridge::test
