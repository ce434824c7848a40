#include "bridge/rpc/publisher_identity.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::rpc {
namespace {

using ::testing::HasSubstr;

auth::PatternSet Patterns(const std::vector<absl::string_view>& texts) { return *auth::PatternSet::Parse(texts); }

TEST(PublisherIdentityTest, ServingIsGrantedApartFromPublishing) {
  auth::Identity token;
  token.publish = Patterns({"orders.>"});
  token.serve = Patterns({"chat", "reports.*"});
  const PublisherIdentity identity = PublisherIdentity::OfToken(token);
  EXPECT_TRUE(identity.CheckServe("chat").ok());
  EXPECT_TRUE(identity.CheckServe("reports.eu").ok());
  EXPECT_TRUE(identity.CheckTopic("orders.1").ok());
  const absl::Status refused = identity.CheckServe("orders.1");
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("call \"orders.1\": is not within"));
  EXPECT_TRUE(absl::IsPermissionDenied(identity.CheckTopic("chat")));
}

TEST(PublisherIdentityTest, WhoShowsNothingIsToldWhatToShow) {
  const PublisherIdentity identity =
      PublisherIdentity::Anonymous({.publish = {}, .serve = Patterns({"chat"})}, "send a token");
  EXPECT_TRUE(identity.CheckAnything().ok());
  EXPECT_TRUE(identity.CheckServe("chat").ok());
  const absl::Status refused = identity.CheckServe("reports");
  EXPECT_TRUE(absl::IsUnauthenticated(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("send a token"));
  EXPECT_TRUE(absl::IsUnauthenticated(PublisherIdentity::Anonymous({}, "send a token").CheckAnything()));
}

TEST(PublisherIdentityTest, WithoutKeysEverybodyServesEverything) {
  const auth::Authenticator open;
  const PublisherIdentities identities(
      {.authenticator = &open,
       .has_certificates = false,
       .clients = {},
       .anonymous = {.publish = open.anonymous()->publish, .serve = open.anonymous()->serve}});
  const auto identity = identities.Of({}, absl::UnixEpoch());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_TRUE((*identity)->CheckServe("chat").ok());
}

TEST(PublisherIdentityTest, ACertificateServesWhatItsEntrySays) {
  const auth::Authenticator open;
  const PublisherIdentities identities(
      {.authenticator = &open,
       .has_certificates = true,
       .clients = {{.name = "chat.example.com", .grants = {.publish = {}, .serve = Patterns({"chat"})}}},
       .anonymous = {}});
  const auto identity =
      identities.Of({.authorizations = {}, .uris = {}, .dns_names = {"chat.example.com"}}, absl::UnixEpoch());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_TRUE((*identity)->CheckServe("chat").ok());
  EXPECT_TRUE(absl::IsPermissionDenied((*identity)->CheckServe("reports")));
}

}  // namespace
}  // namespace bridge::rpc
