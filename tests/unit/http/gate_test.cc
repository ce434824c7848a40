#include "bridge/http/gate.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/tokens.h"

namespace bridge::http {
namespace {

using ::testing::HasSubstr;

const char kSecret[] = "a secret of the tests, of 32 bytes and more";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class OneKey final : public auth::KeySource {
 public:
  std::shared_ptr<const auth::KeySet> Keys() const override {
    return std::make_shared<const auth::KeySet>(std::vector<auth::Key>{*auth::Key::FromSecret({}, kSecret)});
  }
  bool MayStillCome(absl::string_view) override { return false; }
};

class GateTest : public ::testing::Test {
 protected:
  static httplib::Request Get(const std::string& ticket) {
    httplib::Request request;
    request.method = "GET";
    request.params.emplace("ticket", ticket);
    return request;
  }
  static httplib::Request WithToken(const std::string& token) {
    httplib::Request request;
    request.method = "GET";
    request.headers.emplace("Authorization", "Bearer " + token);
    return request;
  }
  static std::vector<topic::Pattern> Patterns(const std::vector<std::string>& texts) {
    std::vector<topic::Pattern> patterns;
    for (const std::string& text : texts) {
      patterns.push_back(*topic::Pattern::Parse(text));
    }
    return patterns;
  }

  std::string Ticket() {
    auth::Identity identity;
    identity.subscribe = *auth::PatternSet::Parse({"orders.>"});
    identity.expires = kNow + absl::Hours(1);
    return authenticator_.tickets()->Mint(identity, kNow)->text;
  }
  // Comes with a ticket, asks for that pattern, and enters.
  std::optional<Denial> Enter(const std::string& ticket, const std::string& pattern = "orders.1") {
    const auto identified = gate_.Identify(Get(ticket), kNow);
    if (const auto* denial = std::get_if<Denial>(&identified)) {
      return *denial;
    }
    const auto& client = std::get<Client>(identified);
    const auto denial = gate_.CheckPatterns(client, Patterns({pattern}), "topic");
    return denial.has_value() ? denial : gate_.Enter(client, kNow);
  }

  static auth::TokenRules Rules() {
    auth::TokenRules rules;
    rules.issuer = R"(the "issuer" \ of tokens)";
    return rules;
  }

  OneKey key_;
  auth::Authenticator authenticator_{
      auth::Identity(), std::make_unique<const auth::TokenVerifier>(Rules(), std::vector<auth::KeySource*>{&key_}),
      *auth::Tickets::Create({.ttl = absl::Seconds(30), .used_max = 1}, kSecret)};
  Cors cors_{Cors::Options{}};
  Gate gate_{&authenticator_, {.ticket_parameter = "ticket"}, &cors_};
};

TEST_F(GateTest, ATicketIsUsedOnlyByWhoEnters) {
  const std::string ticket = Ticket();
  EXPECT_EQ(Enter(ticket, "other")->problem.status, 403);
  EXPECT_FALSE(Enter(ticket).has_value());
  EXPECT_EQ(Enter(ticket)->problem.status, 401);
}

TEST_F(GateTest, WhereNoMoreTicketsCanBeTakenTheClientIsToComeAgain) {
  EXPECT_FALSE(Enter(Ticket()).has_value());
  EXPECT_EQ(Enter(Ticket())->passing, PassingRefusal::kTicketsExhausted);
}

TEST_F(GateTest, TheChallengeIsOneHeaderWhateverItSays) {
  const auto identified =
      gate_.Identify(WithToken(test::SignToken(R"({"exp": 1800000010})", test::SecretSigner(kSecret))), kNow);
  const auto& denial = std::get<Denial>(identified);
  EXPECT_THAT(denial.problem.detail, HasSubstr(R"(iss is not "the "issuer" \ of tokens")"));
  EXPECT_EQ(denial.challenge, R"(Bearer realm="grpc-sse-bridge", error="invalid_token", )"
                              R"(error_description="the token's iss is not 'the 'issuer' ? of tokens'")");
}

TEST_F(GateTest, WithoutKeysEverybodyMayHaveEverything) {
  const auth::Authenticator open;
  const Gate gate(&open, {}, &cors_);
  const auto identified = gate.Identify(WithToken("nonsense"), kNow);
  const auto& client = std::get<Client>(identified);
  EXPECT_FALSE(gate.CheckPatterns(client, Patterns({">"}), "topic").has_value());
  EXPECT_EQ(client.identity->expires, absl::InfiniteFuture());
}

}  // namespace
}  // namespace bridge::http
