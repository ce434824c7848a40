#include "bridge/auth/tickets.h"

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/tokens.h"

#include "bridge/auth/jws.h"
#include "bridge/auth/token_verifier.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char kSecret[] = "a secret of tickets, of 32 bytes and more";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::unique_ptr<Tickets> Create(absl::string_view secret = kSecret, size_t used_max = Tickets::kUsedMax) {
  absl::StatusOr<std::unique_ptr<Tickets>> tickets =
      Tickets::Create({.ttl = absl::Seconds(30), .used_max = used_max}, secret);
  EXPECT_TRUE(tickets.ok()) << tickets.status();
  return *std::move(tickets);
}

Identity Ann(absl::Duration left = absl::Hours(1),
             const std::vector<absl::string_view>& patterns = {"orders.>", "a.*"}) {
  return {.subject = "ann",
          .subscribe = *PatternSet::Parse(patterns),
          .publish = *PatternSet::Parse({"p"}),
          .serve = *PatternSet::Parse({"chat"}),
          .expires = kNow + left};
}

std::string Minted(const Tickets& tickets, const Identity& identity = Ann(), absl::Time now = kNow) {
  const absl::StatusOr<Tickets::Minted> ticket = tickets.Mint(identity, now);
  EXPECT_TRUE(ticket.ok()) << ticket.status();
  return ticket.ok() ? ticket->text : "";
}

// Reads a ticket and uses it.
absl::StatusOr<Identity> Redeem(Tickets& tickets, absl::string_view text, absl::Time now) {
  ASSIGN_OR_RETURN(Tickets::Ticket ticket, tickets.Read(text, now));
  RETURN_IF_ERROR(tickets.Use(ticket.id, now));
  return std::move(ticket.identity);
}

TEST(TicketsTest, ATicketStandsForItsTokenAndMayNotPublish) {
  const auto tickets = Create();
  const absl::StatusOr<Identity> identity = Redeem(*tickets, Minted(*tickets), kNow);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->subject, "ann");
  EXPECT_THAT(identity->subscribe.texts(), ElementsAre("orders.>", "a.*"));
  EXPECT_THAT(identity->publish.texts(), ElementsAre());
  EXPECT_THAT(identity->serve.texts(), ElementsAre());
  EXPECT_EQ(identity->expires, kNow + absl::Hours(1)) << "the stream ends with the token";
}

TEST(TicketsTest, ATicketMakesTheCallsOfItsToken) {
  const auto tickets = Create();
  Identity ann = Ann();
  ann.issuer = "https://id.example/";
  ann.call = *PatternSet::Parse({"chat", "reports.*"});
  const absl::StatusOr<Identity> identity = Redeem(*tickets, Minted(*tickets, ann), kNow);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_THAT(identity->call.texts(), ElementsAre("chat", "reports.*"));
  EXPECT_TRUE(identity->MayCall("reports.eu"));
  EXPECT_FALSE(identity->MayCall("reports"));
  EXPECT_EQ(identity->issuer, "https://id.example/") << "a call belongs to the issuer's subject";
}

TEST(TicketsTest, ATicketOpensOneStream) {
  const auto tickets = Create();
  const std::string ticket = Minted(*tickets);
  EXPECT_TRUE(Redeem(*tickets, ticket, kNow).ok());
  const absl::Status again = Redeem(*tickets, ticket, kNow).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(again.message()), HasSubstr("has been used"));
}

TEST(TicketsTest, ATicketThatIsOnlyReadIsNotUsed) {
  const auto tickets = Create();
  const std::string ticket = Minted(*tickets);
  EXPECT_TRUE(tickets->Read(ticket, kNow).ok());
  EXPECT_TRUE(Redeem(*tickets, ticket, kNow).ok());
  EXPECT_TRUE(tickets->Read(ticket, kNow).ok()) << "whom it stood for can still be said";
  EXPECT_FALSE(Redeem(*tickets, ticket, kNow).ok());
}

TEST(TicketsTest, SaysUntilWhenItCanBeUsed) {
  const auto tickets = Create();
  EXPECT_EQ(tickets->Mint(Ann(), kNow)->expires, kNow + absl::Seconds(30));
  EXPECT_EQ(tickets->Mint(Ann(absl::Seconds(10)), kNow)->expires, kNow + absl::Seconds(10));
}

TEST(TicketsTest, ManyWhoComeTogetherWithOneTicketAreOne) {
  const auto tickets = Create();
  const std::string ticket = Minted(*tickets);
  std::atomic<int> redeemed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) {
        redeemed += Redeem(*tickets, ticket, kNow).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(redeemed, 1);
}

TEST(TicketsTest, AnotherReplicaWithTheSecretTakesIt) {
  const auto one = Create();
  const auto other = Create();
  EXPECT_TRUE(Redeem(*other, Minted(*one), kNow).ok());
  const auto stranger = Create("another secret of tickets, of 32 bytes and more");
  EXPECT_EQ(Redeem(*stranger, Minted(*one), kNow).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST(TicketsTest, ExpiresSoonAndWithItsToken) {
  const auto tickets = Create();
  EXPECT_TRUE(Redeem(*tickets, Minted(*tickets), kNow + absl::Milliseconds(29'999)).ok());
  EXPECT_THAT(std::string(Redeem(*tickets, Minted(*tickets), kNow + absl::Seconds(30)).status().message()),
              HasSubstr("has expired"));
  EXPECT_TRUE(Redeem(*tickets, Minted(*tickets, Ann(absl::Seconds(10))), kNow + absl::Milliseconds(9'999)).ok());
  EXPECT_FALSE(Redeem(*tickets, Minted(*tickets, Ann(absl::Seconds(10))), kNow + absl::Seconds(10)).ok());
  EXPECT_FALSE(
      Redeem(*tickets, Minted(*tickets, Ann(absl::Milliseconds(10'500))), kNow + absl::Milliseconds(10'500)).ok());
}

TEST(TicketsTest, IsMadeForATokenThatGoesOn) {
  const auto tickets = Create();
  EXPECT_EQ(tickets->Mint(Ann(absl::ZeroDuration()), kNow).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(tickets->Mint(Identity(), kNow).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST(TicketsTest, IsShortEnoughForAUrl) {
  const auto tickets = Create();
  EXPECT_LE(Minted(*tickets).size(), 300U);
  const std::vector<absl::string_view> many(1000, "orders.>");
  const absl::Status status = tickets->Mint(Ann(absl::Hours(1), many), kNow).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 4096 fit in a URL"));
}

TEST(TicketsTest, NoTicketIsAToken) {
  class Secret : public KeySource {
   public:
    std::shared_ptr<const KeySet> Keys() const override {
      return std::make_shared<const KeySet>(std::vector<Key>{*Key::FromSecret({}, kSecret)});
    }
    bool MayStillCome(absl::string_view) override { return false; }
  } source;
  const TokenVerifier verifier({}, {&source});
  const auto tickets = Create();
  EXPECT_EQ(verifier.Verify(Minted(*tickets), kNow).status().message(), "the token's typ is neither JWT nor at+jwt");
}

TEST(TicketsTest, NoTokenIsATicket) {
  const auto tickets = Create();
  const SigningKey signer = test::SecretSigner(kSecret);
  const std::string payload =
      R"({"exp": 1800000010, "end": 1800000060, "jti": "AAAAAAAAAAAAAAAAAAAAAA", "subscribe": ["a"]})";
  for (const char* const header :
       {R"({"alg": "HS256"})", R"({"alg": "HS256", "typ": "JWT"})", R"({"alg": "HS256", "typ": "at+jwt"})"}) {
    EXPECT_EQ(Redeem(*tickets, test::SignToken(header, payload, signer), kNow).status().message(),
              "this is no ticket that this bridge has made")
        << header;
  }
  const std::string ticket = test::SignToken(R"({"alg": "HS256", "typ": "bridge-ticket+jwt"})", payload, signer);
  EXPECT_TRUE(Redeem(*tickets, ticket, kNow).ok()) << "the type alone made the difference";
}

TEST(TicketsTest, NothingElseIsATicket) {
  const auto tickets = Create();
  const std::string ticket = Minted(*tickets);
  std::vector<std::string> others = {
      "", ".", "..", "a.b.c", ticket + "A", ticket + "=", " " + ticket, ticket.substr(1), std::string(100'000, 'a')};
  for (size_t at = 0; at < ticket.size(); at += 7) {
    std::string other = ticket;
    other[at] = other[at] == 'A' ? 'B' : 'A';
    others.push_back(other);
  }
  for (const std::string& other : others) {
    EXPECT_EQ(Redeem(*tickets, other, kNow).status().message(), "this is no ticket that this bridge has made") << other;
  }
  EXPECT_TRUE(Redeem(*tickets, ticket, kNow).ok());
}

TEST(TicketsTest, MoreUsedOnesThanFitAreRefusedUntilTheFirstExpire) {
  const auto tickets = Create(kSecret, 3);
  const std::string first = Minted(*tickets, Ann(), kNow - absl::Seconds(10));
  EXPECT_TRUE(Redeem(*tickets, first, kNow).ok());
  EXPECT_TRUE(Redeem(*tickets, Minted(*tickets), kNow).ok());
  EXPECT_TRUE(Redeem(*tickets, Minted(*tickets), kNow).ok());
  const std::string fourth = Minted(*tickets);
  EXPECT_EQ(Redeem(*tickets, fourth, kNow).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Redeem(*tickets, first, kNow).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(Redeem(*tickets, fourth, kNow + absl::Seconds(20)).ok()) << "it was not used up by the refusal";
}

TEST(TicketsTest, AClockThatIsSetBackRevivesNone) {
  const auto tickets = Create();
  const std::string ticket = Minted(*tickets);
  EXPECT_TRUE(Redeem(*tickets, ticket, kNow).ok());
  const absl::Time later = kNow + absl::Hours(1);
  Identity identity = Ann();
  identity.expires = later + absl::Hours(1);
  EXPECT_TRUE(Redeem(*tickets, Minted(*tickets, identity, later), later).ok());
  EXPECT_THAT(std::string(Redeem(*tickets, ticket, kNow).status().message()), HasSubstr("has been used"));
}

TEST(TicketsTest, ANewSecretLeavesTheLastOnesTicketsGood) {
  const auto tickets = Create();
  const std::string old = Minted(*tickets);
  ASSERT_EQ(tickets->SetSecret("another secret of tickets, of 32 bytes and more"), absl::OkStatus());
  EXPECT_TRUE(Redeem(*tickets, old, kNow).ok());
  const std::string fresh = Minted(*tickets);
  EXPECT_FALSE(Redeem(*Create(), fresh, kNow).ok());
  EXPECT_TRUE(Redeem(*tickets, fresh, kNow).ok());
  EXPECT_THAT(std::string(tickets->SetSecret("short").message()), HasSubstr("has 5 bytes"));
}

TEST(TicketsTest, AShortSecretIsRefused) {
  EXPECT_THAT(std::string(Tickets::Create({.ttl = absl::Seconds(30)}, std::string(31, 'a')).status().message()),
              HasSubstr("has 31 bytes; a secret for HS256 has at least 32"));
  EXPECT_EQ(Tickets::RandomSecret().size(), 32U);
  EXPECT_NE(Tickets::RandomSecret(), Tickets::RandomSecret());
}

}  // namespace
}  // namespace bridge::auth
