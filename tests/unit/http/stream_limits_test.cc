#include "bridge/http/stream_limits.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::http {
namespace {

using Place = StreamLimits::Place;

ClientAddress From(const std::string& address) {
  return {.address = base::IpAddress::Parse(address).value(), .is_one_clients = true};
}

class Limits : public testing::Test {
 protected:
  explicit Limits(const StreamLimits::Options& options = {.streams_max = 6,
                                                          .streams_per_address = 2,
                                                          .streams_per_subject = 3})
      : limits_(options) {}

  // Takes a place and keeps it; why it got none.
  std::optional<PassingRefusal> Take(const ClientAddress& client, const std::string& subject = "") {
    auto taken = limits_.Take(client, subject, now_);
    if (auto* place = std::get_if<Place>(&taken)) {
      places_.push_back(std::move(*place));
      return std::nullopt;
    }
    return std::get<PassingRefusal>(taken);
  }

  StreamLimits limits_;
  base::MonotonicTime now_ = base::MonotonicClock::now();
  std::vector<Place> places_;
};

TEST_F(Limits, BoundAnAddress) {
  EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  EXPECT_EQ(Take(From("192.0.2.1")), PassingRefusal::kAddressFull);
  EXPECT_EQ(Take(From("192.0.2.2")), std::nullopt);
  places_.erase(places_.begin());
  EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  EXPECT_EQ(Take(From("192.0.2.1")), PassingRefusal::kAddressFull);
}

TEST_F(Limits, BoundANetworkOfIpv6) {
  EXPECT_EQ(Take(From("2001:db8:0:1::1")), std::nullopt);
  EXPECT_EQ(Take(From("2001:db8:0:1:ffff::2")), std::nullopt);
  EXPECT_EQ(Take(From("2001:db8:0:1::3")), PassingRefusal::kAddressFull);
  EXPECT_EQ(Take(From("2001:db8:0:2::3")), std::nullopt);
}

TEST_F(Limits, DoNotCountAnAddressThatManyMayShare) {
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(Take({.address = base::IpAddress::Parse("10.0.0.1").value()}), std::nullopt);
  }
  EXPECT_EQ(Take({.address = base::IpAddress::Parse("10.0.0.1").value()}), PassingRefusal::kOverloaded);
}

TEST_F(Limits, BoundASubjectWhereverItComesFrom) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Take(From(absl::StrCat("192.0.2.", i)), "alice"), std::nullopt);
  }
  EXPECT_EQ(Take(From("192.0.2.9"), "alice"), PassingRefusal::kSubjectFull);
  EXPECT_EQ(Take(From("192.0.2.9"), "bob"), std::nullopt);
  // Who was refused has taken nothing of the address.
  EXPECT_EQ(Take(From("192.0.2.9"), "bob"), std::nullopt);
  EXPECT_EQ(Take(From("192.0.2.9"), "bob"), PassingRefusal::kAddressFull);
  places_.clear();
  EXPECT_EQ(limits_.open(), 0);
  EXPECT_EQ(Take(From("192.0.2.9"), "alice"), std::nullopt);
}

TEST_F(Limits, BoundAll) {
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(limits_.IsFull());
    EXPECT_EQ(Take(From(absl::StrCat("192.0.2.", i))), std::nullopt);
  }
  EXPECT_TRUE(limits_.IsFull());
  EXPECT_EQ(Take(From("192.0.2.99")), PassingRefusal::kOverloaded);
  EXPECT_EQ(limits_.open(), 6);
}

class Rates : public Limits {
 protected:
  Rates() : Limits({.streams_max = 1'000'000, .connects_per_second = 10}) {}
};

TEST_F(Rates, LetAsManyInASecondAtOnceAndThenSlowly) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  }
  EXPECT_EQ(Take(From("192.0.2.1")), PassingRefusal::kTooFast);
  EXPECT_EQ(Take(From("192.0.2.2")), std::nullopt);
  now_ += std::chrono::milliseconds(101);
  EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  EXPECT_EQ(Take(From("192.0.2.1")), PassingRefusal::kTooFast);
  now_ += std::chrono::hours(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Take(From("192.0.2.1")), std::nullopt);
  }
  EXPECT_EQ(Take(From("192.0.2.1")), PassingRefusal::kTooFast);
}

TEST_F(Rates, HoldForEachOfManyAddresses) {
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 5000; ++i) {
      EXPECT_EQ(Take(From(absl::StrCat("11.0.", i / 250, ".", i % 250))),
                round < 10 ? std::nullopt : std::optional(PassingRefusal::kTooFast));
    }
  }
}

}  // namespace
}  // namespace bridge::http
